/// What a span of which nobody knows the use can have of some energy at the least and at the most, µJ: nothing, or all of it. The floor is
/// kept apart as long as that is so for any floor within its limits.
struct OpenPart {
    var low = 0.0
    var lowFloor = 0.0
    var high = 0.0
    var highFloor = 0.0

    /// - Parameters:
    ///   - least: of the energy; with `most` what the meters' own limits leave.
    ///   - floor: the idle floor within it, as used.
    ///   - ratios: of the floor that it can truly be.
    @inline(__always)
    init(least: Double, most: Double, floor: Double, ratios: (low: Double, high: Double)) {
        if least >= floor * ratios.high {
            (high, highFloor) = (most, floor)
        } else if most < floor * ratios.low {
            (low, lowFloor) = (least, floor)
        } else {
            // Dynamic energy of either sign: below 0 with the one floor, above it with the other.
            low = least - floor * ratios.high
            high = max(0, most - floor * ratios.low)
        }
    }
}
