import Energy

/// Keeps the accounts of one host over one window.
///
/// A pure function of its input. Between two breakpoints (knots, edges of spans and gaps) every curve is a line, so every rate is
/// constant there. One pass over the breakpoints makes the host's prefix sums; what a span gets is its weight times a difference of two
/// of them, however many run beside it. Dynamic energy is signed until the end: sums then depend on the curves at their ends only,
/// whatever thinning did in between.
public enum Sweep {
    /// The accounts of each component that has a meter, in the order of `Component`.
    public static func accounts(of host: HostInput) -> [ComponentAccounts] {
        guard let prepared = Prepared(host) else { return [] }
        return prepared.components.map { component in
            var flags = prepared.timeline.flags
            if prepared.fitted.contains(component) { flags.insert(.idleFloorFitted) }
            if component == .rest, prepared.isBelowInner { flags.insert(.nodeBelowInner) }
            let (meters, sums, other) = prepared.sums(of: component)
            let ceiling = prepared.ceiling(of: component)
            return ComponentClosing(
                host,
                meters,
                sums,
                other: other,
                ceiling: ceiling,
                prepared.timeline,
                bearsReservations: component == prepared.components.first
            ).accounts(flags: flags)
        }
    }

    /// The meters that the accounts are made with: each with a floor, where one is known or can be fitted, and what a meter around others
    /// counted beyond them as a meter of its own.
    public static func meters(of host: HostInput) -> [MeterInput] { MeterPreparation(host).meters }

    /// What the spans and the other accounts have before anything is clamped or rounded: the laws hold of these exactly.
    static func unclamped(of host: HostInput) -> [UnclampedAccounts] {
        guard let prepared = Prepared(host) else { return [] }
        return prepared.components.map { component in
            let (_, sums, _) = prepared.sums(of: component)
            let timeline = prepared.timeline
            return UnclampedAccounts(
                component: component,
                pieces: sums.pieces,
                cells: Cell.all(of: timeline).map {
                    UnclampedAccounts.Cell(
                        spanID: timeline.spans[Int($0.span)].id,
                        piece: Int($0.piece),
                        figure: sums.figure(of: $0, timeline)
                    )
                }
            )
        }
    }

    /// What the accounts are made with, and the host's timeline.
    private struct Prepared {
        let host: HostInput
        let meters: [MeterInput]
        let others: [MeterInput]
        let fitted: Set<Component>
        let isBelowInner: Bool
        let timeline: Timeline

        init?(_ host: HostInput) {
            let (start, end) = (host.window.start.microseconds, host.window.end.microseconds)
            guard start < end, !end.subtractingReportingOverflow(start).overflow else { return nil }
            let prepared = MeterPreparation(host)
            guard !prepared.meters.isEmpty else { return nil }
            self.host = host
            meters = prepared.meters
            others = prepared.others
            fitted = prepared.fitted
            isBelowInner = prepared.isBelowInner
            timeline = Timeline(host, meters: meters, alternatives: others)
        }

        var components: [Component] {
            Component.allCases.filter { component in meters.contains { $0.component == component } }
        }

        /// With the highest floors that those can have of which nothing is known; nil where all are.
        func ceiling(of component: Component) -> ComponentSums? {
            var own = meters.filter { $0.component == component }
            var isUnknown = false
            for m in own.indices where own[m].idle == nil {
                guard let most = IdleFit.ceiling(of: own[m], window: host.window) else { continue }
                own[m].idle = UtilisationModel.Point(low: .zero, best: most, high: most)
                isUnknown = true
            }
            return isUnknown ? ComponentSums(component: component, meters: own, timeline: timeline) : nil
        }

        func sums(of component: Component) -> (meters: [MeterInput], sums: ComponentSums, other: ComponentSums?) {
            let own = meters.filter { $0.component == component }
            return (
                own,
                ComponentSums(component: component, meters: own, timeline: timeline),
                component == .rest && !others.isEmpty
                    ? ComponentSums(component: component, meters: others, timeline: timeline) : nil
            )
        }
    }
}

/// The host's meters with a floor for each, where one is known or can be fitted, and a meter for the rest.
private struct MeterPreparation {
    var meters: [MeterInput]
    /// In place of the meters of `rest`, with the other course.
    var others: [MeterInput] = []
    var fitted: Set<Component> = []
    var isBelowInner = false

    init(_ host: HostInput) {
        meters = host.meters
        if meters.contains(where: { $0.idle == nil }) {
            let quiet = IdleFit.quietMinutes(of: host)
            for m in meters.indices where meters[m].idle == nil {
                meters[m].idle = IdleFit.floor(of: meters[m], quiet: quiet)
                if meters[m].idle != nil { fitted.insert(meters[m].component) }
            }
        }
        let rests = host.wholes.map { RestMeter($0, host) }
        guard !rests.isEmpty else { return }
        others = meters.filter { $0.component == .rest } + rests.map(\.proportional)
        meters += rests.map(\.even)
        isBelowInner = rests.contains { $0.isBelowInner }
        if host.restIdle == nil { fitted.insert(.rest) }
    }
}

/// A component's figures as they are before they are clamped and rounded, fractional µJ.
struct UnclampedAccounts {
    struct Cell {
        var spanID: Int64
        var piece: Int
        var figure: SpanFigure
    }

    var component: Component
    var pieces: [ComponentSums.PieceSums]
    /// In order of spans, then of time.
    var cells: [Cell]
}
