/// What the machines of an inventory took and emitted in each period that their rows tell.
public struct OnPremiseReport: Sendable {
    public struct Line: Hashable, Sendable {
        public var row: OnPremiseInventory.Row
        public var period: OnPremiseInventory.Period
        public var energy: FacilityEnergy
        /// Nil where the place's intensity is not known, as `missing` says.
        public var emissions: CO2e?
        public var missing: String?
        public var architecture: String
        public var match: CloudMatch
    }

    /// In the order of the rows, and of the periods within one.
    public let lines: [Line]

    /// - Parameter gramsPerKilowattHour: of a country and a region as the row has them; nil where it is not known.
    public init(
        _ inventory: OnPremiseInventory,
        by model: OnPremiseModel,
        gramsPerKilowattHour: (_ country: String, _ region: String) -> Double?
    ) {
        var lines: [Line] = []
        for row in inventory.rows {
            let intensity = gramsPerKilowattHour(row.country, row.region)
            let place = [row.region, row.country].filter { !$0.isEmpty }.joined(separator: ", ")
            for period in OnPremiseInventory.Period.allCases {
                guard let hours = row.uptimeHours[period] else { continue }
                let estimate = model.estimate(row.machine, hours: hours)
                lines.append(
                    Line(
                        row: row,
                        period: period,
                        energy: estimate.facility,
                        emissions: intensity.map { estimate.facility.emissions(gramsPerKilowattHour: $0) },
                        missing: intensity == nil ? "no intensity for \(place.isEmpty ? "a machine without a country" : place)" : nil,
                        architecture: estimate.architecture,
                        match: estimate.match
                    )
                )
            }
        }
        self.lines = lines
    }
}
