import Energy

/// The most power that a RAPL zone can be believed to draw over any time between two reads.
///
/// It decides whether a counter may have wrapped unseen, and how much a gap may hide, so it must never be too low.
struct PowerCeiling {
    /// A power limit is a running average over its window (28 s is usual), which a shorter stretch may exceed. Where only the long
    /// one is published, the short one is 1.25 times it by default (Intel's datasheets: "Power Limit 2"); above the short one are
    /// peaks of under 10 ms, which no read sees by themselves.
    static let limitMargin = 1.25
    /// Stands for a package of which nothing is published; above every one sold so far.
    static let unpublishedPackage = Power(watts: 1_000)

    /// Nil where nothing above 0 W is published.
    let power: Power?
    /// What it rests on: `published`, `power limit x 1.25`, `assumed`.
    let source: String

    init(maximum: Power?, limit: Power?) {
        let published = maximum.flatMap { $0 > .zero ? $0 : nil }
        let raised = limit.flatMap { $0 > .zero ? Power(watts: $0.watts * Self.limitMargin) : nil }
        switch (published, raised) {
        case (let published?, let raised?) where raised > published: (power, source) = (raised, "power limit x 1.25")
        case (let published?, _): (power, source) = (published, "published")
        case (nil, let raised?): (power, source) = (raised, "power limit x 1.25")
        case (nil, nil): (power, source) = (nil, "assumed")
        }
    }

    /// Of the constraints in a zone's directory: `max_power_uw` is the largest limit that can be set (often just the thermal design
    /// power), `power_limit_uw` the one that is set.
    init(constraintsIn path: String) {
        func largest(_ file: String) -> Power? {
            var largest: Int64 = 0
            for constraint in 0..<8 {
                do throws(SensorFault) {
                    largest = max(largest, try SensorText.number("\(path)/constraint_\(constraint)_\(file)"))
                } catch {
                    // Absent for most constraints and on all of AMD's zones; some boards answer ENODATA. It only means "not published".
                    continue
                }
            }
            return largest > 0 ? Power(microwatts: largest) : nil
        }
        self.init(maximum: largest("max_power_uw"), limit: largest("power_limit_uw"))
    }

    /// For a zone without published limits, on a host of so many packages.
    static func unpublished(of zone: Zone, packages: Int) -> Power {
        zone == .psys || zone == .node ? Power(watts: unpublishedPackage.watts * Double(max(1, packages))) : unpublishedPackage
    }
}
