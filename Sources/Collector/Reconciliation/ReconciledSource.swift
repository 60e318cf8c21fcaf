import CIEvents
import CIHistory
import Documents
import Energy
import HTTPClient
import Store

/// A source whose system can be asked for its jobs: a kind with a history, a token for its API, and whose jobs it is about.
///
/// Settings: `api_url` (where it is not github.com or gitlab.com), and `organisation` (`group` at GitLab), or `repositories`.
struct ReconciledSource: Sendable {
    let row: SourceRow
    let scope: HistoryRange.Scope
    private let kind: Kind
    private let apiURL: String?

    private enum Kind: String { case github, gitlab }

    /// Nil for a source that is only listened to.
    init?(_ row: SourceRow) {
        guard row.revokedAt == nil, row.apiToken != nil, let kind = Kind(rawValue: row.kind) else { return nil }
        func text(_ name: String) -> String? { row.settings.object?[name]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        if let names = row.settings.object?["repositories"]?.array?.compactMap(\.string), !names.isEmpty {
            scope = .repositories(names)
        } else if let owner = text("organisation") ?? text("group") {
            scope = .owner(owner)
        } else {
            return nil
        }
        self.row = row
        self.kind = kind
        apiURL = text("api_url")
    }

    /// Names what is walked: a walk of other settings is not gone on with.
    var subject: String {
        let scope =
            switch scope {
            case .owner(let name): name
            case .repositories(let names): names.sorted().joined(separator: " ")
            case .runs: ""
            }
        return "\(kind.rawValue) \(apiURL ?? "-") \(scope)"
    }

    /// - Throws: `HistoryError` where the API's address is none.
    func history(_ range: HistoryRange, http: HTTPClient, now: @escaping @Sendable () -> Timestamp) throws(HistoryError) -> any JobHistory {
        switch kind {
        case .github:
            try GitHubHistory(range, apiURL: apiURL ?? GitHubHistory.publicURL, token: row.apiToken, http: http, now: now)
        case .gitlab:
            try GitLabHistory(range, url: apiURL ?? GitLabHistory.publicURL, token: row.apiToken, http: http, now: now)
        }
    }

    /// A repository as the system names it, from the name that all sources share; nil for one of another system.
    func systemName(of repository: String) throws(HistoryError) -> String? {
        let instance =
            switch kind {
            case .github: try GitHubHistory.instance(ofAPI: apiURL ?? GitHubHistory.publicURL)
            case .gitlab: try GitLabHistory.instance(ofAPI: apiURL ?? GitLabHistory.publicURL)
            }
        let prefix = RepositoryName.normalised(instance, forge: nil) + "/"
        return repository.hasPrefix(prefix) ? String(repository.dropFirst(prefix.count)) : nil
    }
}
