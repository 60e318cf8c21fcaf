import Glibc
import Meters

/// Which cgroups a user may name in a span: those that are theirs, and those that they run in.
///
/// A span gives its cgroup a curve of its own and cuts the one before it, so nobody may do that to others. What is a user's own is told
/// by the kernel: the cgroup's directory belongs to them (as one that `wattle run` made does), or the process that asks is in it or below
/// it. The root of a hierarchy is everybody's, so it is nobody's.
struct CgroupClaim {
    let peer: Peer
    let hierarchies: [CgroupHierarchy]
    /// Where the kernel shows processes.
    var proc = "/proc"

    /// The request as this user may make it: a cgroup is known by where it is, whatever else it is called.
    ///
    /// At the end of a span a cgroup that is not theirs, or no longer there, is left out: the span has its own from its start.
    ///
    /// - Throws: `SpanFault` where a span shall start in a cgroup that is not theirs.
    func checked(_ request: SpanRequest) throws(SpanFault) -> SpanRequest {
        var request = request
        guard let directory = request.directory ?? request.cgroup.flatMap({ hierarchies.first?.directory(of: $0) }),
            CgroupHierarchy.isPlain(directory), let hierarchy = hierarchies.first(where: { $0.contains(directory: directory) })
        else { return request }
        if request.directory != nil { request.cgroup = nil }
        do throws(SpanFault) {
            try check(directory, in: hierarchy)
        } catch {
            guard request.phase == .finish else { throw error }
            request.cgroup = nil
            request.directory = nil
        }
        return request
    }

    private func check(_ directory: String, in hierarchy: CgroupHierarchy) throws(SpanFault) {
        var status = stat()
        guard stat(directory, &status) == 0 else {
            throw SpanFault(description: "expected a cgroup at \(directory), found none to read: \(Errno.text(errno))")
        }
        let cgroup = String(directory.dropFirst(hierarchy.mount.count))
        let own = own(hierarchy.kind)
        if !cgroup.isEmpty, status.st_uid == peer.uid || own.map({ "\($0)/".hasPrefix("\(cgroup)/") }) == true { return }
        let found =
            "found \(cgroup.isEmpty ? "the root of all" : cgroup) of user \(status.st_uid)\(own.map { ", the process being in \($0)" } ?? "")"
        throw SpanFault(
            description:
                "expected a cgroup of user \(peer.uid) or one that process \(peer.pid) is in, \(found); name none, or one of your own"
        )
    }

    /// The cgroup that the peer runs in; nil where it has ended or that cannot be told.
    func own(_ kind: CgroupHierarchy.Kind) -> String? {
        let process = "\(proc)/\(peer.pid)"
        // One that has ended may have left its number to another user's.
        var status = stat()
        guard stat(process, &status) == 0, status.st_uid == peer.uid else { return nil }
        let descriptor = open("\(process)/cgroup", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let bytes: [UInt8]
        do throws(DiskFault) {
            bytes = try Disk.read(descriptor, path: "\(process)/cgroup", offset: 0, count: 64 << 10)
        } catch {
            return nil
        }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isWanted =
                switch kind {
                case .unified: fields[0] == "0" && fields[1].isEmpty
                case .cpuacct: fields[1].split(separator: ",").contains("cpuacct")
                }
            if isWanted { return String(fields[2]) }
        }
        return nil
    }
}
