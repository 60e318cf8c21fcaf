import CIEvents
import Documents
import Energy
import Store

/// What one writer says of one span: a post, a webhook's event, a hook on the worker, a poller.
struct SpanWrite: Sendable {
    /// What a writer is worth where several name the same field.
    enum Rank: Int64, Sendable {
        case queued = 0
        case started = 1
        case finished = 2
        case reconciled = 3
        /// A hook or `wattle run` on the machine itself.
        case hook = 4
    }

    let instance: String
    let id: String
    let attempt: Int
    var fields: [String: JSONValue]
    let rank: Rank
    let revision: Int64
    let eventTime: Timestamp
    /// Its writer may speak of some repositories only, and is no CI system whose word was verified.
    private(set) var isLimited = false
    private let isEvent: Bool

    init(_ document: SpanDocument) {
        instance = document.instance
        id = document.id
        attempt = document.attempt
        fields = document.fields
        revision = document.revision
        eventTime = document.eventTime
        isEvent = false
        rank =
            switch document.fields["source"]?.string {
            case "wattle-run", "wattle-span", "resident": .hook
            case "reconciliation": .reconciled
            default: document.fields["finished_at"] == nil ? .started : .finished
            }
        // A name without its forge belongs to the CI's own where that is a forge: hooks know both.
        normaliseRepository(forge: document.fields["run_id"] == nil ? nil : document.instance)
    }

    init(_ event: JobEvent) {
        instance = event.instance
        id = event.id
        attempt = event.attempt
        fields = event.fields
        if !event.flags.isEmpty { fields["flags"] = .array(event.flags.sorted().map { .string($0) }) }
        revision = event.revision
        eventTime = event.eventTime
        isEvent = true
        rank =
            switch event.phase {
            case .queued: .queued
            case .started: .started
            case .finished: .finished
            case .reconciled: .reconciled
            }
        normaliseRepository(forge: event.instance)
    }

    private mutating func normaliseRepository(forge: String?) {
        guard let repository = fields["repository"]?.string else { return }
        fields["repository"] = .string(RepositoryName.normalised(repository, forge: forge))
    }

    /// Holds what is said to what its writer may claim: what goes too far is refused, but for visibility, which is lowered.
    ///
    /// The limits on hosts stay with the span, because its host may become known later.
    mutating func limit(to claims: Claims) throws(Claims.Excess) {
        for name in Self.limits { fields[name] = nil }
        if let excess = claims.excess(
            instance: instance,
            repository: fields["repository"]?.string,
            hosts: [fields["host"]?.string].compactMap { $0 },
            pool: fields["pool"]?.string
        ) {
            throw excess
        }
        if claims.visibility == .private { fields["visibility"] = .string("private") }
        isLimited = !isEvent && claims.repositories != nil
        // With each name that may lead to a host goes what its writer may say of hosts; null where that is anything.
        for name in Self.hostNames where fields[name] != nil { fields[Self.limit(of: name)] = claims.hostLimits }
    }

    static let hostNames = ["host", "hostname", "runner", "runner_name"]

    /// The field that limits what another one may lead to; only the collector writes it.
    static func limit(of name: String) -> String { "allowed_\(name)" }

    private static let limits = hostNames.map { limit(of: $0) }
}

extension Claims {
    /// Null where any host may be named.
    fileprivate var hostLimits: JSONValue {
        guard hosts != nil || pools != nil else { return .null }
        func list(_ patterns: [String]?) -> JSONValue { .array((patterns ?? []).map { .string($0) }) }
        return .object(["hosts": list(hosts), "pools": list(pools)])
    }
}
