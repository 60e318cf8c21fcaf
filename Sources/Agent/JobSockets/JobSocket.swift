import Energy
import Glibc
import Meters

/// One job's own socket: what is told on it, and to how many.
struct JobSocket {
    /// A cgroup whose CPU time is the job's.
    struct Place {
        let directory: String
        let source: CgroupCPUTime
        var last: Int64
    }

    static let mostPlaces = 8
    /// Spans that the job may have open on it; an older one is forgotten for one more.
    static let mostSpans = 16

    let key: String
    let uid: UInt32
    let path: String
    let listener: Int32
    let opened: Microseconds
    /// The first is the job's own; the others are the containers from which it asks.
    private(set) var places: [Place]
    private var share: JobShare
    /// All who ask are the job: they share its one figure a second.
    private var allowance = PeerAllowance(trusted: [], mostSpans: JobSocket.mostSpans)
    private let uidOfAll: UInt32 = .max

    init(key: String, uid: UInt32, path: String, listener: Int32, opened: Microseconds, place: Place, since snapshot: HostSnapshot) {
        (self.key, self.uid, self.path, self.listener, self.opened) = (key, uid, path, listener, opened)
        places = [place]
        share = JobShare(since: snapshot)
    }

    /// Counts what was used since the last time.
    ///
    /// - Returns: false where the job's own cgroup is gone.
    mutating func count(_ snapshot: HostSnapshot) -> Bool {
        var used: Int64 = 0
        var isThere = true
        var left: [Place] = []
        for (i, place) in places.enumerated() {
            var place = place
            do throws(SensorFault) {
                let now = try place.source.read().count
                used += max(0, now - place.last)
                place.last = now
                left.append(place)
            } catch {
                // A container of the job's may end before it does.
                if i == 0 { isThere = false }
            }
        }
        places = left
        share.add(snapshot, used: used)
        return isThere
    }

    /// Whether the job's own cgroup still has its name.
    var isPlaceThere: Bool { places.first.map { access($0.directory, F_OK) == 0 } ?? false }

    /// From now on what runs there is the job's too.
    mutating func adopt(_ place: Place) {
        guard places.count < Self.mostPlaces, !holds(place.directory) else { return }
        places.append(place)
    }

    /// Whether it is one of the job's cgroups, or within one.
    func holds(_ directory: String) -> Bool { places.contains { "\(directory)/".hasPrefix("\($0.directory)/") } }

    /// What the job is told. Cgroups that it names are passed over: nothing is read or cut for them.
    mutating func answer(_ request: SocketRequest) -> PeerAllowance.Answer? {
        switch request {
        case .snapshot: return allowance.look(share.view, by: uidOfAll)
        case .span(let span):
            var view = share.view
            // The CPU time of the span's own cgroup is not known here.
            view.cpuTime = nil
            switch span.phase {
            case .start: return allowance.start(span.key, view, by: uidOfAll)
            case .finish: return allowance.finish(span.key, view, by: uidOfAll)
            }
        case .status, .jobSocket: return nil
        }
    }
}
