import CLibCurl

/// libcurl, opened when the first request is made.
///
/// Its functions may be called from any thread as long as no handle is used by two at once.
struct LibCurl: @unchecked Sendable {  // a table of C functions that is never written after `loaded` is made
    let functions: wattle_curl

    /// Opened once; a failure is remembered too, so that every request says the same.
    static let loaded: Result<LibCurl, LoadFailure> = {
        var functions = wattle_curl()
        if let message = wattle_curl_load(&functions) {
            return .failure(LoadFailure(message: "libcurl is needed for network requests: \(String(cString: message))"))
        }
        guard functions.global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK else {
            return .failure(LoadFailure(message: "libcurl could not be initialised"))
        }
        return .success(LibCurl(functions: functions))
    }()

    struct LoadFailure: Error {
        let message: String
    }

    func message(of code: CURLcode) -> String {
        functions.easy_strerror(code).map { String(cString: $0) } ?? "libcurl error \(code.rawValue)"
    }
}
