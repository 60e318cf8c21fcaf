import Snappy
import Testing

@Suite struct SnappyTests {
    @Test func whatIsPackedComesBack() throws {
        for bytes in [[], [1], Array("wattle wattle wattle".utf8), (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }] {
            #expect(try Snappy.decompress(Snappy.compress(bytes), limit: 1 << 20) == bytes)
        }
    }

    @Test func aBombIsRefusedByItsHeader() throws {
        // A claim of 2^32 - 1 bytes, and next to none behind it.
        let bomb: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x00, 0x41]
        #expect(throws: SnappyError.tooLong(bytes: 4_294_967_295, limitBytes: 1 << 20)) { try Snappy.decompress(bomb, limit: 1 << 20) }
        // Within the limit, but more than the bytes that came can hold.
        #expect(throws: SnappyError.malformed) { try Snappy.decompress([0x80, 0x80, 0x20, 0x00, 0x41], limit: 1 << 20) }
        let zeros = try Snappy.compress([UInt8](repeating: 0, count: 1 << 20))
        #expect(throws: SnappyError.tooLong(bytes: 1 << 20, limitBytes: 1000)) { try Snappy.decompress(zeros, limit: 1000) }
    }

    @Test func damagedBytesAreRefused() throws {
        let packed = try Snappy.compress(Array("the quick brown fox jumps over the lazy dog, the quick brown fox".utf8))
        #expect(throws: SnappyError.malformed) { try Snappy.decompress([], limit: 1000) }
        #expect(throws: SnappyError.malformed) { try Snappy.decompress(Array(packed.dropLast()), limit: 1000) }
        for i in packed.indices {
            var bytes = packed
            bytes[i] ^= 0x80
            do throws(SnappyError) { _ = try Snappy.decompress(bytes, limit: 1000) } catch { #expect(!error.description.isEmpty) }
        }
    }
}
