import Accounting
import Energy
import Postgres
import Testing

@testable import Collector
@testable import Store

/// A host's idle floor is learned from quiet minutes and counts from the next day on.
@Suite struct IdleFloorsTests {
    private static let hours = 24 * 3_600.0

    private static func host(_ farm: Farm) async throws -> Int32 {
        try await HostTable.make(name: "quiet", farm.connection)
        return try #require(try await HostTable.find(name: "quiet", farm.connection)).id
    }

    private static func floor(_ hostID: Int32, at seconds: Double, keeping: Bool = true, _ farm: Farm) async throws -> Double? {
        let hour = at(seconds).hour
        return try await IdleFloors.read(hostID: hostID, hour.interval, keeping: keeping, farm.connection).floor(of: .cpu, in: hour)?.best
            .watts
    }

    private static func note(_ watts: [Double], at seconds: Double, _ hostID: Int32, _ farm: Farm) async throws {
        try await IdleFloors.note(
            [at(seconds).hour: watts.isEmpty ? [:] : [.cpu: watts.map { Power(watts: $0) }]],
            hostID: hostID,
            now: farm.clock.now,
            farm.connection
        )
    }

    private static func marks(_ farm: Farm) async throws -> Int64 { try await farm.count("dirty") }

    @Test func thirtyQuietMinutesMakeTheFloorOfTheNextDayAndNotOfTheirOwn() async throws {
        try await Farm.with { farm in
            let host = try await Self.host(farm)
            try await Self.note([Double](repeating: 40, count: 29), at: 0, host, farm)
            #expect(try await Self.floor(host, at: Self.hours, keeping: false, farm) == nil)
            try await Self.note([41], at: 3_600, host, farm)
            #expect(try await Self.floor(host, at: 7_200, farm) == nil)
            #expect(try await Self.floor(host, at: Self.hours, farm) == 40)
            // A host that is never idle again keeps it.
            #expect(try await Self.floor(host, at: 60 * Self.hours, farm) == 40)
        }
    }

    @Test func theSevenDaysBeforeCountAndOlderOnesDoNot() async throws {
        try await Farm.with { farm in
            let host = try await Self.host(farm)
            try await Self.note([Double](repeating: 40, count: 60), at: 0, host, farm)
            try await Self.note([Double](repeating: 70, count: 31), at: 6 * Self.hours, host, farm)
            #expect(try await Self.floor(host, at: 7 * Self.hours, farm) == 40)
            #expect(try await Self.floor(host, at: 8 * Self.hours, farm) == 70)
        }
    }

    @Test func lateMinutesMarkTheHoursWhoseFloorTheyAreIn() async throws {
        try await Farm.with { farm in
            let host = try await Self.host(farm)
            farm.clock.now = at(20 * Self.hours)
            try await Self.note([Double](repeating: 40, count: 60), at: 0, host, farm)
            for day in [1.0, 3, 12] { #expect(try await Self.floor(host, at: day * Self.hours, farm) == 40) }
            _ = try await farm.connection.execute(
                Statement(
                    "accounted_hours",
                    "INSERT INTO accounted_hour (host_id, hour) SELECT $1, $2::timestamptz + n * interval '1 day' FROM unnest(ARRAY[1, 3, 12]) n"
                ),
                [.int4(host), .timestamptz(microseconds: at(0).microseconds)]
            )
            // The same again is no news.
            try await Self.note([Double](repeating: 40, count: 60), at: 0, host, farm)
            #expect(try await Self.marks(farm) == 0)
            // The 13th day's floor is made of the first day's minutes too, since there are no later ones.
            try await Self.note([Double](repeating: 50, count: 60), at: 0, host, farm)
            #expect(try await Self.marks(farm) == 3)
            for day in [1.0, 3, 12] { #expect(try await Self.floor(host, at: day * Self.hours, farm) == 50) }
            _ = try await farm.connection.execute(Statement("clean_queue", "DELETE FROM dirty"))
            // Minutes of the second day are in the floor of the fourth, and stand for the last known on the 13th.
            try await Self.note([Double](repeating: 90, count: 60), at: 1.5 * Self.hours, host, farm)
            #expect(try await Self.marks(farm) == 2)
            // A span turned up in all of these minutes.
            try await Self.note([], at: 0, host, farm)
            #expect(try await Self.floor(host, at: Self.hours, farm) == nil)
            #expect(try await Self.floor(host, at: 12 * Self.hours, farm) == 90)
        }
    }

    @Test func minutesThatLeaveTheFloorWhatItIsMarkNothing() async throws {
        try await Farm.with { farm in
            let host = try await Self.host(farm)
            farm.clock.now = at(20 * Self.hours)
            try await Self.note([Double](repeating: 40, count: 60), at: 0, host, farm)
            #expect(try await Self.floor(host, at: Self.hours, farm) == 40)
            try await farm.connection.executeScript("INSERT INTO accounted_hour (host_id, hour) VALUES (1, '2026-09-02T09:00:00Z')")
            // Others, more and fewer: the median and its interval stay.
            try await Self.note([Double](repeating: 40, count: 59) + [90], at: 0, host, farm)
            try await Self.note([Double](repeating: 40, count: 30), at: 3_600, host, farm)
            #expect(try await Self.marks(farm) == 0)
            #expect(try await Self.floor(host, at: Self.hours, farm) == 40)
            try await Self.note([Double](repeating: 41, count: 60) + [Double](repeating: 42, count: 60), at: 3_600, host, farm)
            #expect(try await Self.marks(farm) == 1)
            #expect(try await Self.floor(host, at: Self.hours, farm) == 41)
        }
    }

    @Test func aFloorIsTheSameAsItIsLearnedAndAsItIsReadBack() async throws {
        try await Farm.with { farm in
            let host = try await Self.host(farm)
            // Between two values that are a µW apart.
            try await Self.note([Double](repeating: 40, count: 20) + [Double](repeating: 40.000_001, count: 20), at: 0, host, farm)
            let learned = try await Self.floor(host, at: Self.hours, farm)
            #expect(learned != nil)
            #expect(try await Self.floor(host, at: Self.hours, farm) == learned)
        }
    }

    @Test func whatIsReadForAnAnswerOnlyIsNotKept() async throws {
        try await Farm.with { farm in
            let host = try await Self.host(farm)
            try await Self.note([Double](repeating: 40, count: 60), at: 0, host, farm)
            #expect(try await Self.floor(host, at: Self.hours, keeping: false, farm) == 40)
            #expect(try await farm.count("idle_floor") == 0)
        }
    }
}
