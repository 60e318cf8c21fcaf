import FoundationEssentials
import Glibc

/// Something about a workload that its path does not tell.
struct IdentityQuestion: Hashable, Sendable {
    /// The workload's curve.
    var ref: UInt32
    var containerID: String
    var podUID: String
}

struct IdentityAnswer: Hashable, Sendable {
    var ref: UInt32
    /// Those of a container's labels that name a job, a runner, an image or a pod.
    var labels: [String: String] = [:]
    /// `namespace/name`; empty where it was not found.
    var pod = ""
}

/// Reads what container runtimes and Kubernetes keep about containers and pods. It may be slow: not for the sampler's thread.
///
/// A container's environment, which holds secrets, stands in the same files and is never decoded.
struct IdentityFiles: Sendable {
    /// Prefix of `/var` and `/run`; empty for the machine itself.
    let root: String

    static let longestValue = 512
    static let maximumLabels = 32
    private static let largestFile = 1 << 20
    private static let prefixes = [
        "com.gitlab.gitlab-runner.", "com.github.", "org.opencontainers.", "io.kubernetes.pod.",
    ]

    init(root: String = "") { self.root = root }

    func answers(to questions: [IdentityQuestion]) -> [IdentityAnswer] {
        guard !questions.isEmpty else { return [] }
        let pods = questions.contains { !$0.podUID.isEmpty } ? podNames() : [:]
        return questions.map { question in
            var answer = IdentityAnswer(ref: question.ref)
            if !question.containerID.isEmpty { answer.labels = Self.kept(labels(of: question.containerID)) }
            if !question.podUID.isEmpty {
                if let name = pods[question.podUID] {
                    answer.pod = name
                } else if let name = answer.labels["io.kubernetes.pod.name"] {
                    answer.pod = "\(answer.labels["io.kubernetes.pod.namespace"] ?? "")/\(name)"
                }
            }
            return answer
        }
    }

    /// From the directories `<namespace>_<name>_<uid>` that the kubelet makes for the logs.
    private func podNames() -> [String: String] {
        let names: [String]
        // Not there, or not readable: the pods stay without names.
        do { names = try Disk.names(in: "\(root)/var/log/pods") } catch { return [:] }
        var found: [String: String] = [:]
        for name in names.prefix(4_096) {
            // Neither a namespace nor a pod's name has an underscore.
            let parts = name.split(separator: "_")
            guard parts.count == 3 else { continue }
            found[String(parts[2])] = "\(parts[0])/\(parts[1])"
        }
        return found
    }

    private struct DockerContainer: Decodable {
        struct Configuration: Decodable {
            var labels: [String: String]?

            enum CodingKeys: String, CodingKey { case labels = "Labels" }
        }
        var configuration: Configuration?

        enum CodingKeys: String, CodingKey { case configuration = "Config" }
    }

    private struct Bundle: Decodable {
        var annotations: [String: String]?
    }

    private func labels(of container: String) -> [String: String] {
        let docker: DockerContainer? = decoded("/var/lib/docker/containers/\(container)/config.v2.json")
        if let labels = docker?.configuration?.labels { return labels }
        for directory in [
            "/var/lib/containers/storage/overlay-containers/\(container)/userdata",
            "/run/containers/storage/overlay-containers/\(container)/userdata",
            "/run/containerd/io.containerd.runtime.v2.task/k8s.io/\(container)",
        ] {
            let bundle: Bundle? = decoded("\(directory)/config.json")
            guard var labels = bundle?.annotations else { continue }
            // containerd's names for what others call io.kubernetes.pod.*
            labels["io.kubernetes.pod.name"] = labels["io.kubernetes.pod.name"] ?? labels["io.kubernetes.cri.sandbox-name"]
            labels["io.kubernetes.pod.namespace"] =
                labels["io.kubernetes.pod.namespace"] ?? labels["io.kubernetes.cri.sandbox-namespace"]
            return labels
        }
        return [:]
    }

    /// Nil where the file is not there, not readable, or not what it should be: labels are an extra that many hosts do not have.
    private func decoded<T: Decodable>(_ path: String) -> T? {
        var status = stat()
        guard stat(root + path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.largestFile else { return nil }
        do {
            guard let bytes = try Disk.read(root + path) else { return nil }
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch {
            return nil
        }
    }

    private static func kept(_ labels: [String: String]) -> [String: String] {
        let chosen = labels.filter { label in
            label.value.utf8.count <= longestValue && !label.value.utf8.contains(0) && label.key.utf8.count <= 256
                && prefixes.contains { label.key.hasPrefix($0) }
        }
        guard chosen.count > maximumLabels else { return chosen }
        return Dictionary(uniqueKeysWithValues: chosen.sorted { $0.key < $1.key }.prefix(maximumLabels).map { ($0.key, $0.value) })
    }
}
