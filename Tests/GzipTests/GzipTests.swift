import Testing

@testable import Gzip

struct GzipTests {
    private static let text = Array(String(repeating: "0.4 J here, 0.6 J there; ", count: 4_000).utf8)

    /// Bytes that do not compress.
    private static let noise = {
        var random = SystemRandomNumberGenerator()
        return (0..<70_001).map { _ in UInt8.random(in: 0...255, using: &random) }
    }()

    @Test(arguments: [1, 6, 9])
    func whatIsPackedIsUnpackedAgain(level: Int) throws {
        for bytes in [[], [7], Self.text, Self.noise] {
            let packed = try Gzip.compress(bytes, level: level)
            #expect(packed.starts(with: [0x1F, 0x8B, 8]))
            #expect(try Gzip.decompress(packed, limit: bytes.count) == bytes)
        }
        #expect(try Gzip.compress(Self.text, level: level).count < Self.text.count / 50)
    }

    @Test func oneByteOverTheLimitIsRefused() throws {
        for bytes in [Self.text, Self.noise] {
            let packed = try Gzip.compress(bytes)
            #expect(throws: GzipError.tooLong(limitBytes: bytes.count - 1)) { try Gzip.decompress(packed, limit: bytes.count - 1) }
        }
    }

    @Test func aBombIsGivenUpAtTheLimit() throws {
        let bomb = try Gzip.compress([UInt8](repeating: 0, count: 64 << 20), level: 9)
        #expect(bomb.count < 70_000)
        let began = ContinuousClock.now
        #expect(throws: GzipError.tooLong(limitBytes: 1 << 20)) { try Gzip.decompress(bomb, limit: 1 << 20) }
        #expect(ContinuousClock.now - began < .seconds(1))
    }

    @Test func everyTruncationIsNoticed() throws {
        let packed = try Gzip.compress(Array("short".utf8))
        for length in 0..<packed.count {
            #expect(throws: GzipError.truncated) { try Gzip.decompress(Array(packed[..<length]), limit: 100) }
        }
        let long = try Gzip.compress(Self.text + Self.noise)
        #expect(throws: GzipError.truncated) { try Gzip.decompress(Array(long.dropLast()), limit: 1 << 20) }
    }

    @Test func whatFollowsTheMemberIsRefused() throws {
        let packed = try Gzip.compress(Array("short".utf8))
        #expect(throws: GzipError.trailing(bytes: 1)) { try Gzip.decompress(packed + [0], limit: 100) }
        #expect(throws: GzipError.trailing(bytes: packed.count)) { try Gzip.decompress(packed + packed, limit: 100) }
    }

    @Test func everyFlippedByteOfDataIsNoticed() throws {
        let packed = try Gzip.compress(Array("some longer words that are not all the same".utf8))
        // The ten bytes of the head carry a time and a system, which no checksum guards.
        for i in 10..<packed.count {
            var damaged = packed
            damaged[i] ^= 0x55
            #expect(throws: GzipError.self) { try Gzip.decompress(damaged, limit: 1 << 20) }
        }
        for other in [Array("plain text".utf8), [0x78, 0x9C, 3, 0, 0, 0, 0, 1]] {
            #expect { try Gzip.decompress(other, limit: 100) } throws: {
                guard case GzipError.malformed = $0 else { return false }
                return true
            }
        }
    }
}
