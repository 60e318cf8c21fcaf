import CZlib

/// gzip (RFC 1952) of whole messages in memory, by zlib.
public enum Gzip {
    /// One gzip member with the bytes.
    ///
    /// Takes 64 KiB of memory while it works, with a window of 8 KiB: on an agent's batches (1 to 30 KB) the result is as small as with
    /// zlib's usual 256 KiB, in a fraction of the time, since there is less to clear.
    ///
    /// - Parameter level: from 1, the fastest, to 9, the smallest.
    public static func compress(_ bytes: [UInt8], level: Int = 6) throws(GzipError) -> [UInt8] {
        try compress(bytes, level: level, windowBits: 13, memoryLevel: 6)
    }

    static func compress(_ bytes: [UInt8], level: Int, windowBits: Int32, memoryLevel: Int32) throws(GzipError) -> [UInt8] {
        var zlib = try Zlib.loaded.get().functions
        var stream = z_stream()
        let begun = wattle_zlib_begin_gzip(&zlib, &stream, Int32(min(9, max(1, level))), windowBits, memoryLevel)
        guard begun == Z_OK else { throw .unavailable(said(stream, begun)) }
        defer { _ = zlib.deflate_end(&stream) }
        // With room for the worst case one call does it all.
        let room = Int(zlib.deflate_bound(&stream, UInt(bytes.count)))
        var code = Z_OK
        let packed = [UInt8](unsafeUninitializedCapacity: room) { output, count in
            bytes.withUnsafeBufferPointer { input in
                // zlib takes the input as mutable and does not write to it.
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = UInt32(clamping: input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(clamping: output.count)
                code = zlib.deflate(&stream, Z_FINISH)
            }
            count = Int(stream.total_out)
        }
        guard code == Z_STREAM_END, stream.total_in == bytes.count else { throw .unavailable(said(stream, code)) }
        return packed
    }

    /// The bytes of exactly one gzip member.
    ///
    /// - Parameter limit: the most that is unpacked, in bytes; memory for little more than that is taken, however much would follow.
    public static func decompress(_ bytes: [UInt8], limit: Int) throws(GzipError) -> [UInt8] {
        var zlib = try Zlib.loaded.get().functions
        var stream = z_stream()
        let begun = wattle_zlib_begin_gunzip(&zlib, &stream)
        guard begun == Z_OK else { throw .unavailable(said(stream, begun)) }
        defer { _ = zlib.inflate_end(&stream) }
        var unpacked: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let outcome: Result<Int, GzipError> = bytes.withUnsafeBufferPointer { input in
            // zlib takes the input as mutable and does not write to it.
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(clamping: input.count)
            while true {
                var code = Z_OK
                let got = chunk.withUnsafeMutableBufferPointer { output in
                    stream.next_out = output.baseAddress
                    stream.avail_out = UInt32(output.count)
                    code = zlib.inflate(&stream, Z_NO_FLUSH)
                    return output.count - Int(stream.avail_out)
                }
                guard unpacked.count + got <= limit else { return .failure(.tooLong(limitBytes: limit)) }
                unpacked.append(contentsOf: chunk[..<got])
                switch code {
                case Z_STREAM_END: return .success(Int(stream.avail_in))
                case Z_OK where got > 0 || stream.avail_in > 0: continue
                // No progress is possible: the input is at its end, the member is not.
                case Z_OK, Z_BUF_ERROR: return .failure(.truncated)
                case Z_MEM_ERROR: return .failure(.unavailable(said(stream, code)))
                default: return .failure(.malformed(said(stream, code)))
                }
            }
        }
        let left = try outcome.get()
        guard left == 0 else { throw .trailing(bytes: left) }
        return unpacked
    }

    private static func said(_ stream: z_stream, _ code: Int32) -> String {
        stream.msg.map { String(cString: $0) } ?? (code == Z_MEM_ERROR ? "no memory" : "zlib's code \(code)")
    }
}
