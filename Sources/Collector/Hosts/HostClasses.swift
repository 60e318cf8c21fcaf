import Documents
import Energy
import Factors
import Postgres
import Store

/// Machines that nobody can meter, by class.
enum HostClasses {
    /// The class of a hosted job; nil where the job may have run on a machine of one's own.
    ///
    /// A job says itself (`host_class`, or its machine's type in a cloud: `cloud/aws/m5n.large`); else its runner must be one that only the CI's owner has: at GitHub of the group or by the name
    /// `GitHub Actions`, at GitLab one that calls itself `saas-...`. A label such as `ubuntu-latest` proves nothing alone: one's own
    /// runners may bear it. A hosted machine of unknown size is `github/unknown`, of which no figure is known.
    ///
    /// - Parameters:
    ///   - fields: the span's, by name (`labels`, `runner`, `runner_group`, `host_class`, `repository_private`).
    ///   - instance: the CI, `https://github.com`.
    static func named(by fields: [String: JSONValue], instance: String) -> String? {
        if let posted = fields["host_class"]?.string?.lowercased(), (1...100).contains(posted.utf8.count) { return posted }
        if let cloud = HostedMachine.className(of: fields) { return cloud }
        let labels = (fields["labels"]?.array ?? []).compactMap { $0.string?.lowercased() }
        if labels.contains("self-hosted") { return nil }
        let runner = (fields["runner"]?.string ?? fields["runner_name"]?.string ?? "").lowercased()
        let group = fields["runner_group"]?.string?.lowercased()
        if group == "github actions" || isGitHubName(runner) {
            guard let machine = labels.lazy.compactMap({ gitHub[$0] }).first else { return "github/unknown" }
            // Of the standard machines, private repositories get half the size.
            let isSmall = fields["repository_private"]?.bool == true && halved.contains(machine)
            return "github/\(machine)\(isSmall ? "-2vcpu" : "")"
        }
        if HostResolution.bareInstance(instance) == "gitlab.com" {
            for text in [runner] + labels { if let size = gitLabSize(in: text) { return "gitlab/\(size)" } }
        }
        return nil
    }

    /// `github actions 12`.
    private static func isGitHubName(_ runner: String) -> Bool {
        guard runner.hasPrefix("github actions ") else { return false }
        let number = runner.dropFirst("github actions ".count)
        return !number.isEmpty && number.utf8.allSatisfy { (48...57).contains($0) }
    }

    /// GitHub's labels; what `latest` means is as of 2026-01.
    private static let gitHub: [String: String] = {
        var table = [
            "ubuntu-latest": "ubuntu-24.04-x64", "ubuntu-24.04": "ubuntu-24.04-x64", "ubuntu-22.04": "ubuntu-22.04-x64",
            "ubuntu-24.04-arm": "ubuntu-24.04-arm64", "ubuntu-22.04-arm": "ubuntu-22.04-arm64", "ubuntu-slim": "ubuntu-slim",
            "windows-latest": "windows-2025-x64", "windows-2025": "windows-2025-x64", "windows-2022": "windows-2022-x64",
            "windows-11-arm": "windows-11-arm64", "macos-13": "macos-13-x64", "macos-latest": "macos-15-arm64",
        ]
        for version in ["13", "14", "15"] {
            if version != "13" { table["macos-\(version)"] = "macos-\(version)-arm64" }
            table["macos-\(version)-large"] = "macos-\(version)-large-x64"
            table["macos-\(version)-xlarge"] = "macos-\(version)-xlarge-arm64"
        }
        table["macos-15-intel"] = "macos-15-x64"
        table["macos-latest-large"] = "macos-15-large-x64"
        table["macos-latest-xlarge"] = "macos-15-xlarge-arm64"
        return table
    }()

    private static let halved: Set<String> = [
        "ubuntu-24.04-x64", "ubuntu-22.04-x64", "ubuntu-24.04-arm64", "ubuntu-22.04-arm64", "windows-2025-x64", "windows-2022-x64",
        "windows-11-arm64",
    ]

    /// `3-blue.saas-linux-small-amd64.runners-manager.gitlab.com/default` has the size `saas-linux-small-amd64`.
    private static func gitLabSize(in text: String) -> String? {
        for word in text.split(whereSeparator: { !($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") })
        where ["saas-linux-", "saas-windows-", "saas-macos-"].contains(where: { word.hasPrefix($0) }) {
            return String(word)
        }
        return nil
    }

    /// A class as it counts at an instant: the operator's figures, else those the program carries; nil where nobody knows any.
    static func find(name: String, at instant: Timestamp, _ connection: PostgresConnection) async throws -> HostClass? {
        if let own = try await HostClassTable.find(name: name, at: instant, connection) { return own }
        return shipped[name.lowercased()]
    }

    /// The classes that the program carries, by name.
    static let shipped: [String: HostClass] = {
        do {
            return Dictionary(try readShipped().map { ($0.name, $0) }) { first, _ in first }
        } catch {
            // A test reads every row; a broken table must stop no collector.
            assertionFailure("\(error)")
            return [:]
        }
    }()

    static func readShipped() throws -> [HostClass] {
        let table = try CSVTable(parsing: Factors.hostClassesCSV)
        return try table.rows.map { row in
            try HostClass(Dictionary(zip(table.header, row.map { JSONValue.string($0) })) { first, _ in first })
        }
    }
}
