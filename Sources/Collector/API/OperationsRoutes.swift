import Documents
import HTTPTypes
import Hummingbird
import Postgres
import Store

/// Whether the collector lives and works, and how much it does.
struct OperationsRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("healthz") { _, _ in
            Response(status: .ok, headers: [.contentType: "text/plain"], body: .init(byteBuffer: ByteBuffer(string: "ok\n")))
        }
        router.get("readyz") { _, _ in
            _ = try await site.pool.withConnection { try await $0.query(Statement("ready", "SELECT count(*) FROM schema_migration")) }
            return Response(status: .ok, headers: [.contentType: "text/plain"], body: .init(byteBuffer: ByteBuffer(string: "ready\n")))
        }
        router.get("metrics") { _, context in
            _ = try context.requireGrant(.read)
            let (depth, hosts) = try await site.pool.withConnection { connection in
                (try await WorkQueue.depth(connection), try await HostTable.all(connection).count)
            }
            let text = site.metrics.text(gauges: [
                ("wattle_dirty_marks", "Marks of host-hours that wait to be accounted.", Double(depth)),
                ("wattle_hosts", "Hosts known.", Double(hosts)),
                ("wattle_batches_waiting", "Batches of readings that wait to be committed.", Double(site.readings.depth)),
                ("wattle_readings_bytes", "Bytes of readings' bodies under way.", Double(site.admission.bytes)),
            ])
            return Response(
                status: .ok,
                headers: [.contentType: "application/openmetrics-text; version=1.0.0; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: text))
            )
        }
    }
}
