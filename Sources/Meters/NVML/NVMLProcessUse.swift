public import Energy

/// What processes used a GPU over a short while: the key by which its energy can be split.
public struct NVMLProcessUse: Hashable, Sendable {
    public struct Process: Hashable, Sendable {
        /// In the namespace of the host, whoever asks.
        public var pid: Int32
        /// Of the GPU's multiprocessors, averaged by the driver over 1/6 s to 1 s, 0 to 100; nil where the driver does not tell.
        public var smPercent: Int?
        /// Of the GPU's memory; nil where the driver does not tell.
        public var memoryBytes: Int64?
        /// When `smPercent` was taken, by the driver's clock.
        public var time: Timestamp?

        public init(pid: Int32, smPercent: Int? = nil, memoryBytes: Int64? = nil, time: Timestamp? = nil) {
            self.pid = pid
            self.smPercent = smPercent
            self.memoryBytes = memoryBytes
            self.time = time
        }
    }

    /// In the order of their ids, each once.
    public var processes: [Process]
    /// What the next question begins after.
    public var seen: UInt64
    /// Samples that cannot be: drivers return some from memory that they never wrote.
    public var malformed: Int

    public init(processes: [Process], seen: UInt64 = 0, malformed: Int = 0) {
        self.processes = processes
        self.seen = seen
        self.malformed = malformed
    }

    /// Parts of the use, which together are 1.
    public struct Shares<Owner: Hashable & Sendable>: Sendable {
        public var byOwner: [Owner: Double]
        /// Of processes that have no owner: gone before they could be looked up, or nobody's.
        public var unowned: Double
    }

    /// Splits the use among the owners of processes, such as the cgroups of `/proc/PID/cgroup`, by the time on multiprocessors.
    ///
    /// Nil where nobody used the GPU, or where the driver tells no use: memory held says nothing of energy.
    public func shares<Owner: Hashable & Sendable>(of owner: (_ pid: Int32) -> Owner?) -> Shares<Owner>? {
        let total = processes.reduce(0) { $0 + ($1.smPercent ?? 0) }
        guard total > 0 else { return nil }
        var shares = Shares<Owner>(byOwner: [:], unowned: 0)
        for process in processes {
            guard let percent = process.smPercent, percent > 0 else { continue }
            let share = Double(percent) / Double(total)
            if let owner = owner(process.pid) {
                shares.byOwner[owner, default: 0] += share
            } else {
                shares.unowned += share
            }
        }
        return shares
    }
}

/// The library's lists of processes. Pure.
enum NVMLProcessList {
    /// `nvmlProcessUtilizationSample_t`: pid, (4 bytes unused), µs since 1970 in 8 bytes, then percent of multiprocessors, memory,
    /// encoder and decoder, 4 bytes each.
    static let useStride = 32
    /// `nvmlProcessInfo_t` of the second and third version: pid, (4 bytes unused), bytes of memory in 8, then two ids of instances.
    static let processStride = 24

    static func merge(use: [UInt8]?, running: [UInt8]?, seen: UInt64) -> NVMLProcessUse {
        var byPid: [Int32: NVMLProcessUse.Process] = [:]
        var result = NVMLProcessUse(processes: [], seen: seen)
        running?.withUnsafeBytes { bytes in
            for offset in stride(from: 0, through: bytes.count - processStride, by: processStride) {
                guard let pid = pid(in: bytes, at: offset) else {
                    result.malformed += 1
                    continue
                }
                // All ones: not available.
                let memory = Int64(exactly: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
                // One process may be listed once for each instance of a partitioned GPU.
                let earlier = byPid[pid]?.memoryBytes
                byPid[pid] = NVMLProcessUse.Process(
                    pid: pid,
                    memoryBytes: memory.map { Int64(clamping: Int128($0) + Int128(earlier ?? 0)) } ?? earlier
                )
            }
        }
        use?.withUnsafeBytes { bytes in
            for offset in stride(from: 0, through: bytes.count - useStride, by: useStride) {
                let stamp = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
                let percent = bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt32.self)
                guard let pid = pid(in: bytes, at: offset), percent <= 100, let time = Int64(exactly: stamp), time > 0 else {
                    result.malformed += 1
                    continue
                }
                result.seen = max(result.seen, stamp)
                let sample = Timestamp(microseconds: time)
                // The newest, should there be several of one.
                if let known = byPid[pid]?.time, known > sample { continue }
                byPid[pid, default: NVMLProcessUse.Process(pid: pid)].smPercent = Int(percent)
                byPid[pid]?.time = sample
            }
        }
        result.processes = byPid.values.sorted { $0.pid < $1.pid }
        return result
    }

    private static func pid(in bytes: UnsafeRawBufferPointer, at offset: Int) -> Int32? {
        Int32(exactly: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)).flatMap { $0 > 0 ? $0 : nil }
    }
}
