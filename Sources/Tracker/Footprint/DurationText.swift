public import Energy

extension Microseconds {
    /// `0.004 s`, `12.3 s`, `4 min 05 s`, `2 h 05 min`.
    public var text: String {
        let seconds = self.seconds
        if seconds < 1 { return "\(DecimalText.fixed(seconds, 3)) s" }
        if seconds < 59.95 { return "\(DecimalText.fixed(seconds, 1)) s" }
        let whole = Int64(saturating: seconds.rounded())
        func twoDigits(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        if whole < 3_600 { return "\(whole / 60) min \(twoDigits(whole % 60)) s" }
        return "\(whole / 3_600) h \(twoDigits(whole / 60 % 60)) min"
    }
}
