public import Energy
import Factors

/// Published power of CPU packages by model: `config/factors/cpu_power.csv`.
public struct CPUPowerTable: Sendable {
    public struct Row: Hashable, Sendable {
        public var maker: String
        public var model: String
        public var pattern: String
        public var threads: Int
        public var thermalDesignPower: Power
        /// Watts of one package.
        public var package: UtilisationModel
    }

    public let rows: [Row]

    /// Why the table cannot be used.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// The table that is built in.
    public static func builtIn() throws(Fault) -> CPUPowerTable { try CPUPowerTable(csv: Factors.cpuPowerCSV) }

    public init(csv: String) throws(Fault) {
        let table: CSVTable
        do {
            table = try CSVTable(parsing: csv)
        } catch {
            throw Fault(description: "cpu_power.csv: \(error)")
        }
        var columns: [String: Int] = [:]
        for (i, name) in table.header.enumerated() { columns[name] = i }
        let needed = [
            "maker", "model", "pattern", "threads", "tdp_w", "idle_low_w", "idle_w", "idle_high_w", "full_low_w", "full_w", "full_high_w",
        ]
        let indices = needed.compactMap { columns[$0] }
        guard indices.count == needed.count else {
            throw Fault(description: "cpu_power.csv: expected the columns \(needed), found \(table.header)")
        }
        var rows: [Row] = []
        rows.reserveCapacity(table.rows.count)
        for (line, fields) in table.rows.enumerated() {
            let text = indices.map { fields[$0] }
            let watts = text.dropFirst(4).compactMap { Double($0) }
            guard let threads = Int(text[3]), threads > 0, watts.count == 7, watts.allSatisfy({ $0 >= 0 && $0 < 1e5 }) else {
                throw Fault(description: "cpu_power.csv: line \(line + 2): expected a number of threads and seven of watts, found \(text)")
            }
            func point(_ first: Int) -> UtilisationModel.Point {
                .init(low: Power(watts: watts[first]), best: Power(watts: watts[first + 1]), high: Power(watts: watts[first + 2]))
            }
            rows.append(
                Row(
                    maker: text[0],
                    model: text[1],
                    pattern: text[2],
                    threads: threads,
                    thermalDesignPower: Power(watts: watts[0]),
                    package: UtilisationModel(idle: point(1), full: point(4))
                )
            )
        }
        guard !rows.isEmpty else { throw Fault(description: "cpu_power.csv: expected at least one row, found none") }
        self.rows = rows
    }

    /// Watts of one thread of a processor, and what they rest on.
    public struct Match: Sendable {
        /// The row of the model; nil where it is not in the table.
        public var row: Row?
        public var perThread: UtilisationModel
        /// How many models the figures were drawn from.
        public var models: Int
        public var maker: String?
        /// The model's name as the machine gives it.
        public var found: String
    }

    /// The model's own row; else the median of its maker's models per thread, with their extremes as limits, or that of the whole
    /// table where the maker has no row either.
    public func match(_ cpu: CPUInfo) -> Match {
        let pattern = CPUModelName.normalised(cpu.model)
        if !pattern.isEmpty, let row = rows.first(where: { $0.pattern == pattern }) {
            return Match(
                row: row,
                perThread: row.package.scaled(by: 1 / Double(row.threads)),
                models: 1,
                maker: row.maker,
                found: cpu.model
            )
        }
        var candidates = rows.filter { $0.maker == cpu.vendor.makerInTable }
        let maker = candidates.isEmpty ? nil : cpu.vendor.makerInTable
        if candidates.isEmpty { candidates = rows }
        return Match(row: nil, perThread: .median(ofPerThread: candidates), models: candidates.count, maker: maker, found: cpu.model)
    }
}

extension UtilisationModel {
    /// The same model with every power multiplied.
    func scaled(by factor: Double) -> UtilisationModel {
        func scaled(_ point: Point) -> Point {
            Point(
                low: Power(watts: point.low.watts * factor),
                best: Power(watts: point.best.watts * factor),
                high: Power(watts: point.high.watts * factor)
            )
        }
        return UtilisationModel(idle: scaled(idle), full: scaled(full))
    }

    fileprivate static func median(ofPerThread rows: [CPUPowerTable.Row]) -> UtilisationModel {
        func point(_ path: KeyPath<UtilisationModel, Point>) -> Point {
            let points = rows.map { row in row.package.scaled(by: 1 / Double(row.threads))[keyPath: path] }
            let best = points.map(\.best.watts).sorted()
            let middle = best.count / 2
            let median = best.isEmpty ? 0 : best.count % 2 == 1 ? best[middle] : (best[middle - 1] + best[middle]) / 2
            return Point(
                low: Power(watts: points.map(\.low.watts).min() ?? 0),
                best: Power(watts: median),
                high: Power(watts: points.map(\.high.watts).max() ?? 0)
            )
        }
        return UtilisationModel(idle: point(\.idle), full: point(\.full))
    }
}
