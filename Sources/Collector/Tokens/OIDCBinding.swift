import CIEvents
import Documents
import Store

/// What a CI system's token says of the job that holds it, in a span's words. Pure.
struct OIDCBinding: Sendable, Equatable {
    /// The organisation's id there: stable, unlike its name.
    var owner: String
    /// Fields of a span: what the body says of them is not believed.
    var fields: [String: JSONValue]
    var isPublic: Bool
    var runID: String
    var jobID: String

    struct Unbound: Error, Equatable {
        let claim: String
    }

    /// - Throws: `Unbound`, naming the claim that is missing.
    init(claims: [String: JSONValue], issuer: String) throws(Unbound) {
        func text(_ name: String) throws(Unbound) -> String {
            guard let text = Self.text(claims[name]), !text.isEmpty, text.utf8.count <= 500, !text.utf8.contains(0) else {
                throw Unbound(claim: name)
            }
            return text
        }
        var instance = issuer
        if claims["repository_owner_id"] != nil {
            // GitHub, and Forgejo in its manner.
            if issuer == "https://token.actions.githubusercontent.com" { instance = "https://github.com" }
            for suffix in ["/_services/token", "/api/actions"] where issuer.hasSuffix(suffix) {
                instance = String(issuer.dropLast(suffix.count))
            }
            owner = try text("repository_owner_id")
            runID = try text("run_id")
            jobID = try text("check_run_id")
            isPublic = claims["repository_visibility"]?.string == "public"
            fields = [
                "repository": .string(RepositoryName.normalised(try text("repository"), forge: instance)),
                "commit": .string(try text("sha")),
                "attempt": .integer(Int64(try text("run_attempt")) ?? 1),
            ]
            for (claim, field) in [("ref", "ref"), ("workflow", "pipeline")] {
                fields[field] = Self.text(claims[claim]).map { .string($0) }
            }
        } else if claims["project_path"] != nil {
            owner = try text("namespace_id")
            runID = try text("pipeline_id")
            jobID = try text("job_id")
            isPublic = claims["project_visibility"]?.string == "public"
            fields = [
                "repository": .string(RepositoryName.normalised(try text("project_path"), forge: instance)),
                "commit": .string(try text("sha")), "attempt": .integer(1),
            ]
            if let ref = Self.text(claims["ref"]) { fields["ref"] = .string(ref) }
            if let runner = Self.text(claims["runner_id"]) { fields["runner_id"] = .string(runner) }
        } else if claims["pipeline_slug"] != nil {
            owner = try text("organization_slug")
            runID = try text("build_number")
            jobID = try text("job_id")
            isPublic = false
            fields = ["pipeline": .string("\(owner)/\(try text("pipeline_slug"))"), "attempt": .integer(1)]
            for (claim, field) in [("build_commit", "commit"), ("build_branch", "ref"), ("agent_id", "runner_id")] {
                if let value = Self.text(claims[claim]) { fields[field] = .string(value) }
            }
        } else if claims["oidc.circleci.com/project-id"] != nil {
            instance = "https://circleci.com"
            owner = issuer.split(separator: "/").last.map(String.init) ?? ""
            runID = try text("oidc.circleci.com/workflow-id")
            jobID = try text("oidc.circleci.com/job-id")
            isPublic = false
            fields = ["pipeline": .string(try text("oidc.circleci.com/project-id")), "attempt": .integer(1)]
        } else {
            throw Unbound(claim: "repository_owner_id, project_path, pipeline_slug or oidc.circleci.com/project-id")
        }
        fields["instance"] = .string(instance)
        fields["id"] = .string(jobID)
        fields["run_id"] = .string(runID)
        fields["job_id"] = .string(jobID)
        fields["visibility"] = .string(isPublic ? "public" : "private")
    }

    /// Ids are texts at one system and numbers at another.
    private static func text(_ value: JSONValue?) -> String? { value.flatMap { $0.string ?? $0.integer.map(String.init) } }
}

extension TokenGrant {
    /// A span as posted, with what the bearer's token says of its job in place of what the body says; as it is for our own tokens.
    func binding(_ posted: JSONValue) -> JSONValue {
        guard !bound.isEmpty, var fields = posted.object else { return posted }
        if fields["id"] == nil, let data = fields["data"], data.object != nil {
            fields["data"] = binding(data)
            return .object(fields)
        }
        fields.merge(bound) { _, own in own }
        // Ranks and numbers are for those who number their events; a job that names itself has one voice.
        fields["revision"] = nil
        return .object(fields)
    }
}
