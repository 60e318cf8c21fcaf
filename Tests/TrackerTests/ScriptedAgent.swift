import Glibc
import Synchronization

@testable import Tracker

/// A real Unix socket with a scripted agent behind it: each connection's line is answered by the script, on a thread.
final class ScriptedAgent: Sendable {
    enum Answer: Sendable {
        case line(String)
        /// Takes the question and never answers.
        case silence
        case hangUp
    }

    let path: String
    private let listener: Int32
    private let questions = Mutex<[String]>([])

    init(path: String, _ script: @escaping @Sendable (String) -> Answer) throws {
        self.path = path
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard bound == 0, listen(listener, 8) == 0 else { throw TemporaryDirectory.Failure(errno: errno) }
        serve(script)
    }

    /// The questions so far.
    var asked: [String] { questions.withLock { $0 } }

    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ script: @escaping @Sendable (String) -> Answer) {
        // Ends with `close`, which makes `accept` fail.
        final class Body {
            let run: () -> Void
            init(_ run: @escaping () -> Void) { self.run = run }
        }
        let body = Unmanaged.passRetained(
            Body { [self] in
                var silent: [Int32] = []
                while true {
                    let connection = accept(listener, nil, nil)
                    guard connection >= 0 else { break }
                    var buffer = [UInt8](repeating: 0, count: 4_096)
                    let count = max(0, recv(connection, &buffer, buffer.count, 0))
                    let line = String(decoding: buffer[..<count], as: UTF8.self)
                    questions.withLock { $0.append(line) }
                    switch script(line) {
                    case .line(let answer):
                        let bytes = Array((answer + "\n").utf8)
                        send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                        Glibc.close(connection)
                    case .silence: silent.append(connection)
                    case .hangUp: Glibc.close(connection)
                    }
                }
                for connection in silent { Glibc.close(connection) }
                Glibc.close(listener)
            }
        )
        var thread = pthread_t()
        pthread_create(
            &thread,
            nil,
            { context in
                if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            },
            body.toOpaque()
        )
        pthread_detach(thread)
    }

    /// A whole answer of an agent, as the protocol has it.
    static func answer(time: Int64, cpuEnergy: Int64, busy: Int64, zone: String? = nil) -> String {
        """
        {"ok":true,"host":"agents-own-name","boot_id":"b","t_us":\(time),"uj":{"powercap/intel-rapl:0":\(cpuEnergy)},"cover_uj":\(cpuEnergy),\
        "components_uj":{"cpu":\(cpuEnergy)},"quality":"measured","basis":"RAPL","bound_low_ppm":1000000,"bound_high_ppm":1000000,\
        "p_idle_uw":{"cpu":10000000},"cpu_busy_us":\(busy),"agent_cpu_us":0,"cpus":2,"grid_zone":\(zone.map { "\"\($0)\"" } ?? "null"),\
        "collector":false,"cpu_time_us":0}
        """
    }
}
