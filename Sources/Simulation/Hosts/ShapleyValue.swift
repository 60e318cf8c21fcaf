/// The Shapley value of players whose joint cost is a function of the sum of what each brings: the mean, over all orders of arrival, of
/// what each adds.
public enum ShapleyValue {
    /// Exact, over all subsets: 2^n evaluations.
    public static func values(of loads: [Double], cost: (Double) -> Double) -> [Double] {
        let n = loads.count
        guard n > 0 else { return [] }
        // |S|! (n - |S| - 1)! / n! for each size of S.
        var weights = [1 / Double(n)]
        for size in 1..<max(2, n) { weights.append(weights[size - 1] * Double(size) / Double(max(1, n - size))) }
        var costs = [Double](repeating: 0, count: 1 << n)
        var sums = costs
        for set in 1..<(1 << n) {
            let lowest = set.trailingZeroBitCount
            sums[set] = sums[set & (set - 1)] + loads[lowest]
            costs[set] = cost(sums[set])
        }
        costs[0] = cost(0)
        return (0..<n).map { player in
            var value = 0.0
            for set in 0..<(1 << n) where set & (1 << player) == 0 {
                value += weights[set.nonzeroBitCount] * (costs[set | 1 << player] - costs[set])
            }
            return value
        }
    }
}
