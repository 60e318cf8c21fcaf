import Accounting
import Energy
import Postgres
import TestSupport
import Testing

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
