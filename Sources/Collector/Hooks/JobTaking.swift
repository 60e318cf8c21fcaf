import CIEvents
import Documents
import Energy
import Postgres
import Store

/// Takes in what a CI system says of several jobs at once: what one may not say does not harm the others.
struct JobTaking: Sendable {
    let now: @Sendable () -> Timestamp

    struct Taken: Sendable {
        var jobIDs: [String] = []
        /// Why the others were not taken, one each.
        var refusals: [String] = []
        var excesses: [Claims.Excess] = []
    }

    /// A job's word as a writer's; what it may hold is bounded as what anyone posts.
    ///
    /// - Throws: `Problem` 422.
    func write(_ job: JobEvent) throws -> SpanWrite {
        let write = SpanWrite(job)
        for name in ["queued_at", "started_at", "finished_at"] {
            guard let time = write.fields[name]?.string.flatMap(RFC3339.parse) else { continue }
            guard time.microseconds >= 0, time <= now() + .hour else {
                throw Problem.unprocessable(
                    "invalid-span",
                    "The job cannot be",
                    "field \(name): expected at most an hour from now (\(RFC3339.format(now()))), found \(RFC3339.format(time))"
                )
            }
        }
        guard (1...512).contains(job.id.utf8.count), !job.id.utf8.contains(0), !JSONValue.object(write.fields).holdsZero else {
            throw Problem.unprocessable("invalid-span", "The job cannot be", "expected an id of 1 to 512 bytes and texts without U+0000")
        }
        return write
    }

    /// In a transaction of the caller's.
    ///
    /// - Parameter source: whose spans they become.
    func take(
        _ writes: [() throws -> SpanWrite],
        source: String,
        claims: Claims,
        _ connection: PostgresConnection
    ) async throws -> Taken {
        let intake = SpanIntake(now: now)
        var taken = Taken()
        var understood: [SpanWrite] = []
        for make in writes {
            do {
                understood.append(try make())
            } catch let problem as Problem {
                taken.refusals.append(problem.detail)
            }
        }
        for result in try await intake.accept(understood, source: source, claims: claims, connection) {
            switch result {
            case .success(let accepted): taken.jobIDs.append(accepted.jobID)
            case .failure(let excess):
                taken.refusals.append("\(excess)")
                taken.excesses.append(excess)
            }
        }
        return taken
    }
}
