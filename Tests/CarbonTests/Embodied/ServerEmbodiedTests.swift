import Carbon
import Energy
import Foundation
import Testing

@Suite("What making a server emitted")
struct ServerEmbodiedTests {
    static func factors() throws -> EmbodiedFactors { try EmbodiedFactors(CloudTables.rows("embodied_components.csv")) }

    static let known = ServerParts(
        processors: .init(count: 2, dieSquareMillimetres: 694),
        memory: [.init(count: 12, gigabytes: 32, gigabytesPerSquareCentimetre: 1.75)],
        drives: [.ssd(count: 1, gigabytes: 400, gigabytesPerSquareCentimetre: 50), .hdd(count: 2)],
        supplies: .init(count: 2, kilograms: 3),
        enclosure: .rack
    )

    @Test("the sum of its parts, by hand")
    func byHand() throws {
        let answer = try ServerEmbodied(Self.known, Self.factors())
        // 2 (694 x 0.0197 + 9.14) + 12 (32/1.75 x 2.2 + 5.22) + 400/50 x 2.2 + 6.34 + 2 x 31.11 + 2 x 3 x 24.3 + 150 + 66.1 + 6.68
        let kilograms = 2 * 22.8118 + 12 * (32 / 1.75 * 2.2 + 5.22) + 23.94 + 62.22 + 145.8 + 150 + 66.1 + 6.68
        #expect(abs(answer.total.best.kilograms - kilograms) < 1e-9)
        #expect(answer.assumptions.isEmpty)
        #expect(answer.total.low == answer.total.best && answer.total.high == answer.total.best)
    }

    @Test("what is not known is said, and widens the limits around a figure that stays between them")
    func unknown() throws {
        let vague = ServerParts(processors: .init(count: 2), memory: [.init(count: 8, gigabytes: 32)], gpus: [.init(count: 1, model: "X")])
        let answer = try ServerEmbodied(vague, Self.factors())
        #expect(answer.assumptions.count == 5)
        #expect(answer.total.low < answer.total.best && answer.total.best < answer.total.high)
        var named = vague
        named.processors.architecture = "Skylake"
        let better = try ServerEmbodied(named, Self.factors()).total
        #expect(better.low > answer.total.low && better.high < answer.total.high)
    }

    @Test("what cannot be is refused by its field")
    func faults() throws {
        var server = Self.known
        server.memory[0].gigabytes = 0
        #expect(throws: ServerEmbodied.Fault.outOfRange(field: "memory[0].gigabytes", found: 0, expected: "GB of one module, above 0")) {
            try ServerEmbodied(server, Self.factors())
        }
        server = Self.known
        server.processors.count = -1
        #expect(throws: ServerEmbodied.Fault.self) { try ServerEmbodied(server, Self.factors()) }
        server = Self.known
        server.drives = [.ssd(count: 1, gigabytes: .nan)]
        #expect(throws: ServerEmbodied.Fault.self) { try ServerEmbodied(server, Self.factors()) }
    }

    @Test("Cloud Carbon Footprint's sum: a base, memory beyond 16 GB, further sockets, drives, GPUs")
    func cloudCarbonFootprint() throws {
        let factors = try Self.factors()
        #expect(ServerEmbodied.cloudCarbonFootprint(memoryGigabytes: 16, sockets: 1, factors) == CO2e(kilograms: 1_000))
        // An m5n's machine: 384 GB and two sockets are 1610.79 kg in the published table, which rounds.
        let machine = ServerEmbodied.cloudCarbonFootprint(memoryGigabytes: 384, sockets: 2, factors)
        #expect(abs(machine.kilograms - 1_610.79) < 0.005)
        let gpus = ServerEmbodied.cloudCarbonFootprint(memoryGigabytes: 8, sockets: 1, ssds: 2, hdds: 1, gpus: 8, factors)
        #expect(gpus == CO2e(kilograms: 1_000 + 200 + 50 + 1_200))
    }

    @Test("the published totals are such sums")
    func published() throws {
        guard let vectors = try CCFVectorTests.vectors("embodied_kg") else { return }
        let factors = try Self.factors()
        for vector in vectors {
            func number(_ name: String) throws -> Double { try #require(vector[name] as? Double, "\(name)") }
            // From the memory that the vector's addition stands for; the other additions are counts of 100, 50 and 150 kg.
            let gigabytes = try 16 + number("additional_memory") / 533 * 384
            let sockets = try 1 + Int(number("additional_cpus") / 100)
            let halves = Int(try number("additional_storage") / 50)
            let mass = ServerEmbodied.cloudCarbonFootprint(
                memoryGigabytes: gigabytes,
                sockets: sockets,
                ssds: halves / 2,
                hdds: halves % 2,
                gpus: Int(try number("additional_gpus") / 150),
                factors
            )
            #expect(try abs(mass.kilograms - number("total_kg")) < 0.005, "\(vector["instance_type"] ?? "")")
        }
    }
}

@Suite("A machine's embodied mass over its life")
struct EmbodiedScheduleTests {
    static let start = Timestamp(microseconds: 1_700_000_000_000_000)
    static let tonne = CO2eRange(low: CO2e(kilograms: 800), best: CO2e(kilograms: 1_000), high: CO2e(kilograms: 1_500))

    static func year(_ count: Double) -> Timestamp { start + Microseconds(Int64(count * 8_760 * 3.6e9)) }

    @Test("an hour of four years is 1/35040 of it, and the limits with it")
    func hour() throws {
        let schedule = try EmbodiedSchedule(total: Self.tonne, source: .parts, from: Self.start, lifetimeYears: 4)
        let hour = schedule.mass(in: Interval(Self.year(1), Self.year(1) + .hour))
        #expect(abs(hour.best.grams - 1_000_000.0 / 35_040) < 1e-9)
        #expect(abs(hour.high.grams - 1_500_000.0 / 35_040) < 1e-9)
        #expect(schedule.mass(in: Interval(Self.start - .day, Self.start)) == .zero)
        #expect(schedule.mass(in: Interval(Self.year(4), Self.year(5))) == .zero)
        #expect(schedule.isWrittenOff(at: Self.year(4)) && !schedule.isWrittenOff(at: Self.year(3.9)))
    }

    @Test("a longer life is charged slower from its date on, and never again for what was charged before")
    func revised() throws {
        let schedule = try EmbodiedSchedule(
            total: Self.tonne,
            source: .ownLCA,
            revisions: [.init(from: Self.start, end: Self.year(4)), .init(from: Self.year(2), end: Self.year(6))]
        )
        // Half in the first two years; the other half over the next four.
        #expect(abs(schedule.mass(in: Interval(Self.start, Self.year(2))).best.kilograms - 500) < 1e-6)
        #expect(abs(schedule.mass(in: Interval(Self.year(2), Self.year(3))).best.kilograms - 125) < 1e-6)
        #expect(abs(schedule.mass(in: Interval(Self.start, Self.year(9))).best.kilograms - 1_000) < 1e-6)
    }

    @Test("what was reserved and the idle rest are the whole, also on a host that promised too much")
    func split() {
        let two = EmbodiedSchedule.split(Self.tonne, over: [0.5, 0.3])
        #expect(two.parts.map(\.best.kilograms) == [500, 300] && abs(two.idle.best.kilograms - 200) < 1e-9)
        let crowded = EmbodiedSchedule.split(Self.tonne, over: [1, 1])
        #expect(crowded.parts.map(\.best.kilograms) == [500, 500] && crowded.idle.best == .zero)
        #expect(EmbodiedSchedule.split(Self.tonne, over: []).idle == Self.tonne)
    }

    @Test("lifetimes that cannot be are refused")
    func faults() {
        #expect(throws: EmbodiedSchedule.Fault.noRevision) { try EmbodiedSchedule(total: .zero, source: .parts, revisions: []) }
        for years in [0, -1, .nan, .infinity, 101] {
            #expect(throws: EmbodiedSchedule.Fault.self) {
                try EmbodiedSchedule(total: .zero, source: .parts, from: Self.start, lifetimeYears: years)
            }
        }
        let backwards = EmbodiedSchedule.Revision(from: Self.year(1), end: Self.year(1))
        #expect(throws: EmbodiedSchedule.Fault.endNotAfter(backwards)) {
            try EmbodiedSchedule(total: .zero, source: .parts, revisions: [backwards])
        }
        let early = EmbodiedSchedule.Revision(from: Self.start, end: Self.year(2))
        #expect(throws: EmbodiedSchedule.Fault.outOfOrder(early)) {
            try EmbodiedSchedule(total: .zero, source: .parts, revisions: [.init(from: Self.year(1), end: Self.year(2)), early])
        }
    }
}
