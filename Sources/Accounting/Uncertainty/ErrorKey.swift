public import Energy

/// What an error belongs to. Figures with the same key are wrong together, by the same factor: their errors add up, and cancel where one
/// figure is taken from the other. Errors of different keys know nothing of each other.
public enum ErrorKey: Hashable, Sendable {
    /// The meters of a host's component.
    case meter(host: Int32, component: Component)
    /// Its idle floor.
    case floor(host: Int32, component: Component)
    /// Its curve at the instant of a span's start or end: what a span has too much there, its neighbour lacks.
    case edge(host: Int32, component: Component, instant: Timestamp)
    /// What flowed while the host was not metered in an hour.
    case gap(host: Int32, hour: Hour, component: Component)
    /// How an hour's dynamic energy was shared out.
    case share(host: Int32, hour: Hour, component: Component)
    /// The overhead of a building: the site's name, else the host's.
    case pue(String)
    /// A series of grid intensities.
    case intensity(zone: String, provider: String, kind: String)
    /// What making the host emitted.
    case embodied(host: Int32)

    /// The kind of error, in a word.
    public var name: String {
        switch self {
        case .meter: "meter"
        case .floor: "idle_floor"
        case .edge: "edge"
        case .gap: "gap"
        case .share: "share"
        case .pue: "pue"
        case .intensity: "intensity"
        case .embodied: "embodied"
        }
    }
}
