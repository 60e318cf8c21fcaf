public import Carbon
import Documents
public import Energy
public import Postgres

/// What a host's energy is put to beside its grid zone and PUE, hour by hour: its site's contracts and water, and what making the machine
/// emitted. Read with an answer, not kept in the ledger: another contract changes no account.
public struct HostTerms: Sendable, Hashable {
    /// What counts in some hours.
    public struct Stretch: Sendable, Hashable {
        /// Of whole hours.
        public var interval: Interval
        /// In lower case; nil where nobody said where the host stands.
        public var site: String?
        public var market: Result<Intensity, MarketMix.Missing>
        public var water: WUE?
        /// Of making the machine, an hour of it.
        public var embodiedPerHour: CO2eRange?
        public var embodiedSource: String?

        public var marketIntensity: Intensity? { if case .success(let intensity) = market { intensity } else { nil } }
    }

    /// In order and without holes, over all of time.
    public let stretches: [Stretch]

    /// A host of which nobody said anything.
    public static let unknown = HostTerms(
        stretches: [Stretch(interval: Interval(.init(microseconds: .min), .init(microseconds: .max)), market: .failure(.noContract))]
    )

    public func at(_ hour: Hour) -> Stretch {
        stretches.last { $0.interval.start <= hour.start } ?? Stretch(interval: hour.interval, market: .failure(.noContract))
    }

    /// Of the given hosts; all that have a record where none are given.
    public static func read(of hostIDs: [Int32]? = nil, _ connection: PostgresConnection) async throws -> [Int32: HostTerms] {
        let rows = try await connection.query(
            Statement(
                "host_terms",
                """
                SELECT r.host_id, r.valid_from, r.record ->> 'site' AS site, r.record -> 'embodied' AS embodied, h.created_at
                FROM host_record r JOIN host h USING (host_id) WHERE $1::int4[] IS NULL OR host_id = ANY($1) ORDER BY host_id, valid_from
                """
            ),
            [hostIDs.map { .int4Array($0) }]
        )
        var hosts: [Int32: [Said]] = [:]
        for row in rows {
            let embodied = try row.jsonIfPresent("embodied").map { try JSONValue(parsing: Array($0.utf8)) }
            hosts[try row.int32("host_id"), default: []].append(
                Said(
                    from: Timestamp(microseconds: try row.timestampMicroseconds("valid_from")),
                    site: try row.stringIfPresent("site").map(SiteTable.key),
                    embodied: try embodied.flatMap(Embodied.init),
                    madeAt: Timestamp(microseconds: try row.timestampMicroseconds("created_at"))
                )
            )
        }
        guard hosts.values.contains(where: { $0.contains { $0.site != nil || $0.embodied != nil } }) else { return [:] }
        let sites = Dictionary(grouping: try await SiteTable.all(connection), by: \.site)
            .mapValues { $0.map { (from: $0.from, terms: SiteTerms($0.record, site: $0.site)) } }
        return try hosts.mapValues { try HostTerms($0, sites: sites) }
    }

    /// What a record says of a host.
    private struct Said {
        let from: Timestamp
        let site: String?
        let embodied: Embodied?
        let madeAt: Timestamp
    }

    /// What a site's record says, for those who stand there.
    private struct SiteTerms {
        let market: Result<Intensity, MarketMix.Missing>
        let water: WUE?

        init(_ record: JSONValue, site: String) {
            func rate(_ fields: [String: JSONValue]?) -> MarketMix.Rate? {
                fields?["g_per_kwh"]?.double.flatMap {
                    MarketMix.Rate($0, low: fields?["low_g_per_kwh"]?.double, high: fields?["high_g_per_kwh"]?.double)
                }
            }
            let fields = record.object ?? [:]
            let contracts = (fields["contracts"]?.array ?? []).compactMap { contract -> MarketMix.Contract? in
                guard let fields = contract.object, let share = fields["share"]?.double, let rate = rate(fields) else { return nil }
                return MarketMix.Contract(share: share, rate: rate)
            }
            let mix = MarketMix(contracts: contracts, residual: rate(fields["residual_mix"]?.object))
            do throws(MarketMix.Missing) {
                let rate = try mix.rate()
                market = .success(
                    Intensity(
                        zone: "site \(site)",
                        gramsPerKilowattHour: rate.best,
                        low: rate.low,
                        high: rate.high,
                        kind: mix.hasResidual ? .yearly : .actual,
                        basis: .market,
                        provider: mix.hasResidual ? "contracts and residual mix" : "contracts",
                        year: 0
                    )
                )
            } catch { market = .failure(error) }
            water = fields["wue_l_per_kwh"]?.double.flatMap { WUE($0) }
        }
    }

    private struct Embodied: Hashable {
        let total: CO2eRange
        /// In whole hours.
        let lifetime: Microseconds
        let from: Timestamp?
        let source: String

        /// Nil where no mass is said.
        init?(_ value: JSONValue) throws {
            guard let fields = value.object, let best = fields["kg_co2e"]?.double, best >= 0 else { return nil }
            total = CO2eRange(
                low: CO2e(kilograms: fields["low_kg_co2e"]?.double ?? best),
                best: CO2e(kilograms: best),
                high: CO2e(kilograms: fields["high_kg_co2e"]?.double ?? best)
            )
            let years = fields["lifetime_years"]?.double ?? CCFModel.defaultLifetimeYears
            let hours = max(1, min(years, 100) * CCFModel.hoursPerYear).rounded()
            lifetime = Microseconds(Int64(saturating: hours) * Microseconds.hour.count)
            from = fields["from"]?.string.flatMap { RFC3339.parse($0) }
            source = fields["source"]?.string ?? EmbodiedSchedule.Source.ownLCA.rawValue
        }
    }

    private init(stretches: [Stretch]) { self.stretches = stretches }

    private init(_ said: [Said], sites: [String: [(from: Timestamp, terms: SiteTerms)]]) throws {
        let masses = try Self.masses(said)
        var edges: Set<Timestamp> = [Timestamp(microseconds: .min)]
        for one in said {
            edges.insert(one.from.hourFromThen)
            for record in one.site.flatMap({ sites[$0] }) ?? [] { edges.insert(record.from.hourFromThen) }
        }
        for mass in masses { edges.formUnion(mass.schedule.edges) }
        let sorted = edges.sorted()
        let ends = sorted.dropFirst() + [Timestamp(microseconds: .max)]
        stretches = zip(sorted, ends).map { start, end in
            let one = said.last { $0.from <= start }
            let site = one?.site
            let terms = site.flatMap { sites[$0] }?.last { $0.from <= start }?.terms
            let mass = one.flatMap { one in masses.last { $0.said <= one.from } }
            var stretch = Stretch(
                interval: Interval(start, end),
                site: site,
                market: terms?.market ?? .failure(.noContract),
                water: terms?.water
            )
            // Before the machine served, nothing of it is known; once all of its mass was charged, it costs nothing.
            if let mass, one?.embodied != nil, mass.schedule.edges.first.map({ $0 <= start }) ?? false {
                stretch.embodiedPerHour = mass.schedule.mass(in: Interval(start, start + .hour))
                stretch.embodiedSource = mass.source
            }
            return stretch
        }
    }

    /// A machine's mass over its life, said from a date on. A later record revises what is left of it: how long the machine is to serve, and
    /// what all of it is known to be. One that says that service began after an earlier record is of another machine.
    private static func masses(_ said: [Said]) throws -> [(said: Timestamp, schedule: EmbodiedSchedule, source: String)] {
        typealias Stated = (from: Timestamp, embodied: Embodied, madeAt: Timestamp)
        func begin(of one: Stated) -> Timestamp { one.embodied.from ?? (one.from > HostRecordTable.always ? one.from : one.madeAt) }
        var lives: [[Stated]] = []
        for one in said {
            guard let embodied = one.embodied else { continue }
            let isAnother =
                lives.last.map { life in embodied.from.map { $0 > begin(of: life[0]) && $0 > life[life.count - 1].from } ?? false } ?? true
            if isAnother { lives.append([]) }
            lives[lives.count - 1].append((one.from, embodied, one.madeAt))
        }
        return try lives.compactMap { life in
            guard let first = life.first, let last = life.last else { return nil }
            let begin = begin(of: first).hour.start
            var revisions = [EmbodiedSchedule.Revision(from: begin, end: begin + first.embodied.lifetime)]
            var known = first.embodied.total
            for later in life.dropFirst() {
                let before = revisions[revisions.count - 1]
                let from = max(later.from.hour.start, before.from + .hour)
                // An end that has passed by then: what is left is charged at once.
                let end = max(from + .hour, begin + later.embodied.lifetime)
                guard end != before.end || later.embodied.total != known else { continue }
                known = later.embodied.total
                revisions.append(EmbodiedSchedule.Revision(from: from, end: end, total: known))
            }
            let schedule = try EmbodiedSchedule(total: first.embodied.total, source: .ownLCA, revisions: revisions)
            return (first.from, schedule, last.embodied.source)
        }
    }
}

extension Timestamp {
    /// The start of the first hour that lies wholly after an instant, or begins with it: what is said counts for hours that begin no sooner.
    fileprivate var hourFromThen: Timestamp {
        guard microseconds > .min else { return self }
        return hour.start == self ? self : hour.end
    }
}
