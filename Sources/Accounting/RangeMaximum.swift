/// The largest of any run of values, in logarithmic time: a binary tree of maxima.
struct RangeMaximum {
    private let count: Int
    private var tree: [Double]

    init(_ values: [Double]) {
        count = values.count
        tree = Array(repeating: 0, count: count) + values
        for i in stride(from: count - 1, to: 0, by: -1) { tree[i] = max(tree[2 * i], tree[2 * i + 1]) }
    }

    /// 0 of none.
    func callAsFunction(_ range: Range<Int>) -> Double {
        var low = max(0, range.lowerBound) + count
        var high = min(count, range.upperBound) + count
        var largest = 0.0
        while low < high {
            if low & 1 == 1 {
                largest = max(largest, tree[low])
                low += 1
            }
            if high & 1 == 1 {
                high -= 1
                largest = max(largest, tree[high])
            }
            low >>= 1
            high >>= 1
        }
        return largest
    }
}
