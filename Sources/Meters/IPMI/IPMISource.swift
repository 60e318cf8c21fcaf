import CLinux
import Energy
import Glibc

/// A BMC that is asked for the machine's power.
final class IPMISource: PolledPower.Source {
    /// How it is asked.
    enum Way: Hashable, Sendable {
        /// DCMI through the kernel's device, which is opened here.
        case device(path: String)
        /// DCMI through a program.
        case program([String])
        /// A sensor by its name through a program.
        case sensor(String, [String])
    }

    private let way: Way
    private let device: IPMIDevice?
    private let limit: Microseconds
    private var last: DCMIPowerReading?

    /// - Parameter limit: a program that takes longer is ended.
    init(_ way: Way, files: any FileOpening, limit: Microseconds) throws(SensorFault) {
        self.way = way
        self.limit = limit
        if case .device(let path) = way { device = try IPMIDevice(path, files: files) } else { device = nil }
    }

    func ask(_ give: (_ channel: Int, PolledPower.Answer) -> Void) {
        do throws(SensorFault) {
            switch way {
            case .device(let path):
                guard let device else { throw SensorFault(path: path, errno: ENODEV) }
                give(0, try answer(to: device.powerReading(limit: limit), path: path))
            case .program(let arguments):
                let text = try run(arguments)
                give(0, try answer(to: IPMIToolOutput.powerReading(text, path: arguments[0]), path: arguments[0]))
            case .sensor(let name, let arguments):
                let watts = try IPMIToolOutput.sensorReading(try run(arguments), of: name, path: arguments[0])
                give(0, .power(microwatts: watts, taken: nil))
            }
        } catch {
            give(0, .fault(error))
        }
    }

    private func answer(to reading: DCMIPowerReading, path: String) throws(SensorFault) -> PolledPower.Answer {
        guard reading.isActive else {
            throw SensorFault(path: path, kind: .malformed(expected: "a BMC that measures power", found: "measurement is not active"))
        }
        // A stamp that stands while the watts move is a broken clock; both standing is a value of before.
        let isOld = reading.stamp != nil && reading == last
        last = reading
        return isOld ? .nothingNew : .power(microwatts: reading.watts * 1_000_000, taken: nil)
    }

    private func run(_ arguments: [String]) throws(SensorFault) -> String {
        let ended = try ChildProgram.run(arguments, limit: limit)
        guard ended.status == 0 else {
            let line = ended.output.split(whereSeparator: \.isNewline).first.map { ": \($0.prefix(120))" } ?? ""
            throw SensorFault(
                path: arguments.joined(separator: " "),
                kind: .malformed(expected: "exit status 0", found: "\(ended.status)\(line)")
            )
        }
        return ended.output
    }
}

/// `/dev/ipmi*`, the kernel's way to the BMC.
final class IPMIDevice {
    private let path: String
    private let descriptor: Int32
    private var number = 0

    init(_ path: String, files: any FileOpening) throws(SensorFault) {
        self.path = path
        descriptor = try files.open(path)
    }

    deinit { close(descriptor) }

    func powerReading(limit: Microseconds) throws(SensorFault) -> DCMIPowerReading {
        var reply = [UInt8](repeating: 0, count: 64)
        number += 1
        let size = wattle_ipmi_request(
            descriptor,
            DCMIPowerReading.networkFunction,
            DCMIPowerReading.command,
            DCMIPowerReading.requestBody,
            DCMIPowerReading.requestBody.count,
            &reply,
            reply.count,
            number,
            Int32(clamping: limit.count / 1_000)
        )
        guard size >= 0 else { throw SensorFault(path: path, errno: -size) }
        return try DCMIPowerReading.parse(Array(reply.prefix(Int(size))), path: path)
    }
}
