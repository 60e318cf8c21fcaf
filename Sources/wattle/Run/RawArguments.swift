/// The process' own arguments as bytes: Swift's strings would mend what is not UTF-8.
enum RawArguments {
    /// What follows the first `--`, as long as it has the form of what the parser found there; else the parser's.
    static func afterTerminator(_ parsed: [String]) -> [[UInt8]] {
        var raw: [[UInt8]] = []
        for index in 0..<Int(CommandLine.argc) {
            guard let argument = CommandLine.unsafeArgv[index] else { break }
            var bytes: [UInt8] = []
            var next = argument
            while next.pointee != 0 {
                bytes.append(UInt8(bitPattern: next.pointee))
                next += 1
            }
            raw.append(bytes)
        }
        let tail = raw.suffix(parsed.count)
        guard raw.count > parsed.count, raw[raw.count - parsed.count - 1] == Array("--".utf8),
            tail.elementsEqual(parsed, by: { String(decoding: $0, as: UTF8.self) == $1 })
        else { return parsed.map { Array($0.utf8) } }
        return Array(tail)
    }
}
