import FoundationEssentials

/// `.runner`, in which both GitHub's runner and `act_runner` (Gitea, Forgejo) keep who they are, each in its own way.
///
/// GitHub's holds no secret; `act_runner`'s holds its token, which is never decoded.
enum DotRunnerFile {
    private struct Body: Decodable {
        // GitHub's.
        var agentName: String?
        var gitHubUrl: String?
        var poolName: String?
        // act_runner's.
        var name: String?
        var address: String?
    }

    /// Nil for what is neither.
    static func registration(_ bytes: [UInt8]) -> RunnerRegistration? {
        // .NET writes a byte order mark.
        let text = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
        let body: Body
        do {
            body = try JSONDecoder().decode(Body.self, from: Data(text))
        } catch {
            return nil
        }
        if let name = body.agentName, !name.isEmpty {
            let place = body.gitHubUrl.map { RunnerRegistration.place(of: $0) }
            // Without the URL it still is GitHub's runner; which GitHub, nobody knows.
            return RunnerRegistration(
                name: name,
                instance: place?.instance ?? "",
                kind: .github,
                scope: place?.path ?? body.poolName ?? "",
                concurrent: 1
            )
        }
        guard let name = body.name, !name.isEmpty, let address = body.address else { return nil }
        return RunnerRegistration(name: name, instance: RunnerRegistration.place(of: address).instance, kind: .gitea)
    }
}
