import Glibc

/// A small kernel file that is opened once and read again and again from its start.
///
/// A read allocates nothing unless the file has outgrown the buffer. The file is closed with the object.
public final class SensorFile {
    public let path: String
    private let descriptor: Int32
    private var buffer: UnsafeMutableRawBufferPointer

    /// - Throws: `SensorFault` with the `errno` of `open`.
    public init(_ path: String, capacity: Int = 64, files: any FileOpening = DirectFiles()) throws(SensorFault) {
        descriptor = try files.open(path)
        self.path = path
        buffer = .allocate(byteCount: max(16, capacity), alignment: 16)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// The bytes now, from the start; at most the buffer's size, which `grow` doubles. Valid until the next read.
    ///
    /// - Throws: `SensorFault` with the `errno` of `pread`.
    public func bytes() throws(SensorFault) -> UnsafeRawBufferPointer {
        while true {
            let count = pread(descriptor, buffer.baseAddress, buffer.count, 0)
            if count >= 0 { return UnsafeRawBufferPointer(rebasing: buffer[..<count]) }
            guard errno == EINTR else { throw SensorFault(path: path, errno: errno) }
        }
    }

    /// True where the last read may have been cut off by the buffer's end.
    func isFull(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.count == buffer.count }

    func grow() {
        let size = buffer.count * 2
        buffer.deallocate()
        buffer = .allocate(byteCount: size, alignment: 16)
    }

    /// The file's only content, a whole number of 0 or more; white space around it is passed over.
    ///
    /// A value beyond 2^63 - 1 is malformed: no counter here reaches it, underflows do.
    public func number() throws(SensorFault) -> Int64 {
        let bytes = try bytes()
        guard let number = DecimalText.number(in: bytes, from: 0)?.value else {
            let found = bytes.isEmpty ? "nothing" : "'\(String(decoding: bytes.prefix(24).filter { $0 >= 32 && $0 < 127 }, as: UTF8.self))'"
            throw SensorFault(path: path, kind: .malformed(expected: "a whole number from 0 to 2^63 - 1", found: found))
        }
        return number
    }
}

/// Decimal numbers in bytes, without making strings of them.
enum DecimalText {
    /// The number at or after an offset, blanks skipped, and the offset behind it. Nil where none stands there or it overflows.
    static func number(in bytes: UnsafeRawBufferPointer, from start: Int) -> (value: Int64, end: Int)? {
        var i = start
        while i < bytes.count, bytes[i] == 0x20 || bytes[i] == 0x09 { i += 1 }
        let first = i
        var value: Int64 = 0
        while i < bytes.count, case 0x30...0x39 = bytes[i] {
            let (tens, overflowsTens) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = tens.addingReportingOverflow(Int64(bytes[i] - 0x30))
            guard !overflowsTens, !overflows else { return nil }
            value = sum
            i += 1
        }
        return i > first ? (value, i) : nil
    }

    /// The offset behind a prefix that stands at an offset; nil where something else does.
    static func end(of prefix: StaticString, in bytes: UnsafeRawBufferPointer, at start: Int) -> Int? {
        let length = prefix.utf8CodeUnitCount
        guard start + length <= bytes.count, let base = bytes.baseAddress else { return nil }
        return memcmp(base + start, prefix.utf8Start, length) == 0 ? start + length : nil
    }

    /// The offset of the line after the one that holds an offset; the end of the bytes where there is none.
    static func nextLine(in bytes: UnsafeRawBufferPointer, after start: Int) -> Int {
        var i = start
        while i < bytes.count, bytes[i] != 0x0A { i += 1 }
        return min(i + 1, bytes.count)
    }
}
