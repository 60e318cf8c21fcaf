public import Accounting
import Carbon
import Crypto
import Energy

extension HourInputs {
    /// SHA-256 of the canonical form of everything that the hour's accounts are made from: the same inputs have the same digest on any
    /// machine, whatever order they came in. Curves are named by the SHA-256 of their packed hours, so that packing changes nothing.
    ///
    /// - Parameters:
    ///   - input: what goes into the sweep, if other than as it was read.
    ///   - notes: whatever else decides the figures.
    public func digest(of input: HostInput? = nil, notes: [String] = []) -> [UInt8] {
        let input = input ?? self.input
        let jobIDs = jobIDs
        // A span with nothing but its share takes some 120 bytes.
        var form = CanonicalForm(reservingBytes: 1_024 + input.spans.count * 160)
        form.add("wattle host-hour 1")
        form.add(hour.number)
        form.add(input.window)
        form.add(input.cuts.count)
        for cut in input.cuts { form.add(cut) }
        form.add(input.cpus)
        form.add(input.slots)
        form.add(host.pue)
        let pieces = intensities.map { series in series.pieces.filter { $0.interval.intersection(input.window) != nil } } ?? []
        form.add(pieces.count)
        for piece in pieces {
            form.add(piece.interval.intersection(input.window))
            form.add(piece.intensity)
        }
        form.add(input.meters.count)
        for meter in input.meters.sorted(by: { $0.name < $1.name }) { form.add(meter, hour: hour, window: input.window) }
        form.add(input.wholes.count)
        for whole in input.wholes.sorted(by: { $0.name < $1.name }) { form.add(whole, hour: hour) }
        form.add(input.restIdle)
        form.add(input.busy, hour: hour)
        form.add(input.agent, hour: hour)
        form.add(input.spans.count)
        for span in input.spans { form.add(span, jobIDs: jobIDs, hour: hour, window: input.window) }
        form.add(notes.count)
        for note in notes { form.add(note) }
        return form.sha256
    }
}

/// Values in a row, each with its length or of a fixed one, so that two different rows never have the same bytes.
private struct CanonicalForm {
    private var bytes: [UInt8]
    /// What of `bytes` is written: writing in place is several times faster than appending.
    private var used = 0

    init(reservingBytes: Int) { bytes = [UInt8](repeating: 0, count: max(256, reservingBytes)) }

    var sha256: [UInt8] { Array(SHA256.hash(data: bytes[..<used])) }

    @inline(__always)
    private mutating func reserve(_ count: Int) {
        let missing = used + count - bytes.count
        if missing > 0 { bytes.append(contentsOf: repeatElement(0, count: max(missing, bytes.count))) }
    }

    mutating func add(_ number: Int64) {
        reserve(8)
        let offset = used
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: number.bigEndian, toByteOffset: offset, as: Int64.self) }
        used += 8
    }
    mutating func add(_ number: Int) { add(Int64(number)) }
    mutating func add(_ number: Double) { add(Int64(bitPattern: number.bitPattern)) }
    mutating func add(_ flag: Bool) {
        reserve(1)
        bytes[used] = flag ? 1 : 0
        used += 1
    }
    mutating func add(_ text: String) {
        add(text.utf8.count)
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }
    private mutating func add(_ other: UnsafeRawBufferPointer) {
        reserve(other.count)
        let offset = used
        bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: other) }
        used += other.count
    }
    mutating func add(_ time: Timestamp) { add(time.microseconds) }
    mutating func add(_ length: Microseconds) { add(length.count) }
    mutating func add(_ power: Power) { add(power.watts) }
    mutating func add(_ interval: Interval) {
        add(interval.start)
        add(interval.end)
    }
    mutating func add(_ number: Int64?) { add(number) { $0.add($1) } }
    mutating func add(_ number: Double?) { add(number) { $0.add($1) } }
    mutating func add(_ floor: UtilisationModel.Point?) {
        add(floor) { form, floor in for power in [floor.low, floor.best, floor.high] { form.add(power) } }
    }
    mutating func add(_ interval: Interval?) { add(interval) { $0.add($1) } }

    private mutating func add<Value>(_ value: Value?, _ body: (inout CanonicalForm, Value) -> Void) {
        add(value != nil)
        if let value { body(&self, value) }
    }

    mutating func add(_ curve: Curve?, hour: Hour) {
        add(curve) { form, curve in SHA256.hash(data: PackedHour(curve, hour: hour).bytes).withUnsafeBytes { form.add($0) } }
    }

    mutating func add(_ intensity: StoredIntensity?) {
        add(intensity) { form, intensity in
            let value = intensity.value
            for text in [value.zone, value.kind.rawValue, value.basis.description, value.provider] { form.add(text) }
            for number in [value.gramsPerKilowattHour, value.low, value.high] { form.add(number) }
            form.add(value.year)
        }
    }

    mutating func add(_ meter: MeterInput, hour: Hour, window: Interval) {
        for text in [meter.name, meter.component.rawValue, meter.quality.rawValue] { add(text) }
        add(meter.curve, hour: hour)
        add(meter.epsilonMicrojoules)
        add(meter.samplePeriod)
        add(meter.maximumPower)
        add(meter.idle)
        add(meter.boundRatios.low)
        add(meter.boundRatios.high)
        // That it ended later on changes nothing here.
        add(meter.isClosed && endsWithin(window, meter.curve))
        add(meter.errorRatio)
    }

    mutating func add(_ whole: WholeMeterInput, hour: Hour) {
        for text in [whole.name, whole.quality.rawValue] + whole.inner.sorted() { add(text) }
        add(whole.curve, hour: hour)
        add(whole.epsilonMicrojoules)
        add(whole.samplePeriod)
        add(whole.maximumPower)
        add(whole.errorRatio)
    }

    mutating func add(_ span: SpanInput, jobIDs: [String], hour: Hour, window: Interval) {
        func job(_ number: Int64) -> String { jobIDs.indices.contains(Int(number)) ? jobIDs[Int(number)] : "" }
        add(job(span.id))
        add(span.interval.intersection(window))
        add(span.interval.start < window.start)
        add(span.interval.end > window.end)
        add(span.edgeResolution)
        add(span.workload) { form, workload in
            form.add(workload.curve, hour: hour)
            form.add(workload.isClosed && form.endsWithin(window, workload.curve))
            form.add(workload.epsilonMicroseconds)
            for others in [workload.childSpanIDs, workload.sharingSpanIDs] {
                form.add(others.count)
                for other in others.map(job).sorted() { form.add(other) }
            }
            form.add(workload.partialSince.flatMap { $0 < window.end ? max($0, window.start).microseconds : nil })
        }
        add(span.postedCPUTime?.count)
        // How long it ran in all matters only where CPU time was posted for all of it.
        add(span.postedCPUTime == nil ? nil : span.fullDuration.count)
        add(span.cpuShare)
        add(span.cpus)
        add(span.weight)
        add(span.parentID) { $0.add(job($1)) }
        add(span.memory, hour: hour)
        add(span.gpuTimes.count)
        for (name, curve) in span.gpuTimes.sorted(by: { $0.key < $1.key }) {
            add(name)
            add(curve, hour: hour)
        }
        add(span.ownedGPUs.count)
        for name in span.ownedGPUs.sorted() { add(name) }
    }

    private func endsWithin(_ window: Interval, _ curve: Curve) -> Bool { curve.extent.map { $0.end < window.end } ?? true }
}
