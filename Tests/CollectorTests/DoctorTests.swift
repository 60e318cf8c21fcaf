import Accounting
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
import Wire
@testable import Collector

/// What `doctor` says, each fault provoked once and cured by what it says.
@Suite("Doctor") struct DoctorTests {
    /// A farm on which nothing is wrong: a host with everything, heard of now, with one job.
    static func healthy(_ body: (Farm) async throws -> Void) async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            farm.clock.now = at(7_300)
            try await run("UPDATE host SET seen_at = '\(RFC3339.format(farm.clock.now))', agent_version = '1'", farm)
            try await imports("name,pue,slots\nbremusa,1.1,4\n", farm)
            try await farm.post(AccountsTests.job)
            try await farm.account()
            try await body(farm)
        }
    }

    static func run(_ sql: String, _ farm: Farm) async throws { try await farm.connection.executeScript(sql) }

    /// What `host import` does with a file.
    static func imports(_ csv: String, _ farm: Farm) async throws {
        let file = try HostFile(text: csv, name: "hosts.csv")
        _ = try await HostImport.apply(file, dryRun: false, now: farm.clock.now, farm.connection)
        try await farm.account()
    }

    static func report(_ farm: Farm, freeBytes: Int64? = 500_000_000_000) async throws -> DoctorReport {
        try await DoctorReport.make(now: farm.clock.now, freeBytes: { _ in freeBytes }, farm.connection)
    }

    static func finding(_ id: String, _ farm: Farm) async throws -> Finding {
        try #require(try await report(farm).findings.first { $0.id == id })
    }

    /// Breaks something, sees that just this is told, does what a command of it does, and sees that it is gone.
    static func expect(
        _ id: String,
        _ severity: Finding.Severity = .action,
        saying text: String,
        command: String,
        _ farm: Farm,
        broken: () async throws -> Void,
        cured: () async throws -> Void
    ) async throws {
        #expect(try await finding(id, farm).severity == .ok, "\(id) before")
        try await broken()
        let report = try await report(farm)
        let found = try #require(report.findings.first { $0.id == id })
        #expect(found.severity == severity, "\(id)")
        #expect(([found.what] + found.examples).contains { $0.contains(text) }, "\(id): \(found)")
        #expect(found.commands.contains(command), "\(id): \(found.commands)")
        #expect(report.findings.filter { $0.severity == .action && $0.id != id }.map(\.id) == [], "beside \(id)")
        try await cured()
        #expect(try await finding(id, farm).severity == .ok, "\(id) after")
        let after = try await Self.report(farm)
        #expect(!after.needsAction, "after \(id): \(after.text)")
    }

    @Test func anEmptyCollectorSaysWhatComesFirstAndAHealthyOneNothing() async throws {
        try await Farm.with { farm in
            let report = try await Self.report(farm)
            #expect(report.needsAction)
            #expect(report.findings.first { $0.severity == .action }?.commands.first?.contains("token create --scope agent") == true)
        }
        try await Self.healthy { farm in
            let report = try await Self.report(farm)
            #expect(!report.needsAction, "\(report.text)")
            #expect(report.text.contains("nothing needs action"))
            #expect(report.text.contains("jobs, share declared: 7.5 %"))
            let json = try JSONValue(parsing: Array(try report.json().utf8))
            #expect(json.object?["needs_action"] == .bool(false))
            #expect(json.object?["findings"]?.array?.count == report.findings.count)
        }
    }

    @Test func aRunnerThatNobodyKnowsIsMappedByTheCommandThatDoctorPrints() async throws {
        try await Self.healthy { farm in
            let edits = HostEdits(now: { [clock = farm.clock] in clock.now })
            try await Self.expect(
                "runners",
                saying: "nearest: bremusa",
                command: "wattle-collector host runner Bremusa-Runner-1 bremusa",
                farm
            ) {
                try await farm.post(
                    #"{"id": "w", "runner": "Bremusa-Runner-1", "started_at": "2026-09-01T09:30:00Z", "finished_at": "2026-09-01T09:31:00Z", "cpu_share": 0.1}"#
                )
            } cured: {
                _ = try await edits.setRunner(
                    "bremusa-runner-1",
                    host: "bremusa",
                    instance: "",
                    from: nil,
                    to: nil,
                    farm.connection
                )
                try await farm.account()
            }
            try await Self.expect(
                "runners",
                saying: "host breumsa",
                command: "wattle-collector host alias bremusa breumsa",
                farm
            ) {
                try await farm.post(
                    #"{"id": "v", "host": "breumsa", "started_at": "2026-09-01T09:32:00Z", "finished_at": "2026-09-01T09:33:00Z", "cpu_share": 0.1}"#
                )
            } cured: {
                _ = try await edits.addAlias("breumsa", to: "bremusa", farm.connection)
                try await farm.account()
            }
        }
    }

    @Test func aMachineOnAMeteredOneLacksNoMeterAndIsNeverSaidToBeRetired() async throws {
        try await Self.healthy { farm in
            var guest = Reporter(host: "vm", boot: "b2")
            var batch = guest.batch(energy: [knot(0, 0), knot(3_600, 1)], busy: [knot(0, 0), knot(3_600, 3_600)])
            batch.curves.removeFirst()
            batch.knots.removeAll { $0.ref == 1 }
            batch.tails.removeAll { $0.ref == 1 }
            _ = try await farm.commit(batch, token: try await farm.token("vm", host: "vm"))
            try await Self.run("UPDATE host SET agent_version = '1', seen_at = '\(RFC3339.format(farm.clock.now))'", farm)
            #expect(try await Self.finding("sensors", farm).commands.contains("wattle-collector host retire vm"))
            try await Self.imports("name,parent,threads\nvm,bremusa,2\n", farm)
            #expect(try await Self.finding("sensors", farm).severity == .ok)
            // Its machine lost its meter: both have none, and it is not the guest that is to blame.
            try await Self.run("UPDATE curve SET in_cover = false WHERE kind = 'meter'", farm)
            let found = try await Self.finding("sensors", farm)
            #expect(found.severity == .action && found.examples.contains { $0.contains("vm: ") })
            #expect(!found.commands.contains("wattle-collector host retire vm"))
        }
    }

    @Test func hostsThatLackSomethingAreNamedUntilTheyHaveIt() async throws {
        try await Self.healthy { farm in
            let now = RFC3339.format(farm.clock.now)
            try await Self.expect(
                "zones",
                saying: "bremusa; add grid_zone to its newest entry",
                command: "wattle-collector host import hosts.yaml",
                farm
            ) {
                try await Self.run("UPDATE host SET grid_zone = NULL", farm)
            } cured: {
                try await Self.imports("name,pue,slots,grid_zone\nbremusa,1.1,4,FR\n", farm)
            }
            try await Self.expect("silent_agents", saying: "1 h ago", command: "wattle-collector host retire bremusa", farm) {
                try await Self.run("UPDATE host SET seen_at = timestamptz '\(now)' - interval '100 minutes'", farm)
            } cured: {
                try await Self.run("UPDATE host SET seen_at = '\(now)'", farm)
            }
            try await Self.expect("clocks", saying: "bremusa: 3 s ahead", command: "timedatectl set-ntp true", farm) {
                try await Self.run("UPDATE host SET clock_offset_us = -3000000", farm)
            } cured: {
                try await Self.run("UPDATE host SET clock_offset_us = 1000", farm)
            }
            try await Self.expect("sensors", saying: "bremusa", command: "wattle-agent detect", farm) {
                try await Self.run("UPDATE curve SET in_cover = false WHERE kind = 'meter'", farm)
            } cured: {
                try await Self.run("UPDATE curve SET in_cover = true WHERE kind = 'meter'", farm)
            }
            try await Self.expect(
                "slots",
                saying: "bremusa: 4 CPUs",
                command: "printf 'name,slots\\n%s,N\\n' bremusa > hosts.csv && wattle-collector host import hosts.csv",
                farm
            ) {
                try await Self.run(
                    "DELETE FROM host_record; UPDATE host SET grid_zone = 'FR'; UPDATE stored_slice SET share_method = 'equal'",
                    farm
                )
            } cured: {
                try await Self.imports("name,slots\nbremusa,4\n", farm)
            }
        }
    }

    @Test func aNameOfTwoHostsIsTakenFromOne() async throws {
        try await Self.healthy { farm in
            let edits = HostEdits(now: { [clock = farm.clock] in clock.now })
            try await Self.run("INSERT INTO host (name, seen_at) VALUES ('odawa', now())", farm)
            let ids = "(SELECT host_id FROM host WHERE name = 'bremusa'), (SELECT host_id FROM host WHERE name = 'odawa')"
            try await Self.expect(
                "names",
                saying: "runner r-1: the map has it on bremusa and on odawa",
                command: "wattle-collector host runner r-1 bremusa --instance github.com",
                farm
            ) {
                try await Self.run(
                    """
                    INSERT INTO runner_host (runner, instance, host_id, valid_from, origin)
                    SELECT 'r-1', 'github.com', unnest(ARRAY[\(ids)]), '2026-01-01', 'agent'
                    """,
                    farm
                )
            } cured: {
                _ = try await edits.setRunner("r-1", host: "bremusa", instance: "github.com", from: nil, to: nil, farm.connection)
            }
            try await Self.expect(
                "names",
                saying: "an alias of bremusa and the name of odawa",
                command: "wattle-collector host alias bremusa odawa --remove",
                farm
            ) {
                try await Self.run(
                    "INSERT INTO host_alias (alias, host_id, origin) SELECT 'odawa', host_id, 'import' FROM host WHERE name = 'bremusa'",
                    farm
                )
            } cured: {
                try await edits.removeAlias("odawa", from: "bremusa", farm.connection)
            }
        }
    }

    @Test func sourcesAreHeardUnderstoodAndKeptInSecrets() async throws {
        try await Self.healthy { farm in
            let now = RFC3339.format(farm.clock.now)
            let source = try await SourceTable.insert(
                name: "my farm's",
                kind: "github",
                claims: Claims(),
                settings: .object([:]),
                apiToken: nil,
                farm.connection
            )
            try await SourceTable.addSecret("s3cret", sourceID: source.id, farm.connection)
            try await Self.run("UPDATE source SET created_at = '\(now)'", farm)
            try await Self.expect(
                "sources",
                saying: "my farm's (github)",
                command: "wattle-collector source revoke 'my farm'\\''s'",
                farm
            ) {
                try await Self.run("UPDATE source SET created_at = timestamptz '\(now)' - interval '2 hours'", farm)
            } cured: {
                try await SourceTable.noteEvent(sourceID: source.id, at: farm.clock.now, farm.connection)
            }
            try await Self.expect(
                "events",
                saying: "1 unreadable, last: no such field",
                command: "wattle-collector doctor --retry-events 'my farm'\\''s'",
                farm
            ) {
                try await Self.run(
                    """
                    INSERT INTO ci_event (source_id, event_key, name, headers, body, sha256, received_at, processed_at, outcome, detail)
                    VALUES (\(source.id), 'k', 'workflow_job', '{}', '', '', '\(now)', '\(now)', 'unreadable', 'no such field')
                    """,
                    farm
                )
            } cured: {
                let done = try await DoctorReport.retryEvents(source: source.name, farm.connection)
                #expect(done == 1)
            }
            try await Self.expect("secrets", saying: "my farm's: ends", command: "wattle-collector source rotate 'my farm'\\''s'", farm) {
                try await Self.run("UPDATE source_secret SET expires_at = timestamptz '\(now)' + interval '1 day'", farm)
            } cured: {
                try await SourceTable.rotate(to: "n3w", sourceID: source.id, overlapSeconds: 60, farm.connection)
            }
            try await Self.expect(
                "reconciliation",
                saying: "my farm's: 401",
                command: "wattle-collector source set 'my farm'\\''s' --api-token-file FILE",
                farm
            ) {
                try await SourceTable.noteReconciliation(
                    sourceID: source.id,
                    state: .object([:]),
                    at: nil,
                    error: "401 Bad credentials",
                    farm.connection
                )
            } cured: {
                try await SourceTable.noteReconciliation(
                    sourceID: source.id,
                    state: .object([:]),
                    at: farm.clock.now,
                    error: nil,
                    farm.connection
                )
            }
        }
    }

    @Test func tokensHoursAndJobsThatAreLeftOverAreTold() async throws {
        try await Self.healthy { farm in
            let now = RFC3339.format(farm.clock.now)
            try await Self.expect(
                "tokens",
                saying: "ci-1 (ci): expires",
                command: "wattle-collector token revoke --name ci-1",
                farm
            ) {
                _ = try await TokenTable.insert(
                    name: "ci-1",
                    scope: .ci,
                    sha256: Token().sha256,
                    hostName: nil,
                    expiresAtMicroseconds: (farm.clock.now + .day).microseconds,
                    farm.connection
                )
            } cured: {
                let done = try await TokenTable.revoke(name: "ci-1", farm.connection)
                #expect(done)
            }
            try await Self.expect(
                "revoked",
                saying: "old on bremusa",
                command: "wattle-collector token create --scope agent --name old-2 --host bremusa",
                farm
            ) {
                _ = try await farm.token("old", host: "bremusa")
                try await Self.run(
                    """
                    UPDATE token SET revoked_at = timestamptz '\(now)' - interval '1 hour', last_used_at = timestamptz '\(now)' WHERE name = 'old'
                    """,
                    farm
                )
            } cured: {
                try await Self.run("UPDATE token SET last_used_at = revoked_at", farm)
            }
            try await Self.expect(
                "hours",
                saying: "bremusa 2026-09-01 09:00:00: it broke",
                command: "wattle-collector doctor --retry-hours",
                farm
            ) {
                try await Self.run(
                    "INSERT INTO poisoned_hour SELECT host_id, '2026-09-01T09:00:00Z', 'it broke' FROM host",
                    farm
                )
            } cured: {
                let done = try await DoctorReport.retryPoisonedHours(farm.connection)
                #expect(done == 1)
                #expect(try await Self.finding("hours", farm).severity == .note)
                try await farm.account()
            }
            var hung = ""
            try await Self.expect(
                "services",
                .note,
                saying: "github.com/o/r: 1 jobs",
                command: "wattle-collector services apply services.yaml",
                farm
            ) {
                try await farm.post(
                    """
                    {"id": "h", "job": "hangs", "host": "bremusa", "repository": "github.com/o/r", "cpu_share": 0.1,
                     "started_at": "2026-09-01T10:00:00Z"}
                    """
                )
            } cured: {
                try await Self.run("UPDATE span_key SET service = 'ci'", farm)
            }
            farm.clock.now = at(3_600 * 26)
            try await Self.run("UPDATE host SET seen_at = '\(RFC3339.format(farm.clock.now))'", farm)
            let open = try await Self.finding("open_jobs", farm)
            hung = try #require(open.commands.first)
            #expect(open.severity == .action && hung.hasPrefix("wattle span delete ") && hung.count == 19 + 26)
        }
    }

    @Test func theDiskIsFullInAsManyDaysAsItGrows() {
        func days(_ free: Int64?, bytes: Int64 = 1_010_000_000, age: Int64 = 10) -> Finding? {
            var facts = DoctorFacts()
            facts.databaseBytes = bytes
            facts.oldestRowAt = Timestamp(microseconds: Farm.start.microseconds - age * Microseconds.day.count)
            return Doctor(facts: facts, now: Farm.start, freeBytes: free).findings.first { $0.id == "disk" }
        }
        // 100 MB a day; a tenth of what is free is kept.
        #expect(days(1_000_000_000)?.what.hasSuffix(": 9 days until the disk is full") == true)
        #expect(days(1_000_000_000)?.severity == .action)
        #expect(days(5_000_000_000)?.severity == .note)
        #expect(days(500_000_000_000)?.severity == .ok)
        #expect(days(nil)?.severity == .note && days(nil)?.what.contains("cannot be seen from here") == true)
        #expect(days(100_000_000_000, age: 0)?.severity == .ok)
    }

    @Test func namesAreNearByWhatPeopleGetWrong() {
        let hosts = ["bremusa", "odawa", "linux-x86-3", "linux-x86-30", "mac-mini-1.ci.example.org", "arm64-altra-1"]
        #expect(NearestNames.of("bremusa.ocamllabs.io", among: hosts).first == "bremusa")
        #expect(NearestNames.of("breumsa", among: hosts).first == "bremusa")
        #expect(NearestNames.of("builder-bremusa-2", among: hosts).first == "bremusa")
        #expect(NearestNames.of("LINUX_X86_3", among: hosts).first == "linux-x86-3")
        #expect(NearestNames.of("mac-mini-1", among: hosts).first == "mac-mini-1.ci.example.org")
        #expect(NearestNames.of("zzz", among: hosts) == [])
        #expect(NearestNames.of("", among: hosts) == [])
        #expect(NearestNames.distance(Array("kitten".utf8), Array("sitting".utf8)) == 3)
        #expect(NearestNames.distance([], Array("abc".utf8)) == 3)
    }

    @Test func wordsOfCommandsAreOneWordToAShellAndSayNothingToATerminal() {
        #expect(ShellWord.quoted("bremusa-1.example.org") == "bremusa-1.example.org")
        #expect(ShellWord.quoted("a b") == "'a b'")
        #expect(ShellWord.quoted("it's $HOME;`x`") == "'it'\\''s $HOME;`x`'")
        #expect(ShellWord.quoted("") == "''")
        #expect(ShellWord.quoted("two\nlines'") == "$'two\\nlines\\''")
        #expect(ShellWord.quoted("\u{1B}[31mred") == "$'\\x1b[31mred'")
        #expect(ShellWord.shown("\u{1B}[31mred") == "\u{FFFD}[31mred")
    }
}
