public import Energy

/// How far a provider's forecasts were from what came, for forecasts made about as long before.
public struct ForecastError: Hashable, Sendable {
    /// A forecast beside what came.
    public struct Pair: Hashable, Sendable {
        public var madeAt: Timestamp
        public var interval: Interval
        public var forecastGramsPerKilowattHour: Double
        public var actualGramsPerKilowattHour: Double

        public init(madeAt: Timestamp, interval: Interval, forecastGramsPerKilowattHour: Double, actualGramsPerKilowattHour: Double) {
            self.madeAt = madeAt
            self.interval = interval
            self.forecastGramsPerKilowattHour = forecastGramsPerKilowattHour
            self.actualGramsPerKilowattHour = actualGramsPerKilowattHour
        }

        /// From the making of the forecast to what it is of.
        public var lead: Microseconds { interval.start - madeAt }
    }

    public let pairs: Int
    /// Forecast minus actual, g/kWh.
    public let meanGramsPerKilowattHour: Double
    /// Without regard to the sign, g/kWh.
    public let meanAbsoluteGramsPerKilowattHour: Double
    /// Nine of ten were not further off, g/kWh.
    public let tenthWorstGramsPerKilowattHour: Double

    /// What somebody else counted.
    public init(
        pairs: Int,
        meanGramsPerKilowattHour: Double,
        meanAbsoluteGramsPerKilowattHour: Double,
        tenthWorstGramsPerKilowattHour: Double
    ) {
        self.pairs = pairs
        self.meanGramsPerKilowattHour = meanGramsPerKilowattHour
        self.meanAbsoluteGramsPerKilowattHour = meanAbsoluteGramsPerKilowattHour
        self.tenthWorstGramsPerKilowattHour = tenthWorstGramsPerKilowattHour
    }

    /// - Parameter leads: forecasts made so long before are looked at.
    /// - Returns: nil where there is none.
    public init?(_ pairs: [Pair], leads: Range<Microseconds> = .zero..<Microseconds(.max)) {
        let errors = pairs.filter { leads.contains($0.lead) }.map { $0.forecastGramsPerKilowattHour - $0.actualGramsPerKilowattHour }
        guard !errors.isEmpty else { return nil }
        let sizes = errors.map(abs).sorted()
        self.pairs = errors.count
        meanGramsPerKilowattHour = errors.reduce(0, +) / Double(errors.count)
        meanAbsoluteGramsPerKilowattHour = sizes.reduce(0, +) / Double(errors.count)
        tenthWorstGramsPerKilowattHour = sizes[min(sizes.count - 1, (sizes.count * 9 + 9) / 10 - 1)]
    }
}
