import Energy
import Glibc
import HTTPClient
public import Logging
import Meters
import ServiceLifecycle
import UnixSignals
import Wire

/// The agent, put together: sampler, sealer, uplink and local socket in one service group.
public enum AgentProgram {
    public static let version = SoftwareVersion.current

    /// Why the agent cannot run.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Runs until SIGTERM or SIGINT. Then every curve ends in a knot, the last batch is spooled and tried to be sent.
    public static func run(_ given: AgentSettings, log: Logger) async throws {
        let lock = try lockState(given.stateDirectory)
        defer { close(lock) }
        let (settings, token) = try credentials(given, log)
        let bootID = try HostIdentity.bootID(roots: settings.roots)

        let stateFile = StateFile(path: "\(settings.stateDirectory)/state.json")
        let spool = Spool(
            directory: "\(settings.stateDirectory)/spool",
            host: settings.host,
            bootID: bootID,
            limits: Spool.Limits(unacknowledged: settings.spoolBytes)
        )
        let state = newest(try await spool.open(), readState(stateFile, log))
        for finding in await spool.findings { log.warning("\(finding)") }

        let clock = ClockReading.now()
        let timeBase = TimeBase(bootID: bootID, clock: clock, resuming: state)
        let drift = (timeBase.time(of: clock) - clock.wall).count
        if abs(drift) > 2_000_000 {
            log.notice(
                "this boot's times are \(drift / 1_000_000) s ahead of the wall clock, which was stepped; the collector's clock decides"
            )
        }
        let sensorHost = try settings.sensorHost(clock: { timeBase.time(of: .now()) })
        let sensors = HostSensors.find(on: sensorHost)
        say(sensors, settings, log)
        let identity = MachineIdentity(roots: settings.roots)
        let facts = CurrentFacts(HostFacts.gather(settings, sensors.cpu, identity, log))
        let runnerScan = RunnerScan(
            files: RunnerFiles(root: settings.roots.root, hostName: identity.hostName, directories: settings.runnerDirectories),
            facts: facts,
            log: log
        )
        await runnerScan.look()
        let unused = sensors.unused
        // In a tree of files this process does not run: there its own time is nobody's.
        let isVisible = access("\(settings.roots.proc)/self", F_OK) == 0
        let ownCPUTime: @Sendable () -> Microseconds = { isVisible ? ClockReading.processCPUTime() : .zero }
        let sampling = SharedSampling(
            try Sampling(
                sensors: sensors,
                roots: settings.roots,
                hierarchies: try CgroupHierarchy.find(roots: settings.roots),
                memoryMount: try CgroupHierarchy.memoryMount(roots: settings.roots),
                settings: settings.sampling,
                timeBase: timeBase,
                resumed: state,
                processCPUTime: ownCPUTime
            )
        )
        let sealNow = Doorbell()
        let batchSpooled = Doorbell()
        let clockOffset = ClockOffset()
        let counts = UplinkCounts()
        // A group ends its services from the last to the first: no more requests, the last reading, the last batch, the last try.
        var services: [any Service] = []
        if let collector = settings.collector {
            let client = HTTPClient(
                connection: settings.connection,
                maximumBodyBytes: 1 << 20,
                maximumConnections: 1,
                userAgent: "wattle-agent/\(version)"
            )
            let transport: Uplink.Transport = { request in
                do throws(HTTPError) { return .success(try await client.send(request)) } catch { return .failure(error) }
            }
            services.append(
                Uplink(
                    spool: spool,
                    sampling: sampling,
                    timeBase: timeBase,
                    collector: collector,
                    token: token,
                    enrolment: enrolment(settings, token, collector, identity, transport),
                    transport: transport,
                    clockOffset: clockOffset,
                    batchSpooled: batchSpooled,
                    log: log,
                    isCompressing: settings.isCompressing,
                    counts: counts
                )
            )
        } else {
            log.notice("no collector is configured: nothing is kept for sending, no connection is made")
        }
        services.append(
            BatchSealer(
                sampling: sampling,
                spool: settings.collector == nil ? nil : spool,
                stateFile: stateFile,
                pace: SealingPace(interval: settings.batchInterval, intervalInSpan: settings.batchIntervalInSpan),
                facts: facts,
                identityFiles: IdentityFiles(root: settings.roots.root),
                clockOffset: clockOffset,
                sealNow: sealNow,
                batchSpooled: batchSpooled,
                log: log
            )
        )
        services.append(runnerScan)
        services.append(Sampler(sampling: sampling, settings: settings.sampling, log: log))
        services.append(Rediscovery(sampling: sampling, host: sensorHost, unused: unused, log: log))
        let context = SocketAnswer.Context(
            host: settings.host,
            bootID: bootID,
            gridZone: settings.zone,
            hasCollector: settings.collector != nil,
            facts: facts,
            uplink: counts
        )
        let jobSockets = try settings.jobSocketDirectory.map {
            try JobSockets(directory: $0, sampling: sampling, context: context, log: log)
        }
        if let jobSockets { services.append(jobSockets) }
        services.append(
            LocalSocket(
                path: settings.socket,
                group: settings.socketGroup,
                sampling: sampling,
                context: context,
                sealNow: sealNow,
                jobs: jobSockets,
                log: log
            )
        )
        if let path = settings.governorSocket {
            services.append(
                GovernorSocket(
                    listening: ListeningSocket(path: path, group: settings.governorGroup, mode: mode_t(settings.governorMode)),
                    read: { sampling.withLock { GovernorReading($0.snapshot(at: .now()), cover: $0.meters.cover) } },
                    log: log
                )
            )
        }
        if let address = settings.metricsAddress {
            let hasCollector = settings.collector != nil
            services.append(
                MetricsServer(
                    address: address,
                    source: {
                        var snapshot = sampling.withLock { $0.metrics(unused: unused.map(\.name)) }
                        if hasCollector {
                            snapshot.spool = MetricsSnapshot.Spool(
                                fill: await spool.fill,
                                capacityBytes: settings.spoolBytes,
                                uplink: counts.now
                            )
                        }
                        return snapshot
                    },
                    log: log
                )
            )
        }
        var quiet = log
        quiet.logLevel = max(log.logLevel, .warning)
        var configuration = ServiceGroupConfiguration(
            services: services.map { ServiceGroupConfiguration.ServiceConfiguration(service: $0, serviceName: "\(type(of: $0))") },
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: quiet
        )
        configuration.maximumGracefulShutdownDuration = .seconds(15)
        try await ServiceGroup(configuration: configuration).run()
        for line in sampling.withLock({ $0.takeNews() }) { log.warning("\(line)") }
    }

    private static func say(_ sensors: HostSensors, _ settings: AgentSettings, _ log: Logger) {
        for meter in sensors.meters {
            let role = sensors.cover.contains(meter.place.name) ? "in the cover" : "beside the cover"
            log.info("\(meter.place.name): \(meter.place.zone.rawValue), \(meter.place.quality.rawValue), \(role); \(meter.basis)")
        }
        for unused in sensors.unused {
            // Somebody asked for this sensor: that it is not there is more than a note.
            let sensor = unused.name.prefix { $0 != "/" }
            let isWanted = settings.sensorOptions.keys.contains { $0.prefix { $0 != "." } == sensor }
            log.log(
                level: isWanted ? .warning : .info,
                "\(unused.name) is not used: \(unused.reason)\(unused.remedy.map { "; \($0)" } ?? "")"
            )
        }
        for remark in sensors.remarks { log.warning("\(remark)") }
    }

    /// One agent a state: two would send two counts under one name.
    private static func lockState(_ directory: String) throws -> Int32 {
        do throws(DiskFault) {
            try Disk.makeDirectory(directory)
        } catch {
            throw Fault(description: "\(error); run as root or choose another place with --state-dir")
        }
        let path = "\(directory)/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            throw Fault(description: "\(DiskFault(path: path, doing: "open it")); choose another place with --state-dir")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw Fault(description: "\(directory): expected no other agent, found one that uses this state; stop it or use --state-dir")
        }
        return descriptor
    }

    private static func readState(_ file: StateFile, _ log: Logger) -> AgentState? {
        do {
            return try file.read()
        } catch {
            log.warning("\(error)")
            return nil
        }
    }

    private static func newest(_ a: AgentState?, _ b: AgentState?) -> AgentState? {
        guard let a, let b else { return a ?? b }
        return a.generation >= b.generation ? a : b
    }

    /// The agent's token, and the settings with what an enrolment adds: the collector's address and the host's name there.
    private static func credentials(_ given: AgentSettings, _ log: Logger) throws -> (AgentSettings, AgentToken) {
        var settings = given
        if let token = settings.token { return (settings, AgentToken(token)) }
        if let path = settings.tokenFile {
            let token = try TokenFile.read(path)
            if TokenFile.isOpenToOthers(path) { log.warning("\(path): others than its owner may read the token; chmod 600 it") }
            return (settings, AgentToken(token, from: .file(path)))
        }
        let file = EnrolmentFile(stateDirectory: settings.stateDirectory)
        let enrolment = try file.read()
        if let enrolment {
            if settings.collector == nil { settings.collector = enrolment.collector }
            if !settings.isHostConfigured { settings.host = enrolment.host }
            let fits = enrolment.collector == settings.collector && enrolment.host == settings.host
            guard fits || settings.enrolTokenFile != nil else {
                throw Fault(
                    description: "\(file.path): expected an enrolment of \(settings.host) at \(settings.collector ?? ""), found one of "
                        + "\(enrolment.host) at \(enrolment.collector); enrol again with wattle-agent enrol, or give a token_file"
                )
            }
            if fits { return (settings, AgentToken(enrolment.token, from: .enrolment(file, collector: enrolment.collector))) }
        }
        guard let collector = settings.collector, settings.enrolTokenFile != nil else { return (settings, AgentToken(nil)) }
        return (settings, AgentToken(nil, from: .enrolment(file, collector: collector)))
    }

    /// How a token is had at the first start, where an enrol token is configured; nil where there is one already.
    private static func enrolment(
        _ settings: AgentSettings,
        _ token: AgentToken,
        _ collector: String,
        _ identity: MachineIdentity,
        _ transport: @escaping Uplink.Transport
    ) -> (@Sendable () async throws(EnrolmentFault) -> String)? {
        guard token.now == nil, let tokenFile = settings.enrolTokenFile else { return nil }
        let request = EnrolmentRequest(
            collector: collector,
            host: settings.host,
            pool: settings.pool,
            identity: identity,
            transport: transport
        )
        let file = EnrolmentFile(stateDirectory: settings.stateDirectory)
        return { () async throws(EnrolmentFault) -> String in
            do {
                // `wattle-agent enrol` may have been there first.
                if let enrolment = try file.read(), enrolment.collector == collector, enrolment.host == request.host {
                    return enrolment.token
                }
                try file.prepare()
                let enrolment = try await request.send(enrolToken: try TokenFile.read(tokenFile))
                try file.write(enrolment)
                return enrolment.token
            } catch let fault as EnrolmentFault {
                throw fault
            } catch {
                // A file that is not there yet may come.
                throw EnrolmentFault(description: "\(error)", isPassing: true)
            }
        }
    }
}
