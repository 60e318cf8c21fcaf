/// What a host emitted in a stretch of time, whoever used it, and the water of its building. Nil where that is not known, with its reason
/// among `missing`.
public struct HostCarbon: Codable, Sendable, Hashable {
    public struct Missing: Codable, Sendable, Hashable {
        public var field: String
        public var reason: String
    }

    public var site: String?
    /// Whole µg, as decimals: by the grid, by what the site has bought, and of making the machine with the jobs' part of that.
    public var location_ug: String?
    public var market_ug: String?
    public var embodied_ug: String?
    public var embodied_jobs_ug: String?
    public var water_l: Double?
    public var missing: [Missing]

    /// Grams; nil where nothing is known.
    public static func grams(_ micrograms: String?) -> Double? { micrograms.flatMap { Double($0) }.map { $0 / 1e6 } }

    public func reason(_ field: String) -> String? { missing.first { $0.field == field }?.reason }
}
