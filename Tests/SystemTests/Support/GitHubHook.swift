import Foundation

/// GitHub's side of a webhook: payloads in its form, signed with the source's secret.
struct GitHubHook {
    let collector: Collector
    let source: String
    let secret = "d1c7a0b4e29f58630a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef"

    /// Makes the source, as an operator would.
    init(_ collector: Collector, source: String) async throws {
        self.collector = collector
        self.source = source
        let file = try collector.scratch.file("hook-secret", secret + "\n")
        let made = try await Program.run(
            "wattle-collector",
            [
                "source", "add", "--embedded", collector.database, "github", source, "--repository", "github.com/tidepool/*",
                "--secret-file",
                file, "--no-wait",
            ],
            in: collector.scratch
        )
        guard made.code == 0 else { throw Timeout(what: "a source", log: made.errors) }
    }

    struct Job {
        var id: Int
        var run: Int
        var attempt = 1
        var name: String
        /// Nil for one that never had a runner.
        var runner: String?
        var queued: Date
        var started: Date?
        var completed: Date?
        var conclusion: String?
    }

    /// Delivers one, and again where `times` says so.
    func deliver(_ action: String, _ job: Job, times: Int = 1) async throws {
        var fields: [String: Any] = [
            "id": job.id, "run_id": job.run, "run_attempt": job.attempt, "head_sha": RunnerHost.commit, "head_branch": "main",
            "html_url": "https://github.com/tidepool/opam-mirror/actions/runs/\(job.run)/job/\(job.id)",
            "status": action, "conclusion": NSNull(), "created_at": Self.time(job.queued),
            // A job that waits has one that means nothing.
            "started_at": Self.time(job.started ?? job.queued), "completed_at": NSNull(), "name": job.name, "workflow_name": "ci",
            "labels": ["self-hosted"], "runner_id": NSNull(), "runner_name": NSNull(), "runner_group_id": NSNull(),
            "runner_group_name": NSNull(), "steps": [],
        ]
        if action != "queued", let runner = job.runner {
            fields["runner_id"] = (RunnerHost.runners.firstIndex(of: runner) ?? 0) + 1
            fields["runner_name"] = runner
            fields["runner_group_name"] = "Default"
        }
        if action == "completed" {
            fields["completed_at"] = Self.time(job.completed ?? job.queued)
            fields["conclusion"] = job.conclusion ?? "success"
        }
        let payload: [String: Any] = [
            "action": action, "workflow_job": fields,
            "repository": [
                "id": 700_100_200, "name": "opam-mirror", "full_name": "tidepool/opam-mirror", "private": false,
                "html_url": "https://github.com/tidepool/opam-mirror",
            ] as [String: Any],
        ]
        let body = try JSONSerialization.data(withJSONObject: payload, options: .sortedKeys)
        let script = "import hashlib, hmac, sys; print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), hashlib.sha256).hexdigest())"
        let signed = try await Program.run(
            "python3",
            ["-S", "-c", script, secret, String(decoding: body, as: UTF8.self)],
            in: collector.scratch
        )
        let signature = signed.output.trimmingCharacters(in: .whitespacesAndNewlines)
        for _ in 0..<times {
            let answer = try await collector.send(
                "POST",
                "/v1/hooks/github/\(source)",
                token: nil,
                body: Array(body),
                headers: [
                    ("X-GitHub-Event", "workflow_job"), ("X-GitHub-Delivery", "\(job.id)-\(action)"),
                    ("X-Hub-Signature-256", "sha256=\(signature)"), ("User-Agent", "GitHub-Hookshot/0000000"),
                ]
            )
            guard answer.status == 202 else { throw Timeout(what: "a webhook to be taken", log: "\(answer.status) \(answer.body)") }
        }
    }

    /// Whole seconds, as GitHub has them.
    static func time(_ date: Date) -> String { ISO8601DateFormatter().string(from: date) }
}
