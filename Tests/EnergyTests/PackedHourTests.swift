import Energy
import Foundation
import Testing
import TestSupport

@Suite struct PackedHourTests {
    private static let hour = Hour(number: 496_737)

    private static func at(_ seconds: Double) -> Timestamp { hour.start + Microseconds(Int64(seconds * 1e6)) }

    /// A curve with whatever may occur: knots before and after, at the very edges, with flags, gaps over the edges.
    private static func anyCurve(_ random: inout RandomSource) -> Curve {
        var knots: [Knot] = []
        var time = hour.start - Microseconds(Int64.random(in: 0...7_200_000_000, using: &random))
        var value = Int64.random(in: -1_000_000...4_000_000_000_000, using: &random)
        for _ in 0..<Int.random(in: 0...200, using: &random) {
            if random.chance(0.02) { time = max(time, hour.start) }
            if random.chance(0.02) { time = max(time, hour.end) }
            let flags = random.chance(0.2) ? KnotFlags(rawValue: UInt16.random(in: 0...15, using: &random)) : []
            knots.append(Knot(time: time, value: value, flags: flags))
            time = time + Microseconds(Int64.random(in: 1...120_000_000, using: &random))
            value += random.chance(0.1) ? 0 : Int64.random(in: 0...20_000_000_000, using: &random)
        }
        let gaps = (0..<Int.random(in: 0...3, using: &random)).map { n in
            let start = hour.start + Microseconds(Int64(n) * 1_800_000_000 - 600_000_000)
            let low = Int64.random(in: -5...1_000_000, using: &random)
            return Gap(
                interval: Interval(start, start + Microseconds(Int64.random(in: 1...1_700_000_000, using: &random))),
                low: low,
                high: low + Int64.random(in: 0...1_000_000_000, using: &random),
                cause: Gap.Cause.allCases.randomElement(using: &random)!
            )
        }
        return Curve(knots: knots, gaps: gaps)
    }

    @Test(arguments: 0..<LongRun.rounds(short: 200, long: 10_000)) func anHourComesBackAsItWasAndAlwaysWithTheSameBytes(seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        let curve = Self.anyCurve(&random)
        let packed = PackedHour(curve, hour: Self.hour)
        let back = try PackedHour(bytes: packed.bytes)
        #expect(back == packed)
        #expect(back.bytes == packed.bytes)
        // Nothing outside changes it, nor the order in which knots were found.
        #expect(
            PackedHour(Curve(knots: packed.curve.knots.reversed(), gaps: curve.gaps.shuffled(using: &random)), hour: Self.hour) == packed
        )
        for _ in 0..<20 {
            let t = Self.hour.start + Microseconds(Int64.random(in: 0...3_600_000_000, using: &random))
            #expect(back.curve.value(at: t) == curve.value(at: t))
        }
        #expect(back.curve.increase(over: Self.hour.interval) == curve.increase(over: Self.hour.interval))
        #expect(back.curve.known(within: Self.hour.interval) == curve.known(within: Self.hour.interval))
    }

    @Test func whatIsCutOrChangedIsRefusedOrAnotherHourAndNeverACrash() throws {
        var random = RandomSource(seed: 7)
        for _ in 0..<50 {
            let packed = PackedHour(Self.anyCurve(&random), hour: Self.hour)
            let bytes = packed.bytes
            for end in bytes.indices { #expect(throws: PackedHour.Malformed.self) { try PackedHour(bytes: Array(bytes[..<end])) } }
            for _ in 0..<50 {
                var other = bytes
                other[Int.random(in: other.indices, using: &random)] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
                if let read = try? PackedHour(bytes: other) { #expect(read.bytes == other && read != packed) }
            }
        }
        #expect(throws: PackedHour.Malformed.self) { try PackedHour(bytes: PackedHour(Curve(knots: []), hour: Self.hour).bytes + [0]) }
    }

    @Test func aKnotAtTheVeryStartStandsAloneAndOneAtTheEndIsTheNextHours() {
        let knots = [-10.0, 0, 5, 3_600, 3_700].map { Knot(time: Self.at($0), value: Int64($0 * 1e6) + 10_000_000) }
        let packed = PackedHour(Curve(knots: knots), hour: Self.hour)
        #expect(packed.before == nil)
        #expect(packed.knots == [knots[1], knots[2]])
        #expect(packed.after == knots[3])
    }

    /// Real counters of real loads, as an agent keeps them.
    @Test func aKnotOfARealTraceTakesEightBytesAtMost() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared/data/rapl").standardized
        let files = ((try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? [])
            .filter { $0.pathExtension == "csv" }
        guard !files.isEmpty else {
            print("skipped: no traces at \(folder.path)")
            return
        }
        var total = (bytes: 0, knots: 0)
        for file in files {
            for curve in Self.curves(try String(contentsOf: file, encoding: .utf8)) {
                for hour in curve.extent.map(Hour.touching) ?? [] {
                    let packed = PackedHour(curve, hour: hour)
                    total = (total.bytes + packed.bytes.count, total.knots + packed.knots.count)
                }
            }
        }
        #expect(total.knots > 5_000)
        print("packed hours of traces: \(Double(total.bytes) / Double(total.knots)) bytes a knot, \(total.knots) knots")
        #expect(Double(total.bytes) <= 8 * Double(total.knots))
    }

    /// The curve of each socket and domain of a trace (`t_s,socket,domain,energy_j`) as an agent that samples at 10 Hz keeps it: within 1 J.
    private static func curves(_ text: String) -> [Curve] {
        var samples: [String: [Knot]] = [:]
        var counts: [String: Double] = [:]
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: ",")
            guard fields.count == 4, let t = Double(fields[0]), let joules = Double(fields[3]) else { continue }
            let name = "\(fields[1]) \(fields[2])"
            // The trace has increases.
            counts[name, default: 0] += joules * 1e6
            let knot = Knot(time: at(t), value: Int64(counts[name, default: 0].rounded()))
            if let last = samples[name]?.last, knot.time - last.time < .milliseconds(100) { continue }
            samples[name, default: []].append(knot)
        }
        return samples.values.map { samples in
            var door = SwingingDoor(epsilon: 1_000_000)
            var knots: [Knot] = []
            // The traces last 10 s: again and again, until there is an hour of it.
            let (length, rise) = (samples[samples.count - 1].time - samples[0].time, samples[samples.count - 1].value - samples[0].value)
            for round in 0..<(3_590_000_000 / max(1, length.count)) {
                for sample in samples.dropFirst(round == 0 ? 0 : 1) {
                    let time = sample.time + Microseconds(round * length.count)
                    if let kept = door.add(Knot(time: time, value: sample.value + round * rise)) { knots.append(kept) }
                }
            }
            return Curve(knots: knots)
        }
    }
}
