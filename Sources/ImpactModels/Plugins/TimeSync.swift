import Documents
import Energy

/// Observations of any times and lengths on one grid of time: cut at its edges, gaps taken for times when the machine was off.
///
/// Amounts (`sum`) are spread evenly over their observation, so that their total stays what it was; levels (`avg`) are weighted by time.
/// Upstream works on samples of a second and drops the last one of each bucket from its means, and it copies what no method is declared for
/// into every bucket, so that energy multiplies; so does strict mode.
struct TimeSync: ImpactPlugin {
    private struct Timed {
        /// Among the observations as they came.
        let index: Int
        let interval: Interval
        let observation: ModelMap
    }

    private static let limit: Int64 = 10_000_000

    private let start: ObservationTime.Read
    private let end: ObservationTime.Read
    private let step: Microseconds
    private let allowsPadding: Bool
    private let resolution: Microseconds

    init(_ config: PluginConfig) throws(ModelFault) {
        start = try config.instant("start-time")
        end = try config.instant("end-time")
        guard start.instant < end.instant else { throw config.fault("end-time", "an instant after start-time") }
        guard let step = ObservationTime.duration(seconds: try config.number("interval")), step > .zero else {
            throw config.fault("interval", "seconds, above 0")
        }
        self.step = step
        guard (end.instant - start.instant).count / step.count < Self.limit else {
            throw config.fault("interval", "a step of which less than \(Self.limit) fit between start-time and end-time")
        }
        if let refuses = try config.bool("error-on-padding") {
            allowsPadding = !refuses
        } else {
            allowsPadding = try config.bool("allow-padding") ?? true
        }
        guard
            let resolution = ObservationTime.duration(seconds: try config.optionalNumber("upsampling-resolution") ?? 1),
            resolution > .zero, !config.isStrict || step.count % resolution.count == 0
        else { throw config.fault("upsampling-resolution", "seconds, a part of interval") }
        self.resolution = resolution
    }

    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap] {
        if start.isZoneless || end.isZoneless {
            context.note("times without a zone, such as \(RFC3339.format(start.instant)), are taken for UTC")
        }
        guard !observations.isEmpty else { return [] }
        var timed: [Timed] = []
        for (index, observation) in observations.enumerated() {
            timed.append(Timed(index: index, interval: try context.interval(observation, at: index), observation: observation))
        }
        if !context.isStrict { timed.sort { ($0.interval.start, $0.interval.end) < ($1.interval.start, $1.interval.end) } }
        for pair in zip(timed, timed.dropFirst()) where pair.1.interval.start < pair.0.interval.end {
            throw context.fault(
                at: pair.1.index,
                "timestamp",
                expected: "one observation at a time: not before \(RFC3339.format(pair.0.interval.end)), the end of the one before",
                found: RFC3339.format(pair.1.interval.start),
                advice: "put components into nodes of their own, or regroup"
            )
        }
        let first = timed[0].interval.start
        let last = timed[timed.count - 1].interval.end
        if first > start.instant || last < end.instant {
            guard allowsPadding else {
                throw context.fault(
                    at: nil,
                    "timestamp",
                    expected: "observations from \(RFC3339.format(start.instant)) to \(RFC3339.format(end.instant))",
                    found: "some from \(RFC3339.format(first)) to \(RFC3339.format(last))",
                    advice: "set allow-padding: true to take the rest for times when it was off"
                )
            }
        }
        let keys = try self.keys(of: timed, &context)
        return try context.isStrict ? samples(timed, keys, &context) : buckets(timed, keys, &context)
    }

    /// The parameters in the order in which they come, each with its method.
    private func keys(of timed: [Timed], _ context: inout PluginContext) throws(ModelFault) -> [(key: String, method: AggregationMethod)] {
        var keys: [(key: String, method: AggregationMethod)] = []
        var seen: Set<String> = ["timestamp", "duration"]
        for one in timed {
            for key in one.observation.keys where seen.insert(key).inserted {
                let numbers = timed.contains { $0.observation[key]?.number != nil }
                if let method = context.methods.pair(key)?.time {
                    keys.append((key, method))
                } else if context.isStrict || !numbers || context.constants.contains(key) {
                    keys.append((key, .copy))
                } else {
                    context.note(
                        "\(key): no aggregation-method is declared for it: null after this step; declare it under parameter-metadata"
                    )
                    keys.append((key, .none))
                }
            }
        }
        return keys
    }

    private func number(_ value: ModelValue?, _ key: String, _ context: PluginContext) throws(ModelFault) -> Double? {
        guard let value, !value.isNull else { return nil }
        guard let number = value.number, number.isFinite else {
            throw context.fault(at: nil, key, expected: "a number", found: value.described)
        }
        return number
    }

    // MARK: Exact

    private func buckets(
        _ timed: [Timed],
        _ keys: [(key: String, method: AggregationMethod)],
        _ context: inout PluginContext
    ) throws(ModelFault) -> [ModelMap] {
        var result: [ModelMap] = []
        var next = 0
        var from = start.instant
        while from < end.instant {
            let bucket = Interval(from, min(from + step, end.instant))
            // Those that are over before the bucket are over before all later ones.
            while next < timed.count, timed[next].interval.end <= bucket.start,
                !(timed[next].interval.isEmpty && bucket.contains(timed[next].interval.start))
            {
                next += 1
            }
            var parts: [(one: Timed, overlap: Double)] = []
            var index = next
            while index < timed.count, timed[index].interval.start < bucket.end {
                let interval = timed[index].interval
                if interval.isEmpty ? bucket.contains(interval.start) : interval.intersection(bucket) != nil {
                    parts.append((timed[index], Double(interval.intersection(bucket)?.duration.count ?? 0)))
                }
                index += 1
            }
            let nearest = parts.last?.one ?? timed[min(max(0, next - 1), timed.count - 1)]
            var row = ModelMap([("timestamp", .text(RFC3339.format(bucket.start))), ("duration", .number(bucket.duration.seconds))])
            for (key, method) in keys { row[key] = try value(key, method, parts, nearest, bucket, context) }
            result.append(row)
            from = bucket.end
        }
        return result
    }

    private func value(
        _ key: String,
        _ method: AggregationMethod,
        _ parts: [(one: Timed, overlap: Double)],
        _ nearest: Timed,
        _ bucket: Interval,
        _ context: PluginContext
    ) throws(ModelFault) -> ModelValue {
        switch method {
        case .none: return .null
        case .copy: return nearest.observation[key] ?? .null
        case .sum:
            var sum = 0.0
            var unknown = false
            for part in parts {
                guard let number = try number(part.one.observation[key], key, context) else {
                    unknown = true
                    continue
                }
                let whole = Double(part.one.interval.duration.count)
                sum += whole == 0 ? number : number * (part.overlap / whole)
            }
            // An amount of which a part is not known is not known.
            return unknown ? .null : .number(sum)
        case .avg:
            var sum = 0.0
            var time = Double(bucket.duration.count)
            for part in parts {
                if let number = try number(part.one.observation[key], key, context) {
                    sum += number * part.overlap
                } else {
                    time -= part.overlap
                }
            }
            return time > 0 ? .number(sum / time) : .null
        case .min, .max, .median:
            var numbers: [Double] = []
            for part in parts {
                if let number = try number(part.one.observation[key], key, context) { numbers.append(number) }
            }
            return AggregationMethod.extreme(method, numbers).map { .number($0) } ?? .null
        }
    }

    // MARK: As upstream

    private func samples(
        _ timed: [Timed],
        _ keys: [(key: String, method: AggregationMethod)],
        _ context: inout PluginContext
    ) throws(ModelFault) -> [ModelMap] {
        guard (end.instant - start.instant).count / resolution.count < Self.limit else {
            throw context.fault(at: nil, "upsampling-resolution", expected: "less than \(Self.limit) samples", found: "more")
        }
        var result: [ModelMap] = []
        var next = 0
        var from = start.instant
        while from < end.instant {
            let bucketEnd = min(from + step, end.instant)
            var rows: [(one: Timed?, nearest: Timed)] = []
            var instant = from
            while instant < bucketEnd {
                while next < timed.count - 1, timed[next].interval.end <= instant { next += 1 }
                let one = timed[next]
                rows.append((one.interval.contains(instant) ? one : nil, one))
                instant = instant + resolution
            }
            var row = ModelMap([("timestamp", .text(RFC3339.format(from))), ("duration", .number((bucketEnd - from).seconds))])
            for (key, method) in keys {
                switch method {
                case .none: row[key] = .null
                case .copy where rows.last?.one == nil && key == "time-reserved": row[key] = .number(resolution.seconds)
                case .copy: row[key] = rows.last?.nearest.observation[key] ?? .null
                default:
                    var values: [Double] = []
                    for sample in rows {
                        guard let one = sample.one else {
                            // A reservation that upstream fills gaps with.
                            values.append(key == "time-reserved" ? resolution.seconds : 0)
                            continue
                        }
                        let number = try number(one.observation[key], key, context) ?? 0
                        values.append(method == .sum ? number * (Double(resolution.count) / Double(one.interval.duration.count)) : number)
                    }
                    switch method {
                    case .sum: row[key] = .number(values.reduce(0, +))
                    case .avg:
                        let counted = values.count > 1 ? values.dropLast() : values[...]
                        row[key] = .number(counted.reduce(0, +) / Double(values.count))
                    default: row[key] = AggregationMethod.extreme(method, values).map { .number($0) } ?? .null
                    }
                }
            }
            result.append(row)
            from = bucketEnd
        }
        return result
    }
}

extension AggregationMethod {
    /// The least, the most or the middle one; nil of none, and for other methods.
    static func extreme(_ method: AggregationMethod, _ numbers: [Double]) -> Double? {
        switch method {
        case .min: return numbers.min()
        case .max: return numbers.max()
        case .median:
            guard !numbers.isEmpty else { return nil }
            let sorted = numbers.sorted()
            let middle = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        default: return nil
        }
    }
}
