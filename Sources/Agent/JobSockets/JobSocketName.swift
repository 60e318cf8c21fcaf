/// The name of a job's socket: enough of the job's key for people, and a number that nobody can guess. Who knows the path may ask.
enum JobSocketName {
    /// Of a key that may hold anything, and be of any length.
    static func of(_ key: String, random: UInt64 = .random(in: .min ... .max)) -> String {
        let plain = key.utf8.prefix(40).map { byte -> UInt8 in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): byte
            default: UInt8(ascii: "-")
            }
        }
        let number = String(random, radix: 16)
        return "\(String(decoding: plain, as: UTF8.self))-\(String(repeating: "0", count: 16 - number.count))\(number).sock"
    }
}
