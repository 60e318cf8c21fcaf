/// How a job ended, in the words of span documents; words that are not known stay as they came.
enum Outcome {
    static let skipped = "skipped"
    static let unknown = "unknown"

    private static let words = [
        "success": "success", "successful": "success", "passed": "success", "failure": "failure", "failed": "failure", "error": "error",
        "cancelled": "cancelled", "canceled": "cancelled", "cancel": "cancelled", "cancellation": "cancelled", "timeout": "timeout",
        "timed_out": "timeout", "skipped": skipped, "skip": skipped,
    ]

    static func named(_ word: String?) -> String {
        guard let word else { return unknown }
        return words[word.lowercased()] ?? word
    }
}
