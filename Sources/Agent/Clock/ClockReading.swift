public import Energy
import Glibc

/// The host's clocks at one instant.
public struct ClockReading: Hashable, Sendable {
    /// Since boot, suspended time included. All curves' times come from this one.
    public var boottime: Microseconds
    /// Since boot, suspended time not included: its distance from `boottime` grows by each suspend.
    public var monotonic: Microseconds
    public var wall: Timestamp

    public init(boottime: Microseconds, monotonic: Microseconds, wall: Timestamp) {
        self.boottime = boottime
        self.monotonic = monotonic
        self.wall = wall
    }

    public static func now() -> ClockReading {
        ClockReading(
            boottime: Microseconds(microseconds(CLOCK_BOOTTIME)),
            monotonic: Microseconds(microseconds(CLOCK_MONOTONIC)),
            wall: Timestamp(microseconds: microseconds(CLOCK_REALTIME))
        )
    }

    /// CPU time of this process, all threads together.
    static func processCPUTime() -> Microseconds { Microseconds(microseconds(CLOCK_PROCESS_CPUTIME_ID)) }

    private static func microseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        // Fails only for a clock that the kernel lacks; these four are older than any kernel that Swift runs on.
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }
}

extension Timestamp {
    /// 2020-01-01. A clock that says less was never set: a board without a battery starts in 1970, or when its firmware was made.
    static let leastPlausible = Timestamp(microseconds: 1_577_836_800_000_000)
}

/// Turns time since boot into time since the epoch, the same way throughout a boot: steps of the wall clock do not reach the curves.
///
/// The distance from the collector's clock is measured beside it and travels with every batch.
public struct TimeBase: Hashable, Sendable {
    public let bootID: String
    /// Time since the epoch minus time since boot.
    public let offset: Microseconds

    public init(bootID: String, offset: Microseconds) {
        self.bootID = bootID
        self.offset = offset
    }

    /// The base for this boot: the one fixed when the boot was first seen, else a new one from the wall clock, never before
    /// the last time of an earlier boot.
    init(bootID: String, clock: ClockReading, resuming state: AgentState?) {
        if let state, state.bootID == bootID {
            self.init(bootID: bootID, offset: Microseconds(state.wallOffset))
            return
        }
        let lastTime = state?.lastTime ?? Timestamp(microseconds: 0)
        let wall = max(clock.wall, lastTime + Microseconds(1))
        self.init(bootID: bootID, offset: Microseconds(wall.microseconds - clock.boottime.count))
    }

    func time(of reading: ClockReading) -> Timestamp { Timestamp(microseconds: reading.boottime.count + offset.count) }
}
