import CSnappy

/// Snappy's block format, whole messages in memory, by libsnappy: how Prometheus packs what it sends by remote write.
public enum Snappy {
    /// The bytes before compression.
    ///
    /// - Parameter limit: the most that is unpacked, in bytes; what the header claims is looked at before any memory is taken.
    public static func decompress(_ bytes: [UInt8], limit: Int) throws(SnappyError) -> [UInt8] {
        let library = try LibSnappy.loaded.get().functions
        var claimed = 0
        let isHeader = bytes.withUnsafeBytes { input in
            library.uncompressed_length(input.bindMemory(to: CChar.self).baseAddress, input.count, &claimed) == SNAPPY_OK
        }
        guard isHeader, !bytes.isEmpty else { throw .malformed }
        guard claimed >= 0, claimed <= limit else { throw .tooLong(bytes: claimed, limitBytes: limit) }
        // 64 bytes of output to one of input is the best that the format can do.
        guard claimed <= 64 * bytes.count else { throw .malformed }
        var isWhole = false
        let unpacked = [UInt8](unsafeUninitializedCapacity: max(1, claimed)) { output, count in
            var length = claimed
            isWhole = bytes.withUnsafeBytes { input in
                output.withMemoryRebound(to: CChar.self) { room in
                    library.uncompress(input.bindMemory(to: CChar.self).baseAddress, input.count, room.baseAddress, &length) == SNAPPY_OK
                }
            }
            count = isWhole ? length : 0
        }
        guard isWhole else { throw .malformed }
        return unpacked
    }

    public static func compress(_ bytes: [UInt8]) throws(SnappyError) -> [UInt8] {
        let library = try LibSnappy.loaded.get().functions
        let room = library.max_compressed_length(bytes.count)
        var isDone = false
        let packed = [UInt8](unsafeUninitializedCapacity: room) { output, count in
            var length = room
            isDone = bytes.withUnsafeBytes { input in
                output.withMemoryRebound(to: CChar.self) { room in
                    library.compress(input.bindMemory(to: CChar.self).baseAddress, input.count, room.baseAddress, &length) == SNAPPY_OK
                }
            }
            count = isDone ? length : 0
        }
        guard isDone else { throw .malformed }
        return packed
    }
}

/// libsnappy, opened when it is first used.
struct LibSnappy: Sendable {
    let functions: wattle_snappy

    /// Opened once; a failure is remembered too, so that every use says the same.
    static let loaded: Result<LibSnappy, SnappyError> = {
        var functions = wattle_snappy()
        if let message = wattle_snappy_load(&functions) { return .failure(.unavailable(String(cString: message))) }
        return .success(LibSnappy(functions: functions))
    }()
}
