/// Asks again until it is so; for actors, whose closures stay with them.
func patiently(
    _ what: String,
    seconds: Double = 60,
    isolation: isolated (any Actor)? = #isolation,
    log: () -> String,
    _ body: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
        if try await body() { return }
        guard .now < deadline else { throw Timeout(what: what, log: log()) }
        try await Task.sleep(for: .milliseconds(50))
    }
}
