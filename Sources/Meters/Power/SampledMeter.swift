import Energy

/// A meter over a sensor of power that is asked on a thread of its own: its count is the integral of the samples.
///
/// The thread begins with the first reading and ends when the last copy of the meter is gone.
struct SampledMeter: Meter {
    let place: MeterPlace
    let sensor: String
    let maximumPower: Power
    let basis: String
    private let energy: SampledEnergy
    private let sampling: any Sampling
    private var begun: Timestamp?

    var counting: MeterCounting { .program }
    var cadence: MeterCadence { .slow }
    var idlePower: UtilisationModel.Point? { nil }
    var boundRatios: (low: Double, high: Double) { (1, 1) }

    init(place: MeterPlace, sensor: String, basis: String, energy: SampledEnergy, sampling: any Sampling) {
        self.place = place
        self.sensor = sensor
        self.basis = basis
        self.energy = energy
        self.sampling = sampling
        maximumPower = energy.limits.maximum
    }

    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        guard let begun else {
            try sampling.begin()
            self.begun = time
            return MeterReading(0)
        }
        switch energy.news(by: time) {
        case .reading(let count, let sampled, let isAfterGap):
            // A first sample may be older than the first reading where the meter was read before by somebody else.
            return MeterReading(count, time: max(sampled, begun), gap: isAfterGap ? .unreadable : nil)
        case .none(let last):
            let newest = last?.time ?? begun
            guard time - newest <= energy.limits.longestStep else {
                let seconds = (time - newest).count / 1_000_000
                throw SensorFault(
                    path: place.name,
                    kind: .malformed(
                        expected: "a new value every \(energy.limits.longestStep.count / 1_000_000) s at least",
                        found: "none for \(seconds) s"
                    )
                )
            }
            return MeterReading(last?.count ?? 0, time: max(newest, begun))
        case .fault(let fault): throw fault
        }
    }
}

/// What fills a `SampledEnergy`: begins when it is first needed and ends when it is released.
protocol Sampling: AnyObject, Sendable {
    /// Does nothing where it has begun already.
    ///
    /// - Throws: `SensorFault` where the system gives no thread.
    func begin() throws(SensorFault)
}
