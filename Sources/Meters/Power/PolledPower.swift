import Energy
import Synchronization

/// Asks slow sensors of power at a period, on a thread of their own.
final class PolledPower: Sampling {
    /// What a sensor says when it is asked.
    enum Answer {
        /// `taken` is the instant of the value where the sensor tells it; nil for that of the answer.
        case power(microwatts: Int64, taken: Timestamp?)
        /// The value of before: not refreshed yet.
        case nothingNew
        case fault(SensorFault)
    }

    /// Sensors that are asked together: the channels of a chip, a BMC. Used by one thread only.
    protocol Source: AnyObject {
        /// Asks once and gives an answer for each channel by its number; takes as long as it takes.
        func ask(_ give: (_ channel: Int, Answer) -> Void)
    }

    /// Bounds of the period: faster wakes the machine for nothing, slower says little of its load.
    static let periods = Microseconds.milliseconds(100)...Microseconds.seconds(600)

    private let name: String
    private let makeSource: @Sendable () throws(SensorFault) -> any Source
    private let channels: [SampledEnergy]
    private let period: Microseconds
    private let clock: @Sendable () -> Timestamp
    private let thread = Mutex<SensorThread?>(nil)

    /// - Parameters:
    ///   - makeSource: called on the thread; where it throws, every channel has that fault and the thread ends.
    ///   - channels: where the answers go, by their numbers.
    init(
        _ name: String,
        channels: [SampledEnergy],
        period: Microseconds,
        clock: @escaping @Sendable () -> Timestamp,
        makeSource: @escaping @Sendable () throws(SensorFault) -> any Source
    ) {
        self.name = name
        self.channels = channels
        self.period = min(max(period, PolledPower.periods.lowerBound), PolledPower.periods.upperBound)
        self.clock = clock
        self.makeSource = makeSource
    }

    /// Samples further apart than this say nothing of the time between them.
    static func longestStep(period: Microseconds) -> Microseconds { max(.seconds(5), Microseconds(period.count * 3)) }

    func begin() throws(SensorFault) {
        let fault: SensorFault? = thread.withLock { thread in
            guard thread == nil else { return nil }
            let (channels, period, clock, makeSource) = (channels, period, clock, makeSource)
            do throws(SensorFault) {
                thread = try SensorThread(name) { stop in
                    PolledPower.work(until: stop, channels, period, clock, makeSource)
                }
                return nil
            } catch {
                return error
            }
        }
        if let fault { throw fault }
    }

    private static func work(
        until stop: SensorThread.Stop,
        _ channels: [SampledEnergy],
        _ period: Microseconds,
        _ clock: @Sendable () -> Timestamp,
        _ makeSource: @Sendable () throws(SensorFault) -> any Source
    ) {
        let source: any Source
        do throws(SensorFault) {
            source = try makeSource()
        } catch {
            for channel in channels { channel.take(error) }
            return
        }
        var due = SensorThread.now()
        repeat {
            source.ask { number, answer in
                guard channels.indices.contains(number) else { return }
                switch answer {
                case .power(let microwatts, let taken):
                    let now = clock()
                    channels[number].take(microwatts: microwatts, at: taken.map { min($0, now) } ?? now)
                case .nothingNew: break
                case .fault(let fault): channels[number].take(fault)
                }
            }
            // Absolute deadlines; those that passed while the sensor took its time are left out.
            let now = SensorThread.now()
            due = due + period
            if due < now { due = now + period }
        } while !stop.wait(due - SensorThread.now())
    }
}
