import Documents
import Postgres
import Store
import UnixSignals

/// Waits for a source's first events and says what was understood.
struct FirstEvent {
    let source: SourceRow

    /// Returns once an event was worked on that tells of jobs, or at Ctrl-C.
    func wait(_ connection: PostgresConnection) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await look(connection) }
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { return }
            }
            try await group.next()
            group.cancelAll()
            do { while try await group.next() != nil {} } catch is CancellationError {}
        }
    }

    private func look(_ connection: PostgresConnection) async throws {
        var last: Int64 = 0
        while true {
            if let event = try await EventTable.oldest(sourceID: source.id, after: last, connection), event.isProcessed {
                last = event.id
                if try await tell(event, connection) { return }
                continue
            }
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Whether it told of jobs.
    private func tell(_ event: EventTable.Summary, _ connection: PostgresConnection) async throws -> Bool {
        print("event \(event.id): \(event.name): \(event.outcome?.rawValue ?? "-")")
        guard event.outcome == .jobs else {
            if let detail = event.detail { print("  \(detail)") }
            switch event.outcome {
            case .refused: print("  it says what the source may not; if it should: wattle-collector source set \(source.name) --help")
            case .unreadable: print("  it is signed well, but not understood: is the hook of kind \(source.kind)?")
            default: print("  the hook works; the next job is the first that counts")
            }
            return false
        }
        let ids = (event.detail ?? "").split(separator: " ").map(String.init)
        let rows = try await JobDirectory.find(jobIDs: ids, connection)
        for id in ids {
            guard let row = rows[id] else { continue }
            let fields = try JSONValue(parsing: Array(row.documentJSON.utf8)).object ?? [:]
            print("  job \(fields["job"]?.string ?? row.id) of \(row.repository ?? "an unnamed repository") (\(id))")
            let runner = row.runner ?? row.hostName
            if let hostID = row.hostID, let host = try await HostTable.find(id: hostID, connection) {
                print("  runner \(runner ?? "-") is host \(host.name)")
            } else if let hostClass = row.hostClass {
                print("  runner \(runner ?? "-") is a machine of the class \(hostClass): its energy is modelled")
            } else if let runner {
                print("  runner \(runner) is no host that is known yet. Where an agent runs there, it joins by itself; or say it:")
                print("    wattle-collector host runner \(runner) HOST")
            } else {
                print("  no runner has taken it yet")
            }
        }
        return true
    }
}
