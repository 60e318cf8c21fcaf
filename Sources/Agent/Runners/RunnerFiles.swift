import Glibc

/// Looks for runner registrations on this machine's disks. It lists directories and reads files: not for the sampler's thread.
public struct RunnerFiles: Sendable {
    /// Where runners are usually installed; `*` stands for a part of one name.
    public static let usualDirectories = [
        "/home/*/actions-runner*", "/home/*/act_runner*", "/home/runner", "/root/actions-runner*", "/actions-runner*", "/runner*",
        "/opt/actions-runner*", "/opt/*runner*", "/opt/*/actions-runner*", "/srv/*runner*", "/srv/*/actions-runner*",
        "/var/lib/*runner*", "/var/lib/github-runner/*", "/var/lib/gitea-runner/*", "/etc/act_runner",
    ]
    /// Where `wattle-agent runners` leaves what only root may read, for an agent that is not root.
    public static let listOfRoot = "/run/wattle/runners.json"

    static let mostRegistrations = 256
    private static let mostNames = 4_096
    private static let largestFile = 256 << 10

    /// Prefix of `/home`, `/etc`...; empty for the machine itself.
    let root: String
    let hostName: String
    /// Where it looks beside the usual places.
    let directories: [String]

    public init(root: String = "", hostName: String, directories: [String] = []) {
        self.root = root
        self.hostName = hostName
        self.directories = directories
    }

    /// What was found, each once, in a fixed order; what cannot be read is as if it were not there.
    public func registrations(withListOfRoot: Bool = true) -> [RunnerRegistration] {
        var found: [RunnerRegistration] = []
        for pattern in directories + Self.usualDirectories {
            for directory in matches(of: pattern) {
                if let bytes = content("\(directory)/.runner"), let one = DotRunnerFile.registration(bytes) { found.append(one) }
            }
        }
        if let bytes = content("/etc/gitlab-runner/config.toml") {
            found += GitLabRunnerFile.registrations(String(decoding: bytes, as: UTF8.self))
        }
        for pattern in ["/home/*/.gitlab-runner"] {
            for directory in matches(of: pattern) {
                if let bytes = content("\(directory)/config.toml") {
                    found += GitLabRunnerFile.registrations(String(decoding: bytes, as: UTF8.self))
                }
            }
        }
        if let bytes = content("/etc/buildkite-agent/buildkite-agent.cfg") {
            found += BuildkiteAgentFile.registrations(String(decoding: bytes, as: UTF8.self), hostName: hostName)
        }
        if withListOfRoot, let bytes = content(Self.listOfRoot) {
            do {
                found += try RunnerRegistration.list(decoding: bytes)
            } catch {
                // Another version's list: without it there is what this user can read.
            }
        }
        var known: Set<RunnerRegistration> = []
        return Array(
            found.filter { isSound($0) && known.insert($0).inserted }
                .sorted { ($0.kind.rawValue, $0.instance, $0.name, $0.scope) < ($1.kind.rawValue, $1.instance, $1.name, $1.scope) }
                .prefix(Self.mostRegistrations)
        )
    }

    /// As the collector takes them.
    private func isSound(_ registration: RunnerRegistration) -> Bool {
        (1...255).contains(registration.name.utf8.count)
            && [registration.name, registration.instance, registration.scope].allSatisfy { $0.utf8.count <= 255 && !$0.utf8.contains(0) }
    }

    /// Directories that a pattern stands for, without the root.
    private func matches(of pattern: String) -> [String] {
        var found = [""]
        for part in pattern.split(separator: "/") {
            guard part.contains("*") else {
                found = found.map { "\($0)/\(part)" }
                continue
            }
            found = found.flatMap { directory -> [String] in
                let names: [String]
                // Not there, or not for this user.
                do { names = try Disk.names(in: "\(root)\(directory)/") } catch { return [] }
                return names.prefix(Self.mostNames).filter { fnmatch(String(part), $0, FNM_PERIOD) == 0 }.map { "\(directory)/\($0)" }
            }
        }
        return Array(found.prefix(Self.mostNames))
    }

    /// A regular file of a sensible size; anyone may have put anything under such a name.
    private func content(_ path: String) -> [UInt8]? {
        let descriptor = open(root + path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.largestFile else { return nil }
        do throws(DiskFault) {
            return try Disk.read(descriptor, path: path, offset: 0, count: Int(status.st_size))
        } catch {
            return nil
        }
    }
}
