import Energy
import Logging
import Meters
import ServiceLifecycle
import Synchronization

/// Looks for sensors again when devices have come or gone: a module loaded late, a zone that vanished, a broker that came up.
struct Rediscovery: Service {
    let sampling: SharedSampling
    let host: SensorHost
    /// What was not used at the start.
    let unused: [UnusedSensor]
    let log: Logger
    /// How often it looks whether anything has changed.
    var interval = Duration.seconds(10)
    /// Sensors that an operator can do something about are tried again after one interval, then two, four... at most so many.
    static let mostIntervalsBetweenTries = 60

    func run() async throws {
        let isStopping = Flag()
        let stop = Doorbell()
        await withTaskCancellationOrGracefulShutdownHandler {
            var devices = HostSensors.devices(of: host)
            var unused = self.unused
            var wait = 1
            var left = wait
            while !isStopping.isSet {
                await stop.wait(atMost: interval)
                guard !isStopping.isSet else { return }
                left -= 1
                let now = HostSensors.devices(of: host)
                let isMissing = sampling.withLock { $0.meters.isMissingDevice }
                let isTryDue = left <= 0 && unused.contains { $0.remedy != nil }
                guard now != devices || isMissing || isTryDue else { continue }
                wait = now == devices ? min(2 * wait, Self.mostIntervalsBetweenTries) : 1
                left = wait
                devices = now
                unused = await look() ?? unused
            }
        } onCancelOrGracefulShutdown: {
            isStopping.set()
            stop.ring()
        }
    }

    /// On a thread of its own: looking reads many files, and some sensors take their time. Nil where there is no thread to be had.
    private func look() async -> [UnusedSensor]? {
        let unused = Mutex<[UnusedSensor]?>(nil)
        do {
            try await OwnThread.run("sensors") { [host, sampling] in
                let sensors = HostSensors.find(on: host)
                unused.withLock { $0 = sensors.unused }
                sampling.adopt(sensors)
            }
        } catch {
            log.warning("cannot look for sensors again: \(error)")
        }
        return unused.withLock { $0 }
    }
}
