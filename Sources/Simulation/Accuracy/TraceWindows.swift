import Energy

/// A recorded counter through the agent's own unwrapping and thinning: how far the energy of windows is from what was recorded.
public struct TraceWindows: Sendable {
    /// Of each zone by its name: recorded counts, in order of time.
    private let zones: [(name: String, times: [Int64], counts: [Int64])]

    /// Reads `t_s, socket, domain, energy_j` (what was added since the zone's row before); lines that it cannot read are left out.
    public init(csv: String) {
        var order: [String] = []
        var found: [String: (times: [Int64], counts: [Int64])] = [:]
        for line in csv.split(whereSeparator: \.isNewline).dropFirst() {
            let fields = line.split(separator: ",")
            guard fields.count >= 4, let seconds = Double(fields[0]), let joules = Double(fields[3]) else { continue }
            let name = "\(fields[2])-\(fields[1])"
            if found[name] == nil { order.append(name) }
            var zone = found[name] ?? ([], [])
            zone.times.append(Int64(saturating: (seconds * 1e6).rounded()))
            zone.counts.append((zone.counts.last ?? 0) + Int64(saturating: (joules * 1e6).rounded()))
            found[name] = zone
        }
        zones = order.map { ($0, found[$0]?.times ?? [], found[$0]?.counts ?? []) }
    }

    /// Errors of windows of one length.
    public struct Result: Sendable {
        public var relative = ErrorSample()
        /// Absolute, J, sorted.
        public var joules: [Double] = []

        public init() {}

        public static func += (a: inout Result, b: Result) {
            a.relative += b.relative
            a.joules = (a.joules + b.joules).sorted()
        }
    }

    /// - Parameters:
    ///   - readEdges: the agent was told of the window's edges and read at them; else it knows its 10 Hz readings alone.
    ///   - count: windows drawn per zone.
    public func errors(seconds: Double, readEdges: Bool, count: Int, seed: UInt64) -> Result {
        var result = Result()
        var draws = RandomDraws(seed: seed)
        for zone in zones {
            guard let first = zone.times.first, let last = zone.times.last else { continue }
            let length = Int64(seconds * 1e6)
            guard last - first > length + 200_000 else { continue }
            let windows = (0..<count).map { _ -> (Int64, Int64) in
                let start = first + Int64(draws.unit() * Double(last - first - length))
                return (start, start + length)
            }
            // With edges each window is a run of its own: those of others would be knots for it.
            let shared = readEdges ? nil : curve(of: zone, edges: [])
            for (start, end) in windows {
                let curve = shared ?? self.curve(of: zone, edges: [start, end])
                guard let a = curve.value(at: Timestamp(microseconds: start)), let b = curve.value(at: Timestamp(microseconds: end)) else {
                    continue
                }
                let truth = recorded(zone, at: end) - recorded(zone, at: start)
                result.relative.add(answer: b - a, truth: truth)
                result.joules.append(abs(b - a - truth) / 1e6)
            }
        }
        result.joules.sort()
        return result
    }

    /// The counter, begun so that it turns over in the middle.
    private func curve(of zone: (name: String, times: [Int64], counts: [Int64]), edges: [Int64]) -> Curve {
        let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 262_143_328_850)
        let offset = modulus - zone.counts[zone.counts.count / 2]
        var recorded = RecordedCurve(epsilon: 1_000_000, counter: CounterUnwrapping(modulus: modulus, maximumRate: 1_000))
        var times = Array(stride(from: zone.times[0], through: zone.times[zone.times.count - 1], by: 100_000)) + edges
        times.sort()
        var index = 0
        for time in times {
            while index + 1 < zone.times.count, zone.times[index + 1] <= time { index += 1 }
            recorded.read(
                register: (offset + zone.counts[index]) % modulus,
                at: Timestamp(microseconds: time),
                isEdge: edges.contains(time)
            )
        }
        return recorded.curve
    }

    /// Linear between the counter's own moves, which are 5 ms apart: what flowed, as nearly as the recording says it.
    private func recorded(_ zone: (name: String, times: [Int64], counts: [Int64]), at time: Int64) -> Double {
        var low = 0
        var high = zone.times.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if zone.times[middle] <= time { low = middle } else { high = middle }
        }
        guard low + 1 < zone.times.count else { return Double(zone.counts[low]) }
        let fraction = Double(time - zone.times[low]) / Double(zone.times[low + 1] - zone.times[low])
        return Double(zone.counts[low]) + fraction * Double(zone.counts[low + 1] - zone.counts[low])
    }
}
