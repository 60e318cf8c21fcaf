/// A list of runners, for people and for an agent that may not look itself.
public enum RunnerList {
    public static func table(_ runners: [RunnerRegistration]) -> String {
        TextTable.render(
            header: ["kind", "name", "instance", "scope", "jobs at a time"],
            rows: runners.map {
                [
                    $0.kind.rawValue, $0.name, $0.instance.isEmpty ? "-" : $0.instance, $0.scope.isEmpty ? "-" : $0.scope,
                    $0.concurrent == 0 ? "-" : "\($0.concurrent)",
                ]
            }
        )
    }

    /// Readable by all: no secret is in it.
    public static func write(_ runners: [RunnerRegistration], to path: String) throws {
        try Disk.replace(path, with: try RunnerRegistration.encoded(runners), mode: 0o644)
    }
}
