import Energy
import Meters
import SwiftProtobuf
import Wire

/// The host's meters with their curves: those that answer, those in trouble, those that were here before.
struct MeterBank {
    private struct Metered {
        var meter: any Meter
        var curve: CountedCurve
        let isFast: Bool
        /// Readings that are not in the curve yet, oldest first; never more than `mostSamples`.
        var samples: [Sample] = []
        /// A reading with a time of its own or a gap, which is told only once.
        var held: MeterReading?
        var trouble: Trouble?
        /// Times that it ceased to answer, and gaps in its curve.
        var failures: UInt64 = 0
        var gaps: UInt64 = 0
    }

    private struct Sample {
        var time: Timestamp
        var count: Int64
    }

    /// Between two full readings fast ones are only kept: after a tenth of a second of sleep each line of code that is touched is
    /// fetched anew, which costs more than its work. They go through the curve together, once a second.
    private static let mostSamples = 64

    /// A meter that does not answer.
    private struct Trouble {
        var since: Timestamp
        /// Its device is gone: it must be found anew.
        var isGone: Bool
        /// Nobody waits for it any more.
        var isClosed = false
        var mustClose = false
    }

    /// How long spans wait for a meter that does not answer, before they are accounted without it. Should it answer later, its
    /// counter has the energy of the time in between, and what was accounted is corrected.
    static let patience = Microseconds.seconds(30)
    static let patienceWithGone = Microseconds.seconds(5)

    private let settings: SamplingSettings
    private let drawOrigin: @Sendable () -> UInt64
    private var metered: [Metered] = []
    /// Curves of meters that were here before and are not now; kept so that their counts can continue.
    private var dormant: [AgentState.Curve] = []
    private var dormantToClose: [AgentState.Curve] = []
    private var factor: Int64 = 1
    private var news: [String] = []

    /// - Parameter resumed: the curves of an earlier run that are not taken by others; those that no meter takes up are dormant.
    init(settings: SamplingSettings, resumed: [AgentState.Curve], drawOrigin: @escaping @Sendable () -> UInt64) {
        self.settings = settings
        self.drawOrigin = drawOrigin
        dormant = resumed
        period = settings.slowPeriod
    }

    // MARK: Which meters there are

    /// What a meter is called on the wire. A curve is in the cover for ever or never, because hours that have passed are computed
    /// again: a meter that changes its role goes on under another name.
    static func curveName(_ place: MeterPlace, isInCover: Bool) -> String { isInCover ? place.name : "beside/\(place.name)" }

    /// Takes up what was found: new meters, and those whose device has come back. Meters that answer are left as they are.
    ///
    /// - Parameters:
    ///   - time: of the finding; nil at the start.
    ///   - isSameBoot: the resumed curves are of this boot.
    mutating func adopt(_ sensors: HostSensors, at time: Timestamp?, isSameBoot: Bool, numbers: inout CurveNumbers) {
        flush()
        let inCover = sensors.cover
        func name(_ place: MeterPlace) -> String { Self.curveName(place, isInCover: inCover.contains(place.name)) }
        let roles = Dictionary(sensors.meters.map { ($0.place.name, name($0.place)) }, uniquingKeysWith: { a, _ in a })
        // A meter whose role has changed, or which is not wanted any more, ends as what it was. One that does not answer may come back.
        for i in metered.indices.reversed() {
            let old = metered[i].curve.announcement.name
            let role = roles[metered[i].meter.place.name]
            guard role != old, role != nil || metered[i].trouble == nil else { continue }
            metered[i].curve.force()
            if let state = metered[i].curve.state { dormant.append(state) }
            leftovers.append(metered[i].curve)
            news.append(role.map { "\(old) goes on as \($0)" } ?? "\(old) ends: it is not among the sensors any more")
            metered.remove(at: i)
        }
        for meter in sensors.meters {
            let curveName = name(meter.place)
            if let i = metered.firstIndex(where: { $0.curve.announcement.name == curveName }) {
                guard let trouble = metered[i].trouble else { continue }
                metered[i].meter = meter
                if trouble.isGone {
                    metered[i].curve.sourceBegunAnew()
                    metered[i].trouble?.isGone = false
                    news.append("\(curveName) is there again")
                }
                continue
            }
            var curve = Self.curve(of: meter, name: curveName, isInCover: inCover.contains(meter.place.name), settings)
            if factor != 1 { curve.setCoarseness(factor, of: settings.energyEpsilon.microjoules) }
            if let i = dormant.firstIndex(where: { $0.name == curveName }) {
                let state = dormant.remove(at: i)
                dormantToClose.removeAll { $0.name == curveName }
                curve.announcement.ref = numbers.take(isSameBoot ? state.ref : nil)
                curve.resume(state, isSameBoot: isSameBoot)
            } else {
                curve.announcement.ref = numbers.take(nil)
                curve.announcement.origin = drawOrigin()
            }
            if time != nil { news.append("\(curveName) is measured from now on") }
            var new = Metered(meter: meter, curve: curve, isFast: meter.cadence == .fast)
            new.samples.reserveCapacity(Self.mostSamples)
            metered.append(new)
        }
        period = Self.period(of: metered, settings)
        guard time == nil else { return }
        for i in dormant.indices {
            dormant[i].ref = numbers.take(isSameBoot ? dormant[i].ref : nil)
            news.append("\(dormant[i].name) was measured before and is not there now; its count waits at \(dormant[i].value) µJ")
        }
        dormantToClose = dormant
    }

    /// Curves that ended since the last batch, with what is still to be sent of them.
    private var leftovers: [CountedCurve] = []

    /// Whether a device is gone, so that it is worth looking for it.
    var isMissingDevice: Bool { metered.contains { $0.trouble?.isGone == true } }

    /// Time between two readings of the fast meters: as configured, once a second where there is none, and never more than a quarter
    /// of the shortest time in which one of them can wrap.
    private(set) var period: Microseconds

    private static func period(of metered: [Metered], _ settings: SamplingSettings) -> Microseconds {
        let wanted = metered.contains(where: \.isFast) ? settings.fastPeriod : settings.slowPeriod
        let quarters = metered.compactMap { metered -> Microseconds? in
            guard case .hardware(let modulus?) = metered.meter.counting, metered.meter.maximumPower.watts > 0 else { return nil }
            return Microseconds(Int64(saturating: Double(modulus) / metered.meter.maximumPower.watts / 4))
        }
        return max(.milliseconds(1), min(wanted, quarters.min() ?? wanted))
    }

    private static func curve(of meter: any Meter, name: String, isInCover: Bool, _ settings: SamplingSettings) -> CountedCurve {
        var announcement = WireCurveAnnouncement()
        announcement.name = name
        announcement.kind = .meter
        announcement.zone = meter.place.zone.rawValue
        announcement.sensor = meter.sensor
        announcement.quality = meter.place.quality.rawValue
        announcement.inCover = isInCover
        announcement.epsilon = settings.energyEpsilon.microjoules
        announcement.samplePeriodUs = UInt64((meter.cadence == .fast ? settings.fastPeriod : settings.slowPeriod).count)
        announcement.pMaxUw = UInt64(max(0, meter.maximumPower.microwatts))
        if let idle = meter.idlePower {
            announcement.pIdleUw = UInt64(max(0, idle.best.microwatts))
            announcement.pIdleLowUw = UInt64(max(0, idle.low.microwatts))
            announcement.pIdleHighUw = UInt64(max(0, idle.high.microwatts))
        }
        announcement.boundLowPpm = UInt32(clamping: Int64(saturating: (meter.boundRatios.low * 1e6).rounded(.down)))
        announcement.boundHighPpm = UInt32(clamping: Int64(saturating: (meter.boundRatios.high * 1e6).rounded(.up)))
        announcement.basis = meter.basis
        let modulus: Int64?
        let absence: CountedCurve.Absence
        switch meter.counting {
        case .hardware(let value): (modulus, absence) = (value, .counted)
        case .program: (modulus, absence) = (nil, .unknown)
        }
        return CountedCurve(announcement: announcement, modulus: modulus, maximumRate: meter.maximumPower.watts, absence: absence)
    }

    // MARK: Reading

    /// Reads the meters, all or the fast ones. One that fails stops none of the others.
    mutating func read(onlyFast: Bool, at time: Timestamp, flags: KnotFlags, isSuspended: Bool) {
        guard onlyFast else {
            for i in metered.indices { readWhole(i, at: time, flags: flags, isSuspended: isSuspended) }
            return
        }
        for i in metered.indices where metered[i].isFast && !Self.keep(&metered[i], at: time) {
            readWhole(i, at: time, flags: flags, isSuspended: isSuspended)
        }
    }

    /// Reads a meter and keeps what it says for later. False where there is more to it, and nothing was kept.
    private static func keep(_ metered: inout Metered, at time: Timestamp) -> Bool {
        guard metered.trouble == nil, metered.samples.count < mostSamples else { return false }
        do throws(SensorFault) {
            let reading = try metered.meter.read(at: time)
            guard reading.time == nil, reading.gap == nil else {
                metered.held = reading
                return false
            }
            metered.samples.append(Sample(time: time, count: reading.count))
            return true
        } catch {
            // It is read again at once, and what is wrong with it is told there.
            return false
        }
    }

    /// What was kept goes into the curves.
    private mutating func flush() {
        for i in metered.indices { flush(i) }
    }

    private mutating func flush(_ i: Int) {
        for sample in metered[i].samples { metered[i].curve.read(raw: sample.count, at: sample.time) }
        metered[i].samples.removeAll(keepingCapacity: true)
    }

    private mutating func readWhole(_ i: Int, at time: Timestamp, flags: KnotFlags, isSuspended: Bool) {
        flush(i)
        if metered[i].trouble?.isGone == true {
            wait(i, until: time)
            return
        }
        do throws(SensorFault) {
            let reading = if let held = metered[i].held { held } else { try metered[i].meter.read(at: time) }
            metered[i].held = nil
            let at = reading.time.map { min($0, time) } ?? time
            metered[i].curve.read(
                raw: reading.count,
                at: at,
                // An older sample is no reading at the edge itself.
                flags: at == time ? flags : [],
                gap: isSuspended ? .suspend : reading.gap
            )
            if metered[i].trouble != nil {
                metered[i].trouble = nil
                news.append("\(metered[i].meter.place.name) answers again")
            }
        } catch {
            if metered[i].trouble == nil {
                metered[i].trouble = Trouble(since: time, isGone: error.isVanished)
                metered[i].failures += 1
                news.append("\(metered[i].meter.place.name) does not answer: \(error)\(error.remedy.map { "; \($0)" } ?? "")")
            } else if error.isVanished {
                metered[i].trouble?.isGone = true
            }
            wait(i, until: time)
        }
    }

    private mutating func wait(_ i: Int, until time: Timestamp) {
        guard let trouble = metered[i].trouble, !trouble.isClosed else { return }
        guard time - trouble.since > (trouble.isGone ? Self.patienceWithGone : Self.patience) else { return }
        metered[i].trouble?.isClosed = true
        metered[i].trouble?.mustClose = true
        metered[i].curve.force()
        news.append("\(metered[i].meter.place.name) has not answered for a while: jobs are accounted without it until it does")
    }

    // MARK: Looking

    /// The counts of the meters, and what a footprint of the host needs of them.
    func figures(into snapshot: inout HostSnapshot) {
        var idle: [Component: UInt64] = [:]
        var idleUnknown: Set<Component> = []
        var basis: [String] = []
        var quality: Quality?
        var low: UInt32?
        var high: UInt32?
        for metered in metered {
            let announcement = metered.curve.announcement
            snapshot.meters.append((metered.meter.place.name, metered.curve.value))
            guard announcement.inCover else { continue }
            let component = metered.meter.place.zone.component
            snapshot.components[component, default: 0] += metered.curve.value
            snapshot.cover += metered.curve.value
            idle[component, default: 0] += announcement.pIdleUw
            if !announcement.hasPIdleUw { idleUnknown.insert(component) }
            basis.append(announcement.basis)
            quality = max(quality ?? .measured, metered.meter.place.quality)
            low = min(low ?? .max, announcement.boundLowPpm)
            high = max(high ?? 0, announcement.boundHighPpm)
        }
        snapshot.quality = quality ?? .unknown
        snapshot.basis = basis.joined(separator: "; ")
        snapshot.boundLow = low ?? 0
        snapshot.boundHigh = high ?? 0
        snapshot.idlePower = idle.filter { !idleUnknown.contains($0.key) }
    }

    /// The meters whose sum is the host's energy.
    var cover: [MeterPlace] { metered.filter { $0.curve.announcement.inCover }.map(\.meter.place) }

    /// What each meter is and has counted, for the metrics.
    var readings: [MetricsSnapshot.Meter] {
        metered.map {
            MetricsSnapshot.Meter(
                place: $0.meter.place,
                isInCover: $0.curve.announcement.inCover,
                energy: Energy(microjoules: $0.curve.value),
                failures: $0.failures,
                gaps: $0.gaps
            )
        }
    }

    // MARK: Sealing

    mutating func forceTails() {
        flush()
        for i in metered.indices { metered[i].curve.force() }
    }

    mutating func announceAll() {
        for i in metered.indices { metered[i].curve.isAnnounced = false }
    }

    mutating func setCoarseness(_ factor: Int64) {
        flush()
        self.factor = factor
        for i in metered.indices { metered[i].curve.setCoarseness(factor, of: settings.energyEpsilon.microjoules) }
    }

    /// Refs of the curves whose unit is µJ.
    var energyRefs: Set<UInt32> { Set(metered.map(\.curve.announcement.ref)) }

    mutating func takeNews() -> [String] {
        defer { news = [] }
        return news
    }

    mutating func take(into sealable: inout Sealable) {
        flush()
        for var curve in leftovers { sealable.take(&curve, isClosed: true) }
        leftovers = []
        for i in metered.indices {
            let gaps = sealable.gaps.count
            switch metered[i].trouble {
            case .some(let trouble) where trouble.isClosed && !trouble.mustClose: break
            case let trouble: sealable.take(&metered[i].curve, isClosed: trouble?.mustClose == true)
            }
            metered[i].trouble?.mustClose = false
            if let state = metered[i].curve.state { sealable.state.curves.append(state) }
            metered[i].gaps += UInt64(sealable.gaps.count - gaps)
        }
        sealable.state.curves += dormant
        for state in dormantToClose { Self.close(state, in: &sealable) }
        dormantToClose = []
    }

    /// A meter that is not there any more: complete, so that nobody waits for it. It is announced as what it was, because what it
    /// measured stays in the cover of its time.
    private static func close(_ state: AgentState.Curve, in sealable: inout Sealable) {
        guard let bytes = state.announced, !sealable.tails.contains(where: { $0.ref == state.ref }) else { return }
        var announcement: WireCurveAnnouncement
        do { announcement = try WireCurveAnnouncement(serializedBytes: [UInt8](bytes)) } catch { return }
        announcement.ref = state.ref
        sealable.announcements.append(announcement)
        sealable.tails.append(Sealable.tail(state.ref, time: state.time, value: state.value, isClosed: true))
    }
}

/// Numbers of curves within a stream, from 1.
struct CurveNumbers {
    private(set) var next: UInt32

    init(next: UInt32) { self.next = max(1, next) }

    /// The number of a curve that had one in this stream, else the next free one.
    mutating func take(_ known: UInt32?) -> UInt32 {
        if let known {
            next = max(next, known + 1)
            return known
        }
        defer { next += 1 }
        return next
    }
}
