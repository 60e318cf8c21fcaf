import Glibc

/// Tells of cgroups that come, go, fill and empty, by inotify.
///
/// A cgroup's directory is watched for directories made and removed in it, its `cgroup.events` (v2) for a change of `populated`.
/// The kernel does not end the watches of a removed cgroup by itself: `remove` must be called, or they stay for ever.
public final class CgroupWatch {
    public enum Event: Hashable, Sendable {
        /// A cgroup was made below a watched one. It may be gone already, and made anew under the same name.
        case born(watch: Int32, name: String)
        /// A cgroup below a watched one was removed.
        case died(watch: Int32, name: String)
        /// Something in a watched `cgroup.events` changed.
        case populationChanged(watch: Int32)
        /// The kernel dropped events: everything must be looked at anew.
        case overflow
    }

    /// Becomes readable when there are events.
    public let descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer

    /// - Throws: `SensorFault` with the `errno` of `inotify_init1`; `EMFILE` where the user has too many instances.
    public init() throws(SensorFault) {
        descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { throw SensorFault(path: "inotify", errno: errno) }
        buffer = .allocate(byteCount: 16_384, alignment: 16)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// - Throws: `SensorFault`; `isVanished` where there is no such cgroup, `ENOSPC` where the user may have no more watches.
    public func watchDirectory(_ directory: String) throws(SensorFault) -> Int32 {
        try add(directory, UInt32(IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW))
    }

    /// - Throws: as `watchDirectory`; `isVanished` also where the hierarchy has no `cgroup.events`, as v1 and v2's root.
    public func watchPopulation(of directory: String) throws(SensorFault) -> Int32 {
        try add("\(directory)/cgroup.events", UInt32(IN_MODIFY))
    }

    private func add(_ path: String, _ mask: UInt32) throws(SensorFault) -> Int32 {
        let watch = inotify_add_watch(descriptor, path, mask)
        guard watch >= 0 else { throw SensorFault(path: path, errno: errno) }
        return watch
    }

    /// Ends a watch; one that the kernel has ended already is passed over.
    public func remove(_ watch: Int32) { _ = inotify_rm_watch(descriptor, watch) }

    /// Hands out the events that wait, in their order. Returns false where more may be waiting than one call takes.
    public func takeEvents(_ body: (Event) -> Void) -> Bool {
        for _ in 0..<64 {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count > 0 else {
                if count < 0, errno == EINTR { continue }
                return true
            }
            hand(UnsafeRawBufferPointer(rebasing: buffer[..<count]), to: body)
        }
        return false
    }

    private func hand(_ bytes: UnsafeRawBufferPointer, to body: (Event) -> Void) {
        let head = MemoryLayout<inotify_event>.size
        var offset = 0
        while offset + head <= bytes.count {
            let event = bytes.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
            let start = offset + head
            let end = min(start + Int(event.len), bytes.count)
            offset = end
            let mask = Int(event.mask)
            if mask & Int(IN_Q_OVERFLOW) != 0 {
                body(.overflow)
            } else if mask & Int(IN_ISDIR) != 0, mask & Int(IN_CREATE) != 0 {
                body(.born(watch: event.wd, name: Self.name(bytes[start..<end])))
            } else if mask & Int(IN_ISDIR) != 0, mask & Int(IN_DELETE) != 0 {
                body(.died(watch: event.wd, name: Self.name(bytes[start..<end])))
            } else if mask & Int(IN_MODIFY) != 0 {
                body(.populationChanged(watch: event.wd))
            }
        }
    }

    private static func name(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
