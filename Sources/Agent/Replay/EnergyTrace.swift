public import Energy

/// What counters showed over some time, as recorded on a machine: for each zone its count at each moment it moved.
public struct EnergyTrace: Sendable {
    /// One zone's recording.
    public struct Series: Sendable {
        /// Such as `package-0` or `dram-1`.
        public var name: String
        public var zone: Zone
        public var package: Int?
        /// Since the start of the recording, strictly increasing.
        public var times: [Microseconds]
        /// µJ counted until each of the times; never falls.
        public var counts: [Int64]

        /// The count that a counter shows at a time: that of the last moment it moved.
        func count(at time: Microseconds) -> Int64 {
            var low = 0
            var high = times.count
            while low < high {
                let middle = (low + high) / 2
                if times[middle] <= time { low = middle + 1 } else { high = middle }
            }
            return low == 0 ? 0 : counts[low - 1]
        }

        /// The least and the largest mean power between two moments of it, in W.
        var powers: (least: Double, most: Double) {
            var least = Double.infinity
            var most = 0.0
            for i in times.indices.dropFirst() where times[i] > times[i - 1] {
                let watts = Double(counts[i] - counts[i - 1]) / Double((times[i] - times[i - 1]).count)
                least = min(least, watts)
                most = max(most, watts)
            }
            return (least.isFinite ? least : 0, most)
        }
    }

    public var series: [Series]

    /// Why a text is no trace.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public var duration: Microseconds { series.compactMap(\.times.last).max() ?? .zero }

    /// Reads a CSV text. Its header names the columns: `t_s` and `energy_j` (what was added since the zone's last row), with `socket`
    /// and `domain` (`package`, `dram`...) to tell the zones apart. Other columns are passed over; so are lines that start with `#`.
    public init(csv: String) throws(Fault) {
        var columns: [String: Int]?
        var order: [String] = []
        var found: [String: Series] = [:]
        for (number, line) in csv.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard let first = line.first, first != "#" else { continue }
            let fields = line.split(separator: ",", omittingEmptySubsequences: false).map { field in
                String(field.filter { $0 != " " && $0 != "\r" && $0 != "\t" })
            }
            guard let columns else {
                columns = Dictionary(fields.enumerated().map { ($1, $0) }, uniquingKeysWith: { a, _ in a })
                for name in ["t_s", "energy_j"] where columns?[name] == nil {
                    throw Fault(description: "line \(number + 1): expected a header with t_s and energy_j, found '\(line.prefix(80))'")
                }
                continue
            }
            func field(_ name: String) -> String? { columns[name].flatMap { $0 < fields.count ? fields[$0] : nil } }
            guard let seconds = field("t_s").flatMap({ Double($0) }), seconds >= 0, seconds < 1e9,
                let joules = field("energy_j").flatMap({ Double($0) }), joules >= 0, joules < 1e9
            else {
                throw Fault(description: "line \(number + 1): expected t_s and energy_j of 0 or more, found '\(line.prefix(80))'")
            }
            let domain = field("domain") ?? "package"
            guard let zone = Zone(rawValue: domain) else {
                throw Fault(
                    description: "line \(number + 1): expected a domain of \(Zone.allCases.map(\.rawValue).joined(separator: ", ")), "
                        + "found '\(domain.prefix(40))'"
                )
            }
            let package = field("socket").flatMap { Int($0) }
            let name = package.map { "\(domain)-\($0)" } ?? domain
            if found[name] == nil { order.append(name) }
            var series = found[name] ?? Series(name: name, zone: zone, package: package, times: [], counts: [])
            let time = Microseconds(Int64(saturating: (seconds * 1e6).rounded()))
            guard series.times.last.map({ $0 < time }) ?? true else {
                throw Fault(description: "line \(number + 1): expected a later time than the one before of \(name), found \(seconds)")
            }
            series.times.append(time)
            series.counts.append((series.counts.last ?? 0) + Int64(saturating: (joules * 1e6).rounded()))
            found[name] = series
        }
        series = order.compactMap { found[$0] }
        guard !series.isEmpty else { throw Fault(description: "expected rows with readings, found none") }
    }
}
