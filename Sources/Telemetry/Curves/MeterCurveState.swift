public import Documents
import Energy

/// Where a meter's curve stands, as it is stored between two requests: by any collector, for any other.
extension MeterCurve.State {
    /// Times in µs since 1970; a slope that is not there yet is null.
    public var json: JSONValue {
        var fields: [String: JSONValue] = [
            "source": .string(source), "source_us": .integer(sourceTime.microseconds), "step_us": .integer(step.count),
            "value": .integer(value), "instant_us": .integer(instant.microseconds), "placed": .bool(isPlaced),
            "parts": .array(
                parts.map {
                    .array([
                        .string($0.key), .integer($0.raw), .integer($0.time.microseconds),
                        $0.startedAt.map { .integer($0.microseconds) } ?? .null,
                    ])
                }
            ),
        ]
        if let gap = pendingGap {
            fields["gap"] = .array([.integer(gap.low), .integer(gap.high), .string(gap.cause.rawValue)])
        }
        if let origin = door.origin, let tail = door.tail {
            fields["door"] = .array([
                .integer(door.epsilon), .integer(origin.time.microseconds), .integer(origin.value), .integer(tail.time.microseconds),
                .integer(tail.value), door.lowestSlope.isFinite ? .number(door.lowestSlope) : .null,
                door.highestSlope.isFinite ? .number(door.highestSlope) : .null,
            ])
        }
        if let power {
            fields["power"] = .array([
                .integer(power.time.microseconds), .integer(power.powerMicrowatts), .integer(power.remainderHalfPicojoules),
                .integer(power.sameSince.microseconds), .bool(power.isBroken),
            ])
        }
        return .object(fields)
    }

    /// Nil for what no collector wrote.
    public init?(json: JSONValue, epsilon: Int64) {
        func time(_ value: JSONValue?) -> Timestamp? { value?.integer.map { Timestamp(microseconds: $0) } }
        guard let fields = json.object, let source = fields["source"]?.string, let sourceTime = time(fields["source_us"]),
            let step = fields["step_us"]?.integer, let value = fields["value"]?.integer, let instant = time(fields["instant_us"]),
            let isPlaced = fields["placed"]?.bool, let parts = fields["parts"]?.array
        else { return nil }
        self.init(
            source: source,
            sourceTime: sourceTime,
            step: Microseconds(step),
            value: value,
            instant: instant,
            isPlaced: isPlaced,
            pendingGap: nil,
            door: SwingingDoor(epsilon: epsilon),
            parts: [],
            power: nil
        )
        for part in parts {
            guard let part = part.array, part.count == 4, let key = part[0].string, let raw = part[1].integer, let at = time(part[2])
            else { return nil }
            self.parts.append(MeterCurve.Part(key: key, raw: raw, time: at, startedAt: time(part[3])?.asStart))
        }
        if let gap = fields["gap"]?.array {
            guard gap.count == 3, let low = gap[0].integer, let high = gap[1].integer,
                let cause = gap[2].string.flatMap(Gap.Cause.init(rawValue:))
            else { return nil }
            pendingGap = PendingGap(low: low, high: high, cause: cause)
        }
        if let door = fields["door"]?.array {
            guard door.count == 7, let epsilon = door[0].integer, let from = time(door[1]), let first = door[2].integer,
                let to = time(door[3]), let last = door[4].integer
            else { return nil }
            self.door = SwingingDoor(
                epsilon: epsilon,
                origin: Knot(time: from, value: first),
                tail: Knot(time: to, value: last),
                lowestSlope: door[5].double ?? -.infinity,
                highestSlope: door[6].double ?? .infinity
            )
        }
        if let power = fields["power"]?.array {
            guard power.count == 5, let at = time(power[0]), let watts = power[1].integer, let rest = power[2].integer,
                let since = time(power[3]), let isBroken = power[4].bool
            else { return nil }
            self.power = PowerIntegrator.Standing(
                time: at,
                powerMicrowatts: watts,
                remainderHalfPicojoules: rest,
                sameSince: since,
                isBroken: isBroken
            )
        }
    }
}
