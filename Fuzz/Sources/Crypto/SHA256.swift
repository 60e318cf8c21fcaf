/// In place of the real one, which would be built for minutes: the decoder only passes the digest on.
public enum SHA256 {
    public static func hash(data: [UInt8]) -> [UInt8] { Array(repeating: 0, count: 32) }
}
