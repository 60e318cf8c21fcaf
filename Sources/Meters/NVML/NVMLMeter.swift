public import Energy

/// The energy of one NVIDIA GPU.
public struct NVMLMeter: Meter {
    public let place: MeterPlace
    public let maximumPower: Power
    public let basis: String
    private let link: NVMLLink
    private var way: Way

    private enum Way {
        case counter(NVMLCounter)
        case power(SampledMeter)
    }

    public var sensor: String { NVMLSensor.name }
    public var idlePower: UtilisationModel.Point? { nil }
    public var boundRatios: (low: Double, high: Double) { (1, 1) }

    public var counting: MeterCounting {
        switch way {
        case .counter: .hardware(modulus: nil)
        case .power: .program
        }
    }

    public var cadence: MeterCadence {
        switch way {
        case .counter: .fast
        case .power(let meter): meter.cadence
        }
    }

    init(name: String, gpu: NVMLGPU, library: NVMLLibrary, clock: @escaping @Sendable () -> Timestamp) {
        let limit = gpu.limit ?? Zone.gpu.largestPower
        let link = NVMLLink(name: name, gpu: gpu, library: library)
        self.link = link
        let who = "\(gpu.model)\(gpu.uuid.map { " (\($0))" } ?? "")"
        let most = "at most \(WattText.short(limit)) \(gpu.limit == nil ? "(assumed)" : "(published)")"
        let whole = gpu.isPartitioned ? "; it is partitioned (MIG): the energy is of the whole GPU, not of an instance" : ""
        switch gpu.source {
        case .counter(let microjoules, let time):
            place = MeterPlace(name: name, zone: .gpu, package: nil, die: gpu.index, quality: .measured)
            maximumPower = limit
            basis = "NVML's counter of energy of \(who), \(most)\(whole)"
            way = .counter(NVMLCounter(link: link, microjoules: microjoules, time: time, maximum: limit, clock: clock))
        case .power:
            place = MeterPlace(name: name, zone: .gpu, package: nil, die: gpu.index, quality: .sampled)
            basis = "NVML's power of \(who), every \(SecondsText.short(NVMLCounter.period)) and integrated, \(most)\(whole)"
            let energy = SampledEnergy(
                name: name,
                limits: PowerIntegrator.Limits(
                    // Short peaks go above the limit that the GPU keeps on average.
                    maximum: Power(watts: limit.watts * 1.5),
                    isZeroPossible: true,
                    longestStep: PolledPower.longestStep(period: NVMLCounter.period),
                    longestRepeat: nil
                )
            )
            let polled = PolledPower(name, channels: [energy], period: NVMLCounter.period, clock: clock) { NVMLPowerSource(link) }
            maximumPower = energy.limits.maximum
            way = .power(SampledMeter(place: place, sensor: NVMLSensor.name, basis: basis, energy: energy, sampling: polled))
        }
    }

    public mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        switch way {
        case .counter(let counter):
            try counter.begin(at: time)
            return try counter.look(at: time)
        case .power(var meter):
            defer { way = .power(meter) }
            return try meter.read(at: time)
        }
    }

    /// What processes use the GPU.
    ///
    /// Asks the library, which may take long: never on the thread that samples.
    ///
    /// - Parameter seen: `NVMLProcessUse.seen` of the call before; 0 for all that the driver remembers, a few seconds.
    /// - Throws: `SensorFault`; `isVanished` where the GPU is gone.
    public func gpuProcesses(after seen: UInt64 = 0) throws(SensorFault) -> NVMLProcessUse {
        try link.ask { library, device throws(NVMLFault) in
            // Each of the two is missing somewhere: use on a partitioned GPU, the list in old drivers.
            let use = try Self.present { () throws(NVMLFault) in try library.processUse(of: device, after: seen) }
            let running = try Self.present { () throws(NVMLFault) in try library.processes(of: device) }
            return NVMLProcessList.merge(use: use, running: running, seen: seen)
        }
    }

    private static func present(_ ask: () throws(NVMLFault) -> [UInt8]) throws(NVMLFault) -> [UInt8]? {
        do throws(NVMLFault) {
            return try ask()
        } catch {
            guard error.status.isAbsence else { throw error }
            return nil
        }
    }
}

/// A GPU without a counter of energy, asked for its power.
final class NVMLPowerSource: PolledPower.Source {
    private let link: NVMLLink

    init(_ link: NVMLLink) { self.link = link }

    func ask(_ give: (_ channel: Int, PolledPower.Answer) -> Void) {
        do throws(SensorFault) {
            let milliwatts = try link.ask { library, device throws(NVMLFault) in try library.milliwatts(of: device) }
            give(0, .power(microwatts: Int64(milliwatts) * 1_000, taken: nil))
        } catch {
            give(0, .fault(error))
        }
    }
}
