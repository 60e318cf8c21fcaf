import Accounting
import Documents
import Energy
import Logging
import Postgres
import TestSupport
import Testing
import Wire

@testable import Collector
@testable import Store

/// A host that runs on another one has that one's energy, and no joule is in both.
@Suite struct NestedHostTests {
    /// 100 W for an hour on 4 CPUs of which 2 are busy; a machine of 2 CPUs on it keeps 1 busy; half an hour's job there.
    private enum Step: CaseIterable {
        case hosts, machine, guest, job
    }

    private static func run(_ steps: [Step], _ farm: Farm) async throws -> String {
        var jobID = ""
        for step in steps {
            switch step {
            case .hosts:
                _ = try await HostImport.apply(
                    try HostFile(text: "hosts: [{name: big, slots: 4}, {name: vm, parent: big, threads: 2}]", name: "hosts.yaml"),
                    dryRun: false,
                    now: farm.clock.now,
                    farm.connection
                )
            case .machine:
                var machine = Reporter(host: "big", boot: "b1")
                _ = try await farm.commit(
                    machine.batch(energy: [knot(0, 0), knot(3_600, 360_000)], busy: [knot(0, 0), knot(3_600, 7_200)]),
                    token: try await farm.token("big", host: "big")
                )
            case .guest:
                var guest = Reporter(host: "vm", boot: "b2")
                _ = try await farm.commit(
                    // Its own idea of its power counts for nothing.
                    guest.batch(energy: [knot(0, 0), knot(3_600, 9_999)], busy: [knot(0, 0), knot(3_600, 3_600)]),
                    token: try await farm.token("vm", host: "vm")
                )
            case .job:
                jobID = try await farm.post(
                    """
                    {"id": "j", "host": "vm", "cpu_share": 0.5, "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:30:00Z"}
                    """
                ).jobID
            }
            try await farm.account()
        }
        return jobID
    }

    @Test func aMachinesHourNamesItsGuestsAndWhereItsIntensityIsFrom() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            let jobID = try await Self.run(Step.allCases, farm)
            func hour(of name: String) async throws -> [String: JSONValue] {
                let host = try #require(try await HostTable.find(name: name, farm.connection))
                let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: .reserved)
                let hours = try await reader.hours(host: host, interval: at(0).hour.interval, withJobs: true)
                let parts = try await HourPart.all(of: hours, hostID: host.id, farm.connection)
                let ids = Set(hours.flatMap { $0.rows.flatMap(\.intensityIDs) }).sorted()
                let sources = try await IntensityTable.sources(of: ids, farm.connection)
                let only = try #require(hours.only)
                return try #require(only.json(parts: parts, sources: sources).object)
            }
            let machine = try await hour(of: "big")
            let guests = try #require(machine["jobs"]?.array)
            let guest = try #require(guests.only?.object)
            #expect(guest["host"]?.string == "vm" && guest["id"] == .null && guest["key"] == .null && guest["job"] == .null)
            #expect(guest["dynamic_uj"]?.string == "144000000000" && guest["idle_uj"]?.string == "36000000000")
            let jobs = try await hour(of: "vm")["jobs"]
            let job = try #require(jobs?.array?.only?.object)
            #expect(job["id"]?.string == jobID && job["host"] == nil)
            let source = try #require(machine["intensity"]?.array?.only?.object)
            #expect(machine["co2e_location_ug"] != .null && source["zone"]?.string == "FR" && source["kind"]?.string == "yearly")
            #expect(source["basis"]?.string?.isEmpty == false && source["provider"]?.string?.isEmpty == false)
        }
    }

    @Test func aGuestsEnergyIsItsMachinesSliceOfItWhateverCameFirst() async throws {
        var random = RandomSource(seed: 5)
        for _ in 0..<LongRun.rounds(short: 4, long: 24) {
            // The hosts are named first: a span that waits is another matter.
            let steps = [Step.hosts] + [Step.machine, .guest, .job].shuffled(using: &random)
            try await Farm.with { farm in
                farm.clock.now = at(3_700)
                let jobID = try await Self.run(steps, farm)
                let hour = at(0).hour.interval
                let guest = try #require(try await HostTable.find(name: "vm", farm.connection))
                let machine = try #require(try await HostTable.find(name: "big", farm.connection))
                let whole = try #require(try await HourLedger.read(hostID: machine.id, hour, farm.connection).only)
                let part = try #require(try await HourLedger.read(hostID: guest.id, hour, farm.connection).only, "\(steps)")
                // Half of what was busy, and the idle power of two of four CPUs.
                #expect(whole.accounts.metered == 360_000_000_000)
                #expect(whole.accounts.jobDynamic == 144_000_000_000 && whole.accounts.idleMoved.reserved == 36_000_000_000, "\(steps)")
                #expect(part.accounts.metered == 180_000_000_000 && part.accounts.isConservedWithoutSlices, "\(steps)")
                #expect(part.accounts.flags.contains(.derived) && !whole.accounts.flags.contains(.derived))

                let footprint = try #require(try await farm.footprint(jobID))
                #expect(footprint.state == .final)
                #expect(footprint.energy?.dynamic.microjoules == 72_000_000_000)
                #expect(footprint.energy?.idle.microjoules == 9_000_000_000)
                // A farm's total has it once.
                let total = try await EnergyAccounts.read(hour, farm.connection)
                #expect(total.meteredMicrojoules == 360_000_000_000)
            }
        }
    }

    @Test func theRunningHourIsAsAGuestsSettledOneWillBe() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_599)
            var all = Step.allCases
            all.removeLast()
            let jobID = try await Self.run(all + [.job], farm)
            let running = try #require(try await farm.footprint(jobID))
            #expect(running.hasOpenHour && running.state == .final)
            farm.clock.now = at(3_700)
            _ = try await WorkQueue.markForgotten(now: farm.clock.now, farm.connection)
            try await WorkQueue.mark(hostID: 1, hours: [at(0).hour], now: farm.clock.now, reason: "test", farm.connection)
            try await WorkQueue.mark(hostID: 2, hours: [at(0).hour], now: farm.clock.now, reason: "test", farm.connection)
            try await farm.account()
            let settled = try #require(try await farm.footprint(jobID))
            #expect(!settled.hasOpenHour)
            #expect(settled.energy?.total == running.energy?.total)
        }
    }

    @Test func aGuestsStatementWaitsForWhatItsMachineWaitsFor() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            let jobID = try await Self.run(Step.allCases, farm)
            let settled = try #require(try await farm.footprint(jobID))
            #expect(settled.statement != nil && !settled.hasOpenHour)
            let short = farm.settledFootprints
            #expect(short > 0)
            // A job on the machine, beside the guest: late.
            try await farm.post(
                """
                {"id": "late", "host": "big", "cpu_share": 0.25, "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T10:00:00Z"}
                """
            )
            #expect(try await farm.count("dirty WHERE host_id = 2") == 0)
            let pending = try #require(try await farm.footprint(jobID))
            #expect(farm.settledFootprints == short)
            #expect(pending.hasOpenHour && pending.statement == nil)
            #expect(pending.allMissing.contains { $0.field == "statement" && $0.reason == "hour_open" })
            try await farm.account()
            let again = try #require(try await farm.footprint(jobID))
            #expect(again.statement != nil && !again.hasOpenHour)
            #expect(again.energy?.total == pending.energy?.total)
            // What could not be accounted of the machine is not known of the guest.
            try await farm.connection.executeScript(
                "INSERT INTO poisoned_hour (host_id, hour, error) VALUES (1, '2026-09-01T09:00:00Z', 'odd')"
            )
            let aside = try #require(try await farm.footprint(jobID))
            #expect(aside.statement == nil && aside.hasOpenHour && aside.energy?.total == again.energy?.total)
        }
    }

    @Test func aMachineIsAccountedOnceAndBeforeItsGuests() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            _ = try await HostImport.apply(
                try HostFile(
                    text: "hosts: [{name: big, slots: 4}, {name: vm1, parent: big, threads: 1}, {name: vm2, parent: big, threads: 1}]",
                    name: "hosts.yaml"
                ),
                dryRun: false,
                now: farm.clock.now,
                farm.connection
            )
            // The guests' readings come first, and with them their marks.
            for (name, joules, busy) in [("vm1", 9_999.0, 1_800.0), ("vm2", 9_999, 900), ("big", 360_000, 7_200)] {
                var reporter = Reporter(host: name, boot: name)
                let batch = reporter.batch(energy: [knot(0, 0), knot(3_600, joules)], busy: [knot(0, 0), knot(3_600, busy)])
                _ = try await farm.commit(batch, token: try await farm.token(name, host: name))
            }
            #expect(try await Self.accounted(farm) == 3)
            let machine = try await farm.connection.query(
                Statement(
                    "machine_first",
                    """
                    SELECT bool_and(a.computed_at <= b.computed_at) AS is_first FROM accounted_hour a JOIN host h USING (host_id)
                        CROSS JOIN accounted_hour b WHERE h.name = 'big'
                    """
                )
            ).only()
            #expect(try machine.bool("is_first"))
        }
    }

    /// How many host-hours a worker accounts until nothing is left.
    private static func accounted(_ farm: Farm) async throws -> Int {
        let worker = AccountingWorker(
            pool: farm.pool,
            log: Logger(label: "test"),
            now: { [clock = farm.clock] in clock.now },
            metrics: CollectorMetrics()
        )
        var count = 0
        while true {
            let done = try await worker.accountMarkedHours()
            if done == 0 { return count }
            count += done
        }
    }

    @Test func anAnswerAboutManyGuestsAccountsTheirMachinesOpenHourOnce() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_599)
            let guests = (1...3).map { "{name: vm\($0), parent: big, threads: 1}" }.joined(separator: ", ")
            _ = try await HostImport.apply(
                try HostFile(text: "hosts: [{name: big, slots: 4}, \(guests)]", name: "hosts.yaml"),
                dryRun: false,
                now: farm.clock.now,
                farm.connection
            )
            var machine = Reporter(host: "big", boot: "big")
            let batch = machine.batch(energy: [knot(0, 0), knot(3_590, 359_000)], busy: [knot(0, 0), knot(3_590, 7_180)])
            _ = try await farm.commit(batch, token: try await farm.token("big", host: "big"))
            var jobs: [JobRow] = []
            for guest in 1...3 {
                let id = try await farm.post(
                    #"{"id": "\#(guest)", "host": "vm\#(guest)", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:30:00Z"}"#
                ).jobID
                jobs.append(try #require(try await JobDirectory.find(jobID: id, for: .everything, farm.connection)))
            }
            let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: .reserved)
            let footprints = try await reader.footprints(of: jobs)
            #expect(footprints.count == 3 && footprints.allSatisfy { $0.hasOpenHour && ($0.energy?.total.microjoules ?? 0) > 0 })
            #expect(reader.machines.count == 1)
        }
    }

    @Test func guestsAreMarkedOnlyWhereTheirPartOfTheMachineChanges() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            _ = try await Self.run(Step.allCases, farm)
            let hour = [at(0).hour]
            try await WorkQueue.mark(hostID: 1, hours: hour, now: farm.clock.now, reason: "test", farm.connection)
            #expect(try await Self.accounted(farm) == 1)
            let before = try #require(try await HourLedger.read(hostID: 2, hour[0].interval, farm.connection).first)
            // A job that takes all the rest leaves the guest's CPU time what it was, and its idle energy less.
            try await farm.post(
                """
                {"id": "late", "host": "big", "cpu_share": 1, "started_at": "2026-09-01T09:05:00Z", "finished_at": "2026-09-01T09:55:00Z"}
                """
            )
            #expect(try await Self.accounted(farm) == 2)
            let after = try #require(try await HourLedger.read(hostID: 2, hour[0].interval, farm.connection).first)
            #expect(after.accounts.metered < before.accounts.metered)
        }
    }

    @Test func anotherNameChangesNoAccountsAndNoDigests() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            _ = try await Self.run(Step.allCases, farm)
            let versions = try await farm.count("accounted_version")
            let digests = try await Self.digests(farm)
            let edits = HostEdits(now: { at(3_700) })
            try await edits.rename("vm", to: "a-guest", farm.connection)
            try await edits.rename("big", to: "z-machine", farm.connection)
            #expect(try await farm.count("dirty") == 0)
            try await PackedHoursTests.markAll(farm)
            try await farm.account()
            #expect(try await Self.digests(farm) == digests)
            #expect(try await farm.count("accounted_version") == versions)
        }
    }

    @Test func aNameThatACgroupOfTheMachineHasMarksTheHoursOfThatCgroup() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            _ = try await Self.run(Step.allCases, farm)
            // A cgroup that keeps 1.5 of 4 CPUs busy, of a machine whose agent counts 1.
            var curve = Reporter.busy(ref: 3, origin: 7)
            (curve.name, curve.kind) = ("cgroup/kvm#1", .workloadCpu)
            var more = Reporter(host: "big", boot: "b3", incarnation: String(repeating: "c", count: 32))
            var batch = more.batch(energy: [], busy: nil)
            batch.curves.append(curve)
            batch.knots.append(WireKnotColumn(ref: 3, knots: [knot(0, 0), knot(3_600, 5_400)]))
            var tail = WireTail()
            (tail.ref, tail.tUs, tail.value, tail.completeUntilUs) = (3, at(3_600).microseconds, 5_400_000_000, at(3_600).microseconds)
            batch.tails.append(tail)
            var workload = WireWorkloadChange()
            (workload.ref, workload.cgroup, workload.bornUs) = (3, "/machine.slice/machine-kvm\\x2d1.scope", at(0).microseconds)
            batch.workloads = [workload]
            _ = try await farm.commit(batch, token: 1)
            try await farm.account()
            func dynamic() async throws -> Int64? {
                try await HourLedger.read(hostID: 1, at(0).hour.interval, farm.connection).first?.accounts.jobDynamic
            }
            #expect(try await dynamic() == 144_000_000_000)
            try await HostEdits(now: { at(3_700) }).rename("vm", to: "kvm-1", farm.connection)
            #expect(try await farm.count("dirty") == 1)
            try await farm.account()
            #expect(try await dynamic() == 216_000_000_000)
        }
    }

    private static func digests(_ farm: Farm) async throws -> [String] {
        try await farm.connection.query(
            Statement(
                "digests_by_host",
                "SELECT host_id || encode(inputs_sha256, 'hex') AS line FROM accounted_hour ORDER BY host_id, hour"
            )
        ).map { try $0.string("line") }
    }

    @Test(arguments: [
        ("/machine.slice/machine-qemu\\x2d17\\x2dbuild\\x2dvm\\x2d1.scope", true),
        ("/machine.slice/machine-build\\x2dvm\\x2d1.scope", true),
        ("/lxc.payload.build\\x2dvm\\x2d1", true), ("/machine.slice/machine-qemu\\x2d17\\x2dbuild\\x2dvm\\x2d12.scope", false),
        ("/machine.slice/machine-qemu\\x2d17\\x2dbuild\\x2dvm\\x2d1.scope/libvirt", false), ("/system.slice/build-vm-1.service", false),
        ("/", false),
    ])
    func aMachinesCgroupIsToldByItsName(path: String, isOwn: Bool) {
        #expect(NestedHosts.isCgroup(path, of: "build-vm-1") == isOwn)
    }
}

extension Array {
    fileprivate var only: Element? { count == 1 ? self[0] : nil }
}

extension ComponentAccounts {
    fileprivate var isConservedWithoutSlices: Bool { metered == jobDynamic + system + agent + idle + unknown }
}
