import Documents
import Energy
import Store

/// Looks at facts and says what is wrong; pure. Each look gives one finding, also when all is well.
struct Doctor {
    let facts: DoctorFacts
    let now: Timestamp
    /// Free bytes where the database lies; nil where that cannot be seen from here.
    let freeBytes: Int64?

    /// An agent sends at least every minute; one that was silent for longer than this has stopped.
    static let silence = Microseconds.seconds(15 * 60)
    /// A clock this far off puts the edges of short jobs on the wrong side.
    static let clockTolerance = Microseconds.seconds(2)
    /// What expires within this is told while there is time.
    static let notice = Microseconds(14 * Microseconds.day.count)
    /// What expires within this must be seen to now.
    static let urgent = Microseconds(3 * Microseconds.day.count)
    /// Webhooks and walks silent for longer than this are looked at.
    static let hookSilence = Microseconds(3 * Microseconds.day.count)
    /// Grid providers are asked several times an hour; what nobody asked for longer is in no collector's `grid:` any more.
    static let feedSilence = Microseconds.seconds(3 * 3_600)
    /// A failure or two passes.
    static let feedFailures = 3
    private static let shown = 5

    var findings: [Finding] {
        var all: [Finding] = [hostsKnown, sensors, silent, clocks, runners, claimedTwice, spanless, slots, sites, zones, intensities]
        all += [feeds, pue, energy]
        all += [
            sources, events, secrets, reconciliation, tokens, revoked, classes, clones, open, poisoned, rules, telemetry, samples, scrapes,
            packing, disk,
        ]
        let order = Finding.Severity.allCases
        return all.enumerated().sorted { a, b in
            let (x, y) = (order.firstIndex(of: a.element.severity) ?? 0, order.firstIndex(of: b.element.severity) ?? 0)
            return (x, a.offset) < (y, b.offset)
        }.map(\.element)
    }

    private var inService: [HostOverview] { facts.hosts.filter { $0.host.retiredAtMicroseconds == nil } }

    private func some<T>(_ items: [T], _ text: (T) -> String) -> [String] {
        items.prefix(Self.shown).map { ShellWord.shown(text($0)) }
            + (items.count > Self.shown ? ["... and \(items.count - Self.shown) more"] : [])
    }

    private func list(_ n: Int, _ one: String) -> String { Readable.count(Int64(n), one) }

    private func ago(_ time: Timestamp) -> String { "\(Readable.seconds(now - time)) ago" }

    private func seenAt(_ host: HostOverview) -> Timestamp { Timestamp(microseconds: host.host.seenAtMicroseconds) }

    // MARK: Other exporters

    private var samples: Finding {
        let reasons = [TelemetryTable.Unmapped.untimely, TelemetryTable.Unmapped.impossible, TelemetryTable.Unmapped.longSince]
        let left = facts.unmapped.filter { reasons.contains($0.reason) }
        guard !left.isEmpty else {
            return Finding("telemetry_samples", .ok, "no sample of other exporters was left out in the last 7 days")
        }
        let isClock = left.contains { $0.reason == TelemetryTable.Unmapped.untimely }
        return Finding(
            "telemetry_samples",
            left.allSatisfy { $0.reason == TelemetryTable.Unmapped.longSince } ? .note : .action,
            "\(list(left.count, "metric")) of other exporters with samples that do not count"
                + (isClock ? ": a clock is more than 5 minutes ahead, or was never set" : ""),
            count: left.count,
            examples: some(left) { one in
                let labels = one.example.sorted { $0.key < $1.key }.prefix(4).map { "\($0.key)=\($0.value)" }
                let why =
                    switch one.reason {
                    case TelemetryTable.Unmapped.untimely: "times later than now or of before 2020"
                    case TelemetryTable.Unmapped.impossible: "values that the meter cannot have"
                    default: "increases since more than an hour, which are only where the count begins"
                    }
                return "\(one.name){\(labels.joined(separator: ","))}: \(one.n) samples, \(why)"
            },
            commands: isClock ? ["timedatectl set-ntp true"] : []
        )
    }

    private var scrapes: Finding {
        let failed = facts.unmapped.filter { $0.reason == TelemetryTable.Unmapped.scrapeFailed }
        guard !failed.isEmpty else { return Finding("scrapes", .ok, "no target of `scrape:` fails") }
        return Finding(
            "scrapes",
            .action,
            "\(list(failed.count, "target")) of `scrape:` failed in the last 7 days and did not answer since: nothing there is metered",
            count: failed.count,
            examples: some(failed) { "\($0.name): \($0.n) times, last \($0.example["error"] ?? "no reason known")" },
            commands: failed.prefix(2).map { "curl -sS \(ShellWord.quoted($0.name))" }
        )
    }

    private var telemetry: Finding {
        let others = TelemetryTable.Unmapped.otherReasons
        let unmapped = facts.unmapped.filter { !others.contains($0.reason) }
        guard !unmapped.isEmpty else { return Finding("telemetry", .ok, "every series of energy that came is mapped to a meter") }
        return Finding(
            "telemetry",
            .note,
            "\(unmapped.count) series of other exporters look like energy and became no meter: add rows to meters.yaml",
            count: unmapped.count,
            examples: some(unmapped) { series in
                let labels = series.example.sorted { $0.key < $1.key }.prefix(4).map { "\($0.key)=\($0.value)" }
                let reason =
                    switch series.reason {
                    case "no_host": "no label names its host"
                    case "no_label": "a label that its row needs is missing"
                    case "no_match": "rows know the name, none the labels"
                    case "no_unit": "nothing says its unit, or its sender says one that is not known"
                    default: "no row knows the name"
                    }
                return "\(series.name){\(labels.joined(separator: ","))}: \(reason)"
            },
            commands: ["wattle-collector serve --meters FILE"]
        )
    }

    // MARK: Hosts

    private var hostsKnown: Finding {
        guard facts.hosts.isEmpty else {
            return Finding("hosts", .ok, "\(list(inService.count, "host")) in service", count: inService.count)
        }
        return Finding(
            "hosts",
            .action,
            "no host has reported yet: install wattle-agent on each machine that runs jobs",
            commands: [
                "wattle-collector token create --scope agent --name HOST --host HOST", "wattle-agent run --collector URL --token wtl_...",
            ]
        )
    }

    private var sensors: Finding {
        let machines = Dictionary(facts.hosts.map { ($0.host.id, $0) }) { first, _ in first }
        // What runs on another host has its energy from there.
        func isMetered(_ host: HostOverview, depth: Int = 0) -> Bool {
            guard host.qualities.isEmpty else { return true }
            guard let parentID = host.host.parentID, depth < 10 else { return false }
            // Of more hosts than are read here nothing is said.
            return machines[parentID].map { isMetered($0, depth: depth + 1) } ?? true
        }
        let bare = inService.filter { !isMetered($0) && ($0.agentVersion != "" || $0.jobs > 0) }
        guard !bare.isEmpty else { return Finding("sensors", .ok, "every host has a meter") }
        return Finding(
            "sensors",
            .action,
            "\(list(bare.count, "host")) without any meter: jobs there have no energy",
            count: bare.count,
            examples: some(bare) { "\($0.host.name): \($0.jobs) jobs in 7 days" },
            commands: ["wattle-agent detect"]
                // A machine on another one lacks that one's meter.
                + bare.filter { $0.host.parentID == nil }.prefix(2).map { "wattle-collector host retire \(ShellWord.quoted($0.host.name))" }
        )
    }

    private var silent: Finding {
        let silent = inService.filter { now - seenAt($0) > Self.silence && !$0.isEphemeral && !$0.agentVersion.isEmpty }
        guard !silent.isEmpty else { return Finding("silent_agents", .ok, "every agent has been heard of in the last 15 minutes") }
        return Finding(
            "silent_agents",
            .action,
            "\(list(silent.count, "agent")) silent: nothing there is metered now",
            count: silent.count,
            examples: some(silent) { "\($0.host.name): last heard \(ago(seenAt($0)))" },
            commands: ["systemctl restart wattle-agent"]
                + silent.prefix(Self.shown).map { "wattle-collector host retire \(ShellWord.quoted($0.host.name))" }
        )
    }

    private var clocks: Finding {
        let off = inService.filter { host in host.clockOffset.map { abs($0.count) > Self.clockTolerance.count } ?? false }
        guard !off.isEmpty else { return Finding("clocks", .ok, "no agent's clock is more than 2 s off") }
        return Finding(
            "clocks",
            .action,
            "\(list(off.count, "clock")) more than 2 s off: edges of jobs are uncertain by that much",
            count: off.count,
            examples: some(off) { host in
                let offset = (host.clockOffset ?? .zero).count
                let amount = Readable.seconds(Microseconds(abs(offset)))
                return "\(host.host.name): \(amount) \(offset > 0 ? "behind" : "ahead")"
            },
            commands: ["timedatectl set-ntp true"]
        )
    }

    private var runners: Finding {
        guard !facts.waiting.isEmpty else { return Finding("runners", .ok, "every job of the last 7 days has a host or a host class") }
        let names = inService.flatMap { host in ([host.host.name] + host.aliases).map { (name: $0, host: host.host.name) } }
        let jobs = facts.waiting.reduce(0) { $0 + $1.jobs }
        let named = facts.waiting.filter { $0.name != nil }
        var commands: [String] = []
        for waiting in named.prefix(Self.shown) {
            guard let name = waiting.name else { continue }
            let nearest = nearestHosts(name, names)
            let host = nearest.first.map(ShellWord.quoted) ?? "HOST"
            commands.append(
                waiting.isRunner
                    ? "wattle-collector host runner \(ShellWord.quoted(name)) \(host)"
                    : "wattle-collector host alias \(host) \(ShellWord.quoted(name))"
            )
        }
        if named.count < facts.waiting.count { commands.append("wattle-collector services test FILE") }
        return Finding(
            "runners",
            .action,
            "\(list(Int(jobs), "job")) of the last 7 days without a host, under \(list(facts.waiting.count, "name"))",
            count: Int(jobs),
            examples: some(facts.waiting) { waiting in
                guard let name = waiting.name else {
                    return "no name at all (\(waiting.jobs) jobs): the sender says neither host nor runner"
                }
                let nearest = nearestHosts(name, names)
                let like = nearest.isEmpty ? "no host is named like it" : "nearest: \(nearest.joined(separator: ", "))"
                return "\(waiting.isRunner ? "runner" : "host") \(name) (\(waiting.jobs) jobs, last \(ago(waiting.lastAt))): \(like)"
            },
            commands: commands
        )
    }

    private func nearestHosts(_ name: String, _ names: [(name: String, host: String)]) -> [String] {
        var hosts: [String] = []
        for near in NearestNames.of(name, among: names.map(\.name), limit: 6) {
            if let host = names.first(where: { $0.name == near })?.host, !hosts.contains(host) { hosts.append(host) }
        }
        return Array(hosts.prefix(3))
    }

    private var claimedTwice: Finding {
        guard !facts.claimedTwice.isEmpty else { return Finding("names", .ok, "no name leads to two hosts") }
        return Finding(
            "names",
            .action,
            "\(list(facts.claimedTwice.count, "name")) claimed by two hosts: jobs may lie on the wrong one",
            count: facts.claimedTwice.count,
            examples: some(facts.claimedTwice) { claim in
                switch claim.kind {
                case .alias: "\(claim.name): an alias of \(claim.holder) and the name of \(claim.other)"
                case .runner: "runner \(claim.name): the map has it on \(claim.holder) and on \(claim.other)"
                case .agent: "\(claim.name): of \(claim.holder), and what the agent of \(claim.other) calls its machine"
                }
            },
            commands: facts.claimedTwice.prefix(Self.shown).map { claim in
                let (name, holder) = (ShellWord.quoted(claim.name), ShellWord.quoted(claim.holder))
                switch claim.kind {
                case .alias: return "wattle-collector host alias \(holder) \(name) --remove"
                case .runner:
                    let instance = claim.instance.isEmpty ? "" : " --instance \(ShellWord.quoted(claim.instance))"
                    return "wattle-collector host runner \(name) \(holder)\(instance)"
                case .agent: return "wattle-collector host merge \(ShellWord.quoted(claim.other)) \(holder)"
                }
            }
        )
    }

    private var spanless: Finding {
        if facts.jobs == 0 {
            return Finding(
                "jobs",
                facts.hosts.isEmpty ? .note : .action,
                "no job has started in the last 7 days: let your CI tell of its jobs",
                commands: ["wattle-collector source add github NAME", "wattle run -- make"]
            )
        }
        let idle = inService.filter { $0.jobs == 0 && !$0.isEphemeral }
        guard !idle.isEmpty else { return Finding("jobs", .ok, "every host had jobs in the last 7 days", count: Int(facts.jobs)) }
        return Finding(
            "jobs",
            .note,
            "\(list(idle.count, "host")) without a job in the last 7 days: all their energy is idle, system or unknown",
            count: idle.count,
            examples: some(idle) {
                "\($0.host.name): \($0.runners.isEmpty ? "no runner is mapped to it" : $0.runners.joined(separator: ", "))"
            },
            commands: idle.prefix(2).map { "wattle-collector host runner RUNNER \(ShellWord.quoted($0.host.name))" }
        )
    }

    /// How a field gets into hosts' records. A file of one line does for a host without one; an entry replaces the whole record of its time,
    /// so where there is one the field goes into the operator's own file.
    private func importing(_ hosts: [HostOverview], _ field: String, _ value: String) -> [String] {
        let bare = hosts.filter { $0.record == nil }.prefix(2).map { host in
            "printf 'name,\(field)\\n%s,\(value)\\n' \(ShellWord.quoted(host.host.name)) > hosts.csv && wattle-collector host import hosts.csv"
        }
        return bare.count == hosts.count || bare.count == 2 ? bare : bare + ["wattle-collector host import hosts.yaml"]
    }

    private func lacking(_ hosts: [HostOverview], _ field: String, _ text: (HostOverview) -> String) -> [String] {
        some(hosts) { $0.record == nil ? text($0) : "\(text($0)); add \(field) to its newest entry in hosts.yaml" }
    }

    private var slots: Finding {
        let unsaid = inService.filter { $0.host.slots == nil && facts.hostsSharingEqually.contains($0.host.id) && $0.runners.isEmpty }
        guard !unsaid.isEmpty else { return Finding("slots", .ok, "slots are known wherever jobs share equally") }
        return Finding(
            "slots",
            .action,
            "\(list(unsaid.count, "host")) where jobs share equally and nobody said how many slots there are: idle is shared out too high",
            count: unsaid.count,
            examples: lacking(unsaid, "slots") { "\($0.host.name): \($0.host.cpus) CPUs, \($0.jobs) jobs in 7 days" },
            commands: importing(unsaid, "slots", "N")
        )
    }

    private var sites: Finding {
        guard let first = facts.sitesUndescribed.first else { return Finding("sites", .ok, "every site that a host names is described") }
        return Finding(
            "sites",
            .note,
            "\(list(facts.sitesUndescribed.count, "site")) that hosts name and nobody described: no market-based CO2e and no water there",
            count: facts.sitesUndescribed.count,
            examples: some(facts.sitesUndescribed) { "\($0.name): \(list(Int($0.n), "host")), as \($0.detail)" },
            commands: [
                "printf 'site,grid_zone,pue\\n%s,ZONE,PUE\\n' \(ShellWord.quoted(first.name)) > sites.csv"
                    + " && wattle-collector site import sites.csv"
            ]
        )
    }

    private var zones: Finding {
        let unsaid = inService.filter { $0.host.gridZone == nil && !$0.agentVersion.isEmpty }
        guard !unsaid.isEmpty else { return Finding("zones", .ok, "every host has a grid zone") }
        return Finding(
            "zones",
            .action,
            "\(list(unsaid.count, "host")) without a grid zone: no CO2e there",
            count: unsaid.count,
            examples: lacking(unsaid, "grid_zone") { $0.host.name },
            commands: importing(unsaid, "grid_zone", "ZONE")
        )
    }

    private var intensities: Finding {
        guard !facts.zonesWithoutIntensity.isEmpty else { return Finding("intensities", .ok, "every host's grid zone has an intensity") }
        let affected = inService.filter { host in host.host.gridZone.map { facts.zonesWithoutIntensity.contains($0) } ?? false }
        return Finding(
            "intensities",
            .action,
            "\(list(facts.zonesWithoutIntensity.count, "grid zone")) without any intensity: no CO2e there",
            count: facts.zonesWithoutIntensity.count,
            examples: some(facts.zonesWithoutIntensity) { $0 },
            commands: importing(affected, "grid_zone", "ZONE")
        )
    }

    private var feeds: Finding {
        // One that fails is asked less and less.
        let silent = facts.feeds.filter { feed in
            let most = feed.failures == 0 ? Self.feedSilence : Self.feedSilence + GridKeeper.longestBackoff
            return feed.askedAt.map { now - $0 > most } ?? false
        }
        let failing = facts.feeds.filter { Int($0.failures) >= Self.feedFailures && !silent.contains($0) }
        let partial = facts.feeds.filter { !$0.findings.isEmpty && !silent.contains($0) && !failing.contains($0) }
        func name(_ feed: GridFeed) -> String { "\(feed.zone) of \(feed.provider)" }
        let lines =
            failing.map { "\(name($0)): \($0.failures) times in a row, last: \($0.failure ?? "no reason known")" }
            + silent.map { feed in
                "\(name(feed)): last asked \(feed.askedAt.map { ago($0) } ?? "never"); forgotten a week after if it is gone from `grid:`"
            }
        guard lines.isEmpty else {
            return Finding(
                "grid_feeds",
                .action,
                "\(list(lines.count, "grid feed")) without answers: hours there keep a forecast, or have no CO2e, until they come",
                count: lines.count,
                examples: some(lines) { $0 },
                commands: ["wattle-collector serve --show-config"]
            )
        }
        guard !partial.isEmpty else {
            let what = facts.feeds.isEmpty ? "no grid provider is asked: yearly intensities count" : "every grid feed answers"
            return Finding("grid_feeds", .ok, what, count: facts.feeds.count)
        }
        return Finding(
            "grid_feeds",
            .note,
            "\(list(partial.count, "grid feed")) told something that does not count, or was refused",
            count: partial.count,
            examples: some(partial) { "\(name($0)): \($0.findings.first ?? "")" }
        )
    }

    private var pue: Finding {
        let unsaid = inService.filter { $0.record?["pue"] == nil && $0.host.pue == 1 }
        guard !unsaid.isEmpty else { return Finding("pue", .ok, "every host has a PUE") }
        return Finding(
            "pue",
            .note,
            "\(list(unsaid.count, "host")) without a PUE: cooling and power supply of the site count as nothing",
            count: unsaid.count,
            examples: lacking(unsaid, "pue") { $0.host.name },
            commands: importing(unsaid, "pue", "1.2")
        )
    }

    // MARK: Energy

    private var energy: Finding {
        let accounts = facts.energy
        guard accounts.meteredMicrojoules > 0 else {
            return Finding("energy", .note, "no hour has been accounted in the last 7 days; the first one is, five minutes after it ends")
        }
        func part(_ microjoules: Int128) -> String { Readable.percents([microjoules], of: accounts.meteredMicrojoules)[0] + " %" }
        var lines = accounts.jobs.map { "jobs, share \(Readable.method($0.method)): \(part($0.microjoules))" }
        lines.append(
            "system \(part(accounts.systemMicrojoules)), idle \(part(accounts.idleMicrojoules)), agent \(part(accounts.agentMicrojoules)),"
                + " unknown \(part(accounts.unknownMicrojoules))"
        )
        if accounts.modelledMicrojoules > 0 { lines.append("modelled, not metered: \(part(accounts.modelledMicrojoules))") }
        let seconds = Double(accounts.hostHours) * 3_600
        if accounts.unmetered.seconds > 0, seconds > 0 {
            lines.append("not metered: \(Readable.seconds(accounts.unmetered)) of \(accounts.hostHours) host-hours, summed over components")
        }
        let weak = accounts.jobs.filter { $0.method == "equal" }.reduce(Int128(0)) { $0 + $1.microjoules }
        let isWeak = weak * 2 > accounts.jobsMicrojoules && accounts.jobsMicrojoules > 0
        return Finding(
            "energy",
            isWeak || accounts.jobsMicrojoules == 0 ? .note : .ok,
            "\(part(accounts.jobsMicrojoules)) of \(Readable.energy(Double(accounts.meteredMicrojoules))) metered in 7 days is on named jobs"
                + (isWeak ? ", most of it in equal parts: let jobs say their cgroup" : ""),
            examples: lines,
            commands: isWeak ? ["wattle span start --github-hook"] : []
        )
    }

    // MARK: The front door

    private var hooks: [DoctorFacts.Source] { facts.sources.filter { $0.source.revokedAt == nil && $0.source.kind != "oidc" } }

    private var sources: Finding {
        let mute = hooks.filter { $0.source.lastEventAt == nil && $0.source.reconciledAt == nil && $0.source.createdAt < now - .hour }
        let quiet = hooks.filter { source in
            source.source.lastEventAt.map { now - $0 > Self.hookSilence } ?? false
        }
        guard !mute.isEmpty else {
            guard !quiet.isEmpty else {
                return Finding("sources", .ok, "\(list(hooks.count, "webhook source")), all heard of", count: hooks.count)
            }
            return Finding(
                "sources",
                .note,
                "\(list(quiet.count, "webhook source")) quiet for over 3 days",
                count: quiet.count,
                examples: some(quiet) { "\($0.source.name): last event \($0.source.lastEventAt.map(ago) ?? "never")" },
                commands: ["wattle-collector source list"]
            )
        }
        return Finding(
            "sources",
            .action,
            "\(list(mute.count, "webhook source")) without a single event: is the URL pasted, and can the CI reach it?",
            count: mute.count,
            examples: some(mute) { "\($0.source.name) (\($0.source.kind)), made \(ago($0.source.createdAt))" },
            commands: mute.prefix(Self.shown).flatMap {
                let name = ShellWord.quoted($0.source.name)
                return ["wattle-collector source list", "wattle-collector source rotate \(name)", "wattle-collector source revoke \(name)"]
            }
        )
    }

    private var events: Finding {
        let faulty = facts.sources.filter { !$0.faults.isEmpty && $0.source.revokedAt == nil }
        let total = faulty.reduce(0) { $0 + $1.faults.reduce(0) { $0 + $1.n } }
        guard !faulty.isEmpty else {
            return Finding("events", .ok, "every event of the last 7 days was understood", count: Int(facts.openEvents))
        }
        return Finding(
            "events",
            .action,
            "\(list(Int(total), "event")) of the last 7 days did not become jobs",
            count: Int(total),
            examples: some(faulty.flatMap { source in source.faults.map { (source.source.name, $0) } }) { name, fault in
                "\(name): \(fault.n) \(fault.name), last: \(fault.detail)"
            },
            commands: faulty.prefix(Self.shown).map { "wattle-collector doctor --retry-events \(ShellWord.quoted($0.source.name))" }
        )
    }

    private var secrets: Finding {
        let bare = hooks.filter { $0.liveSecrets == 0 && $0.source.lastEventAt != nil }
        let ending = hooks.filter { source in source.secretsEndAt.map { $0 - now < Self.notice } ?? false }
        let all = bare + ending
        guard !all.isEmpty else { return Finding("secrets", .ok, "no source's secret is about to end") }
        let isUrgent = !bare.isEmpty || ending.contains { ($0.secretsEndAt ?? now) - now < Self.urgent }
        return Finding(
            "secrets",
            isUrgent ? .action : .note,
            "\(list(all.count, "source")) whose secrets have ended or are about to",
            count: all.count,
            examples: some(all) { source in
                "\(source.source.name): \(source.secretsEndAt.map { "ends \(Readable.time($0))" } ?? "none counts any more")"
            },
            commands: all.prefix(Self.shown).map { "wattle-collector source rotate \(ShellWord.quoted($0.source.name))" }
        )
    }

    private var reconciliation: Finding {
        let failed = facts.sources.filter { $0.source.reconcileError != nil && $0.source.revokedAt == nil }
        guard !failed.isEmpty else { return Finding("reconciliation", .ok, "no walk through a CI's history fails") }
        return Finding(
            "reconciliation",
            .action,
            "\(list(failed.count, "source")) whose history cannot be asked for: what webhooks miss stays missing",
            count: failed.count,
            examples: some(failed) { "\($0.source.name): \($0.source.reconcileError ?? "")" },
            commands: failed.prefix(Self.shown).map {
                "wattle-collector source set \(ShellWord.quoted($0.source.name)) --api-token-file FILE"
            }
        )
    }

    private var tokens: Finding {
        let ending = facts.tokens.filter { token in
            guard token.revokedAt == nil else { return false }
            if let expiresAt = token.expiresAt { return expiresAt - now < Self.notice && now - expiresAt < Self.notice }
            return token.usesLeft == 0
        }
        guard !ending.isEmpty else { return Finding("tokens", .ok, "no token is about to expire") }
        let isUrgent = ending.contains { token in token.expiresAt.map { $0 - now < Self.urgent } ?? false }
        return Finding(
            "tokens",
            isUrgent ? .action : .note,
            "\(list(ending.count, "token")) expired, used up or about to expire",
            count: ending.count,
            examples: some(ending) { token in
                let end = token.expiresAt.map { "\($0 < now ? "expired" : "expires") \(Readable.time($0))" } ?? "no use left"
                return "\(token.name) (\(token.scope)): \(end)"
            },
            commands: ending.prefix(Self.shown).flatMap { token in
                let extra =
                    token.hostName.map { " --host \(ShellWord.quoted($0))" } ?? token.pool.map { " --pool \(ShellWord.quoted($0))" } ?? ""
                return [
                    "wattle-collector token create --scope \(token.scope) --name \(ShellWord.quoted(token.name + "-2"))\(extra)",
                    "wattle-collector token revoke --name \(ShellWord.quoted(token.name))",
                ]
            }
        )
    }

    private var revoked: Finding {
        // A minute: what was under way when it was revoked is no sign.
        let sending = facts.tokens.filter { token in
            guard let revokedAt = token.revokedAt, let usedAt = token.lastUsedAt else { return false }
            return usedAt - revokedAt > .seconds(60) && now - usedAt < .day
        }
        guard !sending.isEmpty else { return Finding("revoked", .ok, "nobody sends with a revoked token") }
        return Finding(
            "revoked",
            .action,
            "\(list(sending.count, "revoked token")) still in use: an agent spools what it measures until it has a new one",
            count: sending.count,
            examples: some(sending) { "\($0.name)\($0.hostName.map { " on \($0)" } ?? ""): last tried \($0.lastUsedAt.map(ago) ?? "")" },
            commands: sending.prefix(Self.shown).map { token in
                let host = token.hostName.map { " --host \(ShellWord.quoted($0))" } ?? ""
                return "wattle-collector token create --scope \(token.scope) --name \(ShellWord.quoted(token.name + "-2"))\(host)"
            }
        )
    }

    private var classes: Finding {
        guard !facts.unknownClasses.isEmpty else { return Finding("host_classes", .ok, "every hosted machine's class has a model") }
        return Finding(
            "host_classes",
            .action,
            "\(list(facts.unknownClasses.count, "host class")) without a model: hosted jobs there have no energy",
            count: facts.unknownClasses.count,
            examples: some(facts.unknownClasses) { "\($0.name): \($0.n) jobs in 7 days" },
            commands: ["wattle-collector host import classes.yaml"]
        )
    }

    // MARK: The ledger

    private var open: Finding {
        guard !facts.openSpans.isEmpty else { return Finding("open_jobs", .ok, "no job has been running for more than a day") }
        return Finding(
            "open_jobs",
            .action,
            "\(list(Int(facts.openSpanCount), "job")) running for more than a day: their end was lost, or they hang",
            count: Int(facts.openSpanCount),
            examples: some(facts.openSpans) { "\($0.name): since \(Readable.time($0.startedAt))" },
            commands: facts.openSpans.prefix(Self.shown).map { "wattle span delete \($0.jobID)" }
        )
    }

    private var clones: Finding {
        guard !facts.rivals.isEmpty else { return Finding("clones", .ok, "every host is one machine") }
        return Finding(
            "clones",
            .action,
            "\(list(facts.rivals.count, "host")) that two machines report as, cloned images perhaps: one of the two is refused and keeps "
                + "what it measures",
            count: facts.rivals.count,
            examples: some(facts.rivals) {
                "\($0.hostName): boot \($0.refusedBootID) was refused \(ago($0.lastAt)), boot \($0.keptBootID) is taken, two since "
                    + Readable.time($0.since)
            },
            commands: facts.rivals.prefix(Self.shown).map {
                "wattle-collector token create --scope agent --name \(ShellWord.quoted($0.hostName + "-2")) --host "
                    + ShellWord.quoted($0.hostName + "-2")
            } + ["wattle-agent run --host NAME --token wtl_..."]
        )
    }

    private var poisoned: Finding {
        let waiting = facts.poisoned.filter { !$0.isMarked }
        guard !waiting.isEmpty else {
            guard !facts.poisoned.isEmpty else {
                return Finding("hours", .ok, "every hour could be accounted", count: Int(facts.dirtyHours))
            }
            return Finding("hours", .note, "\(list(facts.poisoned.count, "hour")) being tried again", count: facts.poisoned.count)
        }
        return Finding(
            "hours",
            .action,
            "\(list(waiting.count, "host-hour")) set aside with an error: their jobs have no energy",
            count: waiting.count,
            examples: some(waiting) { "\($0.host) \(Readable.time($0.hour)): \($0.error)" },
            commands: ["wattle-collector doctor --retry-hours"]
        )
    }

    private var rules: Finding {
        guard !facts.repositoriesWithoutRule.isEmpty else { return Finding("services", .ok, "every repository's jobs belong to a service") }
        let jobs = facts.repositoriesWithoutRule.reduce(0) { $0 + $1.n }
        return Finding(
            "services",
            .note,
            "\(list(facts.repositoriesWithoutRule.count, "repository")) whose jobs belong to no service (\(jobs) jobs)"
                .replacing("repositorys", with: "repositories"),
            count: facts.repositoriesWithoutRule.count,
            examples: some(facts.repositoriesWithoutRule) { "\($0.name): \($0.n) jobs" },
            commands: ["wattle-collector services test services.yaml", "wattle-collector services apply services.yaml"]
        )
    }

    private var packing: Finding {
        guard facts.daysUnpacked > 0, let oldest = facts.oldestKnotDay else {
            return Finding("packing", .ok, "no day of knots is older than it should be")
        }
        let name = Readable.time(oldest).prefix(10)
        return Finding(
            "packing",
            facts.daysUnpacked > 7 ? .action : .note,
            "\(list(facts.daysUnpacked, "day")) of knots older than a week not packed, the oldest \(name): the disk fills faster than it "
                + "should",
            count: facts.daysUnpacked,
            commands: ["wattle-collector storage", "wattle-collector storage --now"]
        )
    }

    private var disk: Finding {
        let size = "\(Readable.number(Double(facts.databaseBytes) / 1e9)) GB"
        guard let freeBytes else {
            return Finding(
                "disk",
                .note,
                "the database has \(size); free space is not known: its disk cannot be seen from here, ask for it on the database's machine",
                commands: ["df -h"]
            )
        }
        let free = "\(Readable.number(Double(freeBytes) / 1e9)) GB free"
        // An empty schema has some 10 MB, which is no growth.
        guard let oldest = facts.oldestRowAt, now - oldest > .day else {
            let isFull = freeBytes < 1_000_000_000
            return Finding("disk", isFull ? .action : .ok, "the database has \(size), \(free); its growth is known after a day")
        }
        let days = (now - oldest).seconds / 86_400
        let perDay = max(0, Double(facts.databaseBytes) - 10e6) / days
        // A tenth is kept: a full disk stops more than this.
        let left = perDay > 0 ? Double(freeBytes) * 0.9 / perDay : .infinity
        let growth = "grows by \(Readable.number(perDay / 1e6)) MB a day"
        guard left < 365 else { return Finding("disk", .ok, "the database has \(size), \(growth), \(free): more than a year") }
        return Finding(
            "disk",
            left < 14 ? .action : left < 60 ? .note : .ok,
            "the database has \(size), \(growth), \(free): \(Int(left)) days until the disk is full",
            count: Int(left),
            commands: left < 60 ? ["df -h \(facts.dataDirectory.map(ShellWord.quoted) ?? "")"] : []
        )
    }
}
