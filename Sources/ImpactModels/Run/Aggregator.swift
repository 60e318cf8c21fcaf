import Energy

/// Puts outputs together: over time for each component, and over components at each time.
struct Aggregator {
    let aggregation: Manifest.Aggregation
    let methods: ParameterMethods
    let isStrict: Bool
    var notes: ModelNotes

    mutating func run(_ node: inout Manifest.Node) throws(ModelFault) {
        guard !node.children.isEmpty else {
            guard let outputs = node.outputs else { return notes.add(node.path, "no outputs: not aggregated") }
            // A metric that nobody has is a slip of the pen, with a method or without.
            for metric in aggregation.metrics {
                for (index, output) in outputs.enumerated() { _ = try value(metric, output, node.path, index) }
            }
            if aggregation.overTime { node.aggregated = try overTime(outputs, node.path) }
            return
        }
        for index in node.children.indices { try run(&node.children[index]) }
        guard aggregation.overComponents else { return }
        let counted = node.children.filter { child in
            // Upstream reads the list and forgets it.
            guard !isStrict, aggregation.skipped.contains(child.name) || aggregation.skipped.contains(child.path) else { return true }
            notes.add(child.path, "skip-components: left out of \(node.path)")
            return false
        }
        let rows = isStrict ? try byIndex(counted, node.path) : try byTime(counted, node.path)
        node.outputs = rows
        node.aggregated = try overTime(rows, node.path)
    }

    /// The metrics with their methods; without one a metric is left out. Upstream says that it does so, and copies.
    private mutating func metrics(_ place: String) -> [(name: String, pair: ParameterMethods.Pair)] {
        var result: [(name: String, pair: ParameterMethods.Pair)] = []
        for metric in aggregation.metrics {
            if let pair = methods.pair(metric) {
                result.append((metric, pair))
            } else if isStrict {
                result.append((metric, ParameterMethods.Pair(time: .copy, component: .copy)))
            } else {
                notes.add(
                    "aggregation",
                    "\(metric): left out, as no aggregation-method is declared for it; declare one under parameter-metadata"
                )
            }
        }
        return result
    }

    private func value(_ metric: String, _ row: ModelMap, _ place: String, _ index: Int) throws(ModelFault) -> ModelValue {
        guard let key = ParameterNames.key(of: metric, in: row) ?? (row.contains(metric) ? metric : nil), let value = row[key] else {
            throw ModelFault(
                "\(place).outputs[\(index)]",
                key: metric,
                expected: "a value to aggregate",
                found: row.isEmpty ? "nothing" : "none among \(row.keys.joined(separator: ", "))"
            )
        }
        return value
    }

    // MARK: Over time

    private mutating func overTime(_ rows: [ModelMap], _ place: String) throws(ModelFault) -> ModelMap {
        var result = ModelMap()
        let weights = try self.weights(rows, place)
        for (metric, pair) in metrics(place) {
            var values: [(value: ModelValue, weight: Double)] = []
            for (index, row) in rows.enumerated() { values.append((try value(metric, row, place, index), weights[index])) }
            result[metric] = try fold(pair.time, values, metric, place, "outputs")
        }
        return result
    }

    /// Durations in seconds; ones where no row has any, or where all are 0.
    private mutating func weights(_ rows: [ModelMap], _ place: String) throws(ModelFault) -> [Double] {
        let ones = [Double](repeating: 1, count: rows.count)
        if isStrict { return ones }
        let known = rows.map { $0["duration"]?.number }
        if known.allSatisfy({ $0 == nil }) {
            if rows.count > 1 { notes.add(place, "no durations: every output weighs the same in means") }
            return ones
        }
        var weights: [Double] = []
        for (index, duration) in known.enumerated() {
            guard let duration, duration >= 0, duration.isFinite else {
                throw ModelFault(
                    "\(place).outputs[\(index)]",
                    key: "duration",
                    expected: "seconds, 0 or more",
                    found: rows[index]["duration"]?.described ?? "nothing"
                )
            }
            weights.append(duration)
        }
        return weights.contains { $0 > 0 } ? weights : ones
    }

    /// One value of many. A null among numbers makes null: what is partly unknown is unknown.
    private mutating func fold(
        _ method: AggregationMethod,
        _ values: [(value: ModelValue, weight: Double)],
        _ metric: String,
        _ place: String,
        _ what: String
    ) throws(ModelFault) -> ModelValue {
        if method == .none || values.isEmpty { return .null }
        if method == .copy {
            guard let first = values.first?.value, let last = values.last?.value else { return .null }
            if isStrict { return last }
            if values.allSatisfy({ same($0.value, first) }) { return first }
            notes.add(place, "\(metric): null, as it is copied but its \(what) differ")
            return .null
        }
        var numbers: [Double] = []
        for (index, one) in values.enumerated() {
            if one.value.isNull {
                notes.add(place, "\(metric): null, as one of its \(what) is")
                return .null
            }
            guard let number = one.value.number, number.isFinite else {
                throw ModelFault("\(place).\(what)[\(index)]", key: metric, expected: "a number", found: one.value.described)
            }
            numbers.append(number)
        }
        switch method {
        case .sum: return .number(numbers.reduce(0, +))
        case .avg:
            let total = values.reduce(0) { $0 + $1.weight }
            let sum = zip(numbers, values).reduce(0) { $0 + $1.0 * $1.1.weight }
            return total > 0 ? .number(sum / total) : .null
        default: return AggregationMethod.extreme(method, numbers).map { .number($0) } ?? .null
        }
    }

    private func same(_ a: ModelValue, _ b: ModelValue) -> Bool {
        if let a = a.number, let b = b.number { return a == b }
        return a == b
    }

    // MARK: Over components

    /// The children's i-th outputs together, whatever their times are.
    private mutating func byIndex(_ children: [Manifest.Node], _ place: String) throws(ModelFault) -> [ModelMap] {
        let lists = children.map { $0.outputs ?? [] }
        guard let first = lists.first else { return [] }
        if let other = zip(children, lists).first(where: { $0.1.count != first.count }) {
            throw ModelFault(
                other.0.path,
                key: "outputs",
                expected: "as many as \(children[0].path) has, \(first.count), to be joined by their numbers",
                found: "\(other.1.count)",
                advice: isStrict
                    ? "run without --strict-upstream, which joins by time" : "give timestamp and duration, to be joined by time"
            )
        }
        let metrics = metrics(place)
        var rows: [ModelMap] = []
        for index in first.indices {
            var row = ModelMap()
            for key in ["timestamp", "duration"] { row[key] = first[index][key] }
            for (metric, pair) in metrics {
                var values: [(value: ModelValue, weight: Double)] = []
                for (child, list) in zip(children, lists) { values.append((try value(metric, list[index], child.path, index), 1)) }
                row[metric] = try fold(pair.component, values, metric, place, "children")
            }
            rows.append(row)
        }
        return rows
    }

    /// A row for each stretch of time in which the same outputs of the children run.
    private mutating func byTime(_ children: [Manifest.Node], _ place: String) throws(ModelFault) -> [ModelMap] {
        let lists = children.map { $0.outputs ?? [] }
        if lists.allSatisfy({ $0.allSatisfy { !$0.contains("timestamp") && ParameterNames.key(of: "timestamp", in: $0) == nil } }) {
            if lists.contains(where: { !$0.isEmpty }) {
                notes.add(place, "no timestamps: the children's outputs are joined by their numbers")
            }
            return try byIndex(children, place)
        }
        let metrics = metrics(place)
        var timeline = Timeline()
        for (child, node) in children.enumerated() {
            for (index, row) in lists[child].enumerated() {
                timeline.add(try Timeline.interval(row, "\(node.path).outputs[\(index)]"), child: child, index: index)
            }
        }
        var rows: [ModelMap] = []
        for stretch in timeline.stretches() {
            var row = ModelMap([
                ("timestamp", .text(stretch.timestamp)), ("duration", .number(stretch.interval.duration.seconds)),
            ])
            for (metric, pair) in metrics {
                var values: [(value: ModelValue, weight: Double)] = []
                for part in stretch.parts {
                    // Outputs of one child that run at the same time come first together.
                    var own: [(value: ModelValue, weight: Double)] = []
                    for piece in part.pieces {
                        var value = try value(metric, lists[part.child][piece.index], children[part.child].path, piece.index)
                        if pair.time == .sum, let number = value.number { value = .number(number * piece.fraction) }
                        own.append((value, 1))
                    }
                    values.append((try fold(pair.time, own, metric, children[part.child].path, "outputs"), 1))
                }
                row[metric] = try fold(pair.component, values, metric, place, "children")
            }
            rows.append(row)
        }
        return rows
    }
}
