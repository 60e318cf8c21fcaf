/// Relative errors of many answers.
public struct ErrorSample: Sendable {
    public private(set) var errors: [Double] = []
    /// Jobs of which the tool said nothing: an error of 100 %, and counted as such.
    public private(set) var silent = 0

    public init() {}

    public mutating func add(answer: Double?, truth: Double) {
        guard truth > 0 else { return }
        if answer ?? 0 == 0 { silent += 1 }
        errors.append(abs((answer ?? 0) - truth) / truth)
    }

    public static func += (a: inout ErrorSample, b: ErrorSample) {
        a.errors += b.errors
        a.silent += b.silent
    }

    public var median: Double { quantile(0.5) }
    public var percentile95: Double { quantile(0.95) }

    /// The smallest error that a part of all does not pass.
    public func quantile(_ part: Double) -> Double {
        guard !errors.isEmpty else { return .nan }
        let sorted = errors.sorted()
        let rank = Int((part * Double(sorted.count)).rounded(.up)) - 1
        return sorted[min(sorted.count - 1, max(0, rank))]
    }
}
