import CLibPQ

/// One of the hosts that a connection string names, and what of a server is wanted there.
struct ServerPlace: Hashable, Sendable {
    /// Keywords and values that go over those of the connection string.
    var parameters: [(String, String)] { keywords.map { ($0, values[$0] ?? "") } }
    /// `connect_timeout` of the string.
    let connectTimeout: Duration?
    private let keywords: [String]
    private let values: [String: String]

    var description: String { [values["host"] ?? values["hostaddr"], values["port"]].compactMap { $0 }.joined(separator: ":") }

    /// The places in the order in which they are to be asked; one that adds nothing where the string names a single host, none, or cannot
    /// be read, which libpq then says better.
    static func places(of connectionString: String) -> [ServerPlace] {
        guard let options = PQconninfoParse(connectionString, nil) else { return [ServerPlace([:], nil)] }
        defer { PQconninfoFree(options) }
        var given: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { given[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return places(given: given)
    }

    static func places(given: [String: String]) -> [ServerPlace] {
        // libpq takes 0 and less for no limit.
        let limit = given["connect_timeout"].flatMap { Int($0) }.flatMap { $0 > 0 ? Duration.seconds($0) : nil }
        func list(_ keyword: String) -> [String]? {
            given[keyword].map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        }
        let hosts = list("host")
        let addresses = list("hostaddr")
        let ports = list("port")
        let count = max(hosts?.count ?? 0, addresses?.count ?? 0)
        let isEven =
            [hosts, addresses].allSatisfy { $0 == nil || $0?.count == count } && (ports.map { [1, count].contains($0.count) } ?? true)
        guard count > 1, isEven else { return [ServerPlace([:], limit)] }
        func place(_ number: Int, _ wanted: String?) -> ServerPlace {
            var values: [String: String] = [:]
            values["host"] = hosts?[number]
            values["hostaddr"] = addresses?[number]
            values["port"] = ports.map { $0.count == 1 ? $0[0] : $0[number] }
            values["target_session_attrs"] = wanted
            return ServerPlace(values, limit)
        }
        // A preference needs all hosts asked before it is given up.
        let rounds: [String?] = given["target_session_attrs"] == "prefer-standby" ? ["standby", "any"] : [nil]
        return rounds.flatMap { wanted in (0..<count).map { place($0, wanted) } }
    }

    private init(_ values: [String: String], _ connectTimeout: Duration?) {
        self.values = values
        self.connectTimeout = connectTimeout
        keywords = values.keys.sorted()
    }
}
