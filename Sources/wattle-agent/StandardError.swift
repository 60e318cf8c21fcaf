import Glibc

enum StandardError {
    /// The last words before an end, or a remark: where even this cannot be written there is nobody to tell.
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
