import Accounting
import Documents
import Energy
import Logging
import Postgres
import Store
import SwiftProtobuf
import Synchronization
import TestSupport
import Wire
@testable import Collector

/// A collector's database with its own idea of the time, and hosts that report to it.
final class Farm {
    let connection: PostgresConnection
    let pool: PostgresPool
    /// What `now` is; tests move it.
    let clock: TestClock
    /// How many footprints were read the short way.
    private(set) var settledFootprints = 0

    /// 2026-09-01T09:00:00Z.
    static let start = Timestamp(microseconds: 1_788_253_200_000_000)

    private static let template = TestTemplate("spine") { connection in
        try await CollectorServices.prepare(connection, log: Logger(label: "test"), now: start)
    }

    private init(connection: PostgresConnection, pool: PostgresPool) {
        self.connection = connection
        self.pool = pool
        clock = TestClock(Self.start + .hour)
    }

    static func with<T>(_ body: (Farm) async throws -> T) async throws -> T {
        let url = try await TestPostgres.database(from: template)
        var log = Logger(label: "test")
        log.logLevel = .error
        let connection = try await PostgresConnection.connect(
            to: url,
            applicationName: "test",
            connectTimeout: .seconds(10),
            logger: log
        )
        let pool = PostgresPool(
            connectionString: url,
            maximumConnections: 3,
            waitLimit: .seconds(10),
            applicationName: "test",
            logger: log
        )
        let result: Result<T, any Error>
        do {
            result = .success(try await body(Farm(connection: connection, pool: pool)))
        } catch {
            result = .failure(error)
        }
        await connection.close()
        await pool.shutDown()
        return try result.get()
    }

    func token(_ name: String, host: String) async throws -> Int32 {
        try await TokenTable.insert(
            name: name,
            scope: .agent,
            sha256: Token().sha256,
            hostName: host,
            expiresAtMicroseconds: nil,
            connection
        ).id
    }

    func commit(_ batch: WireReadingsBatch, token: Int32) async throws -> ReadingsOutcome {
        let bytes: [UInt8] = try batch.serializedBytes()
        let record = try ReadingsDecoding.decode(bytes)
        let now = clock.now
        return try await connection.transaction { tx in
            try await StreamTable.commit(record, tokenID: token, now: now, tx)
        }
    }

    @discardableResult
    func post(_ json: String, source: String = "ci") async throws -> SpanIntake.Accepted {
        let document = try SpanDocument(try JSONValue(parsing: Array(json.utf8)), now: clock.now)
        let clock = clock
        return try await connection.transaction { tx in
            try await SpanIntake(now: { [clock] in clock.now }).accept(SpanWrite(document), source: source, tx)
        }
    }

    /// Lets a worker do all there is to do.
    func account() async throws {
        var log = Logger(label: "test")
        log.logLevel = .critical
        let worker = AccountingWorker(pool: pool, log: log, now: { [clock] in clock.now }, metrics: CollectorMetrics())
        while try await worker.joinWaitingSpans() > 0 {}
        while try await worker.accountMarkedHours() > 0 {}
    }

    /// The job's footprint; wherever its hours are settled, the short way to it must tell the same.
    func footprint(_ jobID: String) async throws -> Footprint? {
        let footprint = try await FootprintReader(connection, now: clock.now, policy: .reserved).footprint(jobID: jobID, for: .everything)
        let short = try await FootprintReader(connection, now: clock.now, policy: .reserved).settledFootprint(
            jobID: jobID,
            for: .everything
        )
        if let short {
            settledFootprints += 1
            let (a, b) = (try short.json(baseURL: "").text, try footprint?.json(baseURL: "").text)
            guard a == b else { throw Differs(description: "the short way says\n\(a)\nthe long one\n\(b ?? "nothing")") }
        }
        return footprint
    }

    struct Differs: Error, CustomStringConvertible {
        let description: String
    }

    func count(_ table: String) async throws -> Int64 {
        try await connection.query(Statement("count_\(table)", "SELECT count(*) AS n FROM \(table)")).only().int64("n")
    }

    /// Every number of the ledger, host by name, as text that can be compared.
    func ledger() async throws -> [String] {
        try await connection.query(
            Statement(
                "dump_ledger",
                """
                SELECT h.name || ' ' || l.hour || ' ' || l.component || ' ' || concat_ws(',', metered_uj, job_dynamic_uj, system_uj, agent_uj,
                    idle_uj, unknown_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, l.flags, co2e_ug) AS line
                FROM host_hour l JOIN host h USING (host_id)
                UNION ALL
                SELECT h.name || ' ' || s.hour || ' ' || s.component || ' ' || p.job_id || ' ' || concat_ws(',', s.from_t, s.to_t, dynamic_uj,
                    idle_reserved_uj, idle_busy_uj, idle_equal_uj, metered_us, share_method)
                FROM slice s JOIN host h USING (host_id) JOIN span p USING (host_id, span_id)
                ORDER BY 1
                """
            )
        ).map { try $0.string("line") }
    }
}

/// A clock that tests set.
final class TestClock: Sendable {
    private let box: Box

    init(_ now: Timestamp) { box = Box(now) }

    var now: Timestamp {
        get { box.value.withLock { $0 } }
        set { box.value.withLock { $0 = newValue } }
    }

    private final class Box: Sendable {
        let value: Mutex<Timestamp>
        init(_ now: Timestamp) { value = Mutex(now) }
    }
}

/// Makes the batches that an agent on a host would send.
struct Reporter {
    var host: String
    var boot = "b00t"
    var incarnation = "0123456789abcdef0123456789abcdef"
    var sequence: UInt64 = 0
    var origin: UInt64 = 7

    /// A batch with the knots of one package meter and, if given, of the host's busy time; both announced in the first batch.
    mutating func batch(energy: [Knot], busy: [Knot]? = nil, idleWatts: Double? = 20, completeUntil: Timestamp? = nil) -> WireReadingsBatch
    {
        sequence += 1
        var batch = WireReadingsBatch()
        batch.host = host
        batch.bootID = boot
        batch.incarnation = incarnation
        batch.seq = sequence
        if sequence == 1 {
            var facts = WireHostFacts()
            facts.cpus = 4
            facts.gridZone = "FR"
            batch.facts = facts
            batch.curves = [Self.meter(ref: 1, idleWatts: idleWatts, origin: origin)]
            if busy != nil { batch.curves.append(Self.busy(ref: 2, origin: origin)) }
        }
        for (ref, knots) in [(UInt32(1), energy), (2, busy ?? [])] where !knots.isEmpty {
            batch.knots.append(WireKnotColumn(ref: ref, knots: knots))
            var tail = WireTail()
            tail.ref = ref
            tail.tUs = knots[knots.count - 1].time.microseconds
            tail.value = knots[knots.count - 1].value
            tail.completeUntilUs = (completeUntil ?? knots[knots.count - 1].time).microseconds
            batch.tails.append(tail)
        }
        return batch
    }

    static func meter(ref: UInt32, idleWatts: Double?, origin: UInt64) -> WireCurveAnnouncement {
        var curve = WireCurveAnnouncement()
        curve.ref = ref
        curve.name = "powercap/intel-rapl:0"
        curve.kind = .meter
        curve.zone = "package"
        curve.sensor = "powercap"
        curve.quality = "measured"
        curve.inCover = true
        curve.origin = origin
        curve.epsilon = 1_000_000
        curve.samplePeriodUs = 100_000
        curve.pMaxUw = 200_000_000
        if let idleWatts { curve.pIdleUw = UInt64(idleWatts * 1e6) }
        curve.boundLowPpm = 1_000_000
        curve.boundHighPpm = 1_000_000
        return curve
    }

    static func busy(ref: UInt32, origin: UInt64) -> WireCurveAnnouncement {
        var curve = WireCurveAnnouncement()
        curve.ref = ref
        curve.name = "cpu/busy"
        curve.kind = .hostBusy
        curve.sensor = "proc"
        curve.quality = "measured"
        curve.origin = origin
        curve.epsilon = 50_000
        return curve
    }
}

/// `seconds` after the farm's start.
func at(_ seconds: Double) -> Timestamp { Farm.start + Microseconds(Int64(seconds * 1e6)) }

func knot(_ seconds: Double, _ joules: Double) -> Knot { Knot(time: at(seconds), value: Int64(joules * 1e6)) }
