import CZlib

/// zlib, opened when it is first used.
struct Zlib: Sendable {
    let functions: wattle_zlib

    /// Opened once; a failure is remembered too, so that every use says the same.
    static let loaded: Result<Zlib, GzipError> = {
        var functions = wattle_zlib()
        if let message = wattle_zlib_load(&functions) { return .failure(.unavailable(String(cString: message))) }
        return .success(Zlib(functions: functions))
    }()
}
