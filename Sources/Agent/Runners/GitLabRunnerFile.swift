/// `config.toml` of `gitlab-runner`: of its many keys the few that say which runners there are. Tokens stand beside them and are passed
/// over unread.
enum GitLabRunnerFile {
    static func registrations(_ text: String) -> [RunnerRegistration] {
        var concurrent: UInt32 = 1
        var found: [RunnerRegistration] = []
        var section = ""
        for line in text.split(whereSeparator: \.isNewline) {
            let line = ConfigurationLine.trimmed(line)
            if line.hasPrefix("[") {
                section = String(line.prefix { $0 != "#" }.filter { !$0.isWhitespace })
                if section == "[[runners]]" { found.append(RunnerRegistration(name: "", instance: "", kind: .gitlab)) }
                continue
            }
            guard section.isEmpty || section == "[[runners]]", let (key, value) = ConfigurationLine.keyAndValue(line) else { continue }
            switch (section.isEmpty, key) {
            case (true, "concurrent"): concurrent = UInt32(value) ?? concurrent
            case (false, "name"): found[found.count - 1].name = value
            case (false, "url"): found[found.count - 1].instance = RunnerRegistration.place(of: value).instance
            // 0 is no limit of its own.
            case (false, "limit"): found[found.count - 1].concurrent = UInt32(value) ?? 0
            default: break
            }
        }
        return found.filter { !$0.name.isEmpty }.map { runner in
            var runner = runner
            runner.concurrent = runner.concurrent == 0 ? concurrent : min(runner.concurrent, concurrent)
            return runner
        }
    }
}
