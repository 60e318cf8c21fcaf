import Foundation

/// What the meters of a machine counted, sample by sample: made-up hosts replay it.
public struct LoadRecording: Sendable, Hashable {
    /// A folder or a file in it that is no recording.
    public struct Unreadable: Error, CustomStringConvertible {
        public let description: String
    }

    /// Of each sample, µs since the recording began; growing.
    public private(set) var times: [Int64] = []
    /// For each meter the count of each sample, µJ; never falling.
    public private(set) var counts: [[Int64]]

    /// - Parameter csv: a line that names the columns, then one a sample: `t_us` and a meter's count in µJ for each meter.
    /// - Throws: `Unreadable`, which names the line.
    public init(csv: String, name: String) throws(Unreadable) {
        let lines = csv.utf8.split(separator: UInt8(ascii: "\n"))
        let meters = (lines.first?.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).count ?? 0) - 1
        guard (1...64).contains(meters) else {
            throw Unreadable(description: "\(name), line 1: expected t_us and 1 to 64 meters, found \(meters + 1) columns")
        }
        counts = Array(repeating: [], count: meters)
        for (number, line) in lines.enumerated().dropFirst() {
            let fields = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Int64(Substring($0)) }
            guard fields.count == meters + 1, !fields.contains(nil) else {
                throw Unreadable(description: "\(name), line \(number + 1): expected \(meters + 1) whole numbers, found \(Substring(line))")
            }
            let values = fields.compactMap(\.self)
            guard (0...3_600_000_000).contains(values[0]), times.last.map({ $0 < values[0] }) ?? true else {
                throw Unreadable(description: "\(name), line \(number + 1): expected a later time of at most an hour, found \(values[0])")
            }
            for meter in 0..<meters {
                let value = values[meter + 1]
                guard value >= counts[meter].last ?? 0, value < 1 << 60 else {
                    throw Unreadable(description: "\(name), line \(number + 1): expected a count that does not fall, found \(value)")
                }
                counts[meter].append(value)
            }
            times.append(values[0])
        }
        guard !times.isEmpty else { throw Unreadable(description: "\(name): expected samples, found none") }
    }

    /// The recordings (`*.csv`) of a folder, by name.
    public static func read(folder: String) throws(Unreadable) -> [LoadRecording] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".csv") }.sorted()
        } catch {
            throw Unreadable(description: "\(folder): expected a folder of recordings, found none that can be read")
        }
        var recordings: [LoadRecording] = []
        for name in names {
            guard let csv = FileManager.default.contents(atPath: "\(folder)/\(name)") else {
                throw Unreadable(description: "\(folder)/\(name): expected a recording, found a file that cannot be read")
            }
            recordings.append(try LoadRecording(csv: String(decoding: csv, as: UTF8.self), name: name))
        }
        guard !recordings.isEmpty else { throw Unreadable(description: "\(folder): expected recordings (*.csv), found none") }
        return recordings
    }
}
