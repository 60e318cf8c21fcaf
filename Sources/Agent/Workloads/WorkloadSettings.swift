import Energy

/// How many cgroups are followed, and how closely.
struct WorkloadSettings: Hashable, Sendable {
    /// Largest distance of a CPU-time sample from the line.
    var cpuEpsilon: Microseconds = .milliseconds(50)
    /// Largest distance of a memory sample from the line: 1 GiB for a second.
    var memoryEpsilonByteSeconds: Int64 = 1 << 30
    /// Time between two calls of `Workloads.read` without flags.
    var readPeriod: Microseconds = .seconds(1)
    /// Spans that may run at a time.
    var maximumSpans = 4_096
    /// Directories that are watched.
    var maximumDirectories = 4_096
    /// Curves of cgroups that no span has named; and as many that have ended and wait to be sent.
    var maximumCurves = 1_024
    /// Directories below a mount deeper than this are not looked into.
    var maximumDepth = 12
    /// Whether cgroups are followed that no client named.
    var isWatching = true
    /// A value that has not moved for this many periods is read every `idleStride` periods only.
    var idleAfter = 60
    var idleStride = 4
    /// Memory is read every so many periods.
    var memoryStride = 10
    /// A curve that does not move and belongs to no span has a tail every so often.
    var idleTailEvery: Microseconds = .seconds(10)
    /// Readings that births and deaths may cause between two periods; what is beyond waits for the period's own.
    var settlingReadings = 2_000
}
