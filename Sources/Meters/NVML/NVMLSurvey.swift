import Energy
import Glibc
import Synchronization

/// Opening the library and asking it for its GPUs, on a thread of its own: both may take seconds, or hang with a GPU.
final class NVMLSurvey: Sendable {
    struct Found: Sendable {
        var library: NVMLLibrary
        var gpus: [NVMLGPU]
        var unusable: [Int: NVMLGPU.Unusable]
    }

    /// More than one machine has; a larger count is an error.
    static let mostGPUs = 256

    private let result = Mutex<Result<Found, NVMLLibrary.Refusal>?>(nil)
    /// Those that have not ended, by the library's path. One that hangs is not started again beside itself.
    private static let unfinished = Mutex<[String: NVMLSurvey]>([:])

    /// What a survey found within a time; nil where it goes on. The next call then has what it found.
    ///
    /// - Throws: `SensorFault` where the system gives no thread.
    static func take(
        _ path: String,
        within limit: Microseconds,
        clock: @escaping @Sendable () -> Timestamp
    ) throws(SensorFault) -> Result<Found, NVMLLibrary.Refusal>? {
        let (survey, isNew) = unfinished.withLock { unfinished in
            if let survey = unfinished[path] { return (survey, false) }
            let survey = NVMLSurvey()
            unfinished[path] = survey
            return (survey, true)
        }
        if isNew {
            do throws(SensorFault) {
                _ = try SensorThread("nvml") { _ in
                    let found = look(path, clock)
                    survey.result.withLock { $0 = found }
                }
            } catch {
                unfinished.withLock { $0[path] = nil }
                throw error
            }
        }
        let deadline = SensorThread.now() + limit
        repeat {
            if let found = survey.result.withLock({ $0 }) {
                unfinished.withLock { if $0[path] === survey { $0[path] = nil } }
                return found
            }
            // One that was late before is not waited for again.
            guard isNew else { return nil }
            usleep(500)
        } while SensorThread.now() < deadline
        return nil
    }

    private static func look(_ path: String, _ clock: @Sendable () -> Timestamp) -> Result<Found, NVMLLibrary.Refusal> {
        do throws(NVMLLibrary.Refusal) {
            let library = try NVMLLibrary(path)
            var found = Found(library: library, gpus: [], unusable: [:])
            let count: Int
            do throws(NVMLFault) { count = try library.deviceCount() } catch { throw .failed(error) }
            for index in 0..<min(count, mostGPUs) {
                do throws(NVMLGPU.Unusable) {
                    found.gpus.append(try NVMLGPU(index, of: library, clock: clock))
                } catch {
                    found.unusable[index] = error
                }
            }
            return .success(found)
        } catch {
            return .failure(error)
        }
    }
}
