extension [UInt8] {
    /// Appends the bytes of `value`, most significant first, as everything on Postgres' wire.
    mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Overwrites four bytes at `offset` with `value`.
    mutating func replace(at offset: Int, bigEndian value: Int32) {
        withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Int32.self) }
    }
}

extension UnsafeRawBufferPointer {
    /// Reads a number, most significant byte first. The caller has checked that the bytes are there.
    func bigEndian<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type = Number.self) -> Number {
        Number(bigEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}
