/// The id of a hook's span, the same at its start and at its end.
enum SpanIdentity {
    /// The id given, or the environment's; nil for none.
    static func id(given: String?, environment: (String) -> String? = Settings.variable) -> String? {
        if let given { return given }
        return environment("WATTLE_SPAN_ID")
    }

    static let expectation = "expected --id, WATTLE_SPAN_ID, or the environment of a job of GitHub or GitLab"
}
