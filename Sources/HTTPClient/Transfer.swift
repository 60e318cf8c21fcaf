import CLibCurl

/// One exchange in progress: the easy handle, what it sends and what has come back so far.
///
/// Made on the caller's side, then used by the transfer thread alone.
final class Transfer: @unchecked Sendable {  // handed to the transfer thread once, touched only there afterwards
    let number: UInt64
    let request: HTTPRequest
    private let connection: HTTPClient.Connection
    private let maximumBodyBytes: Int
    private var continuation: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>?

    private(set) var easy: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var sentBody: UnsafeMutableBufferPointer<UInt8>?
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    private var headers: [(name: String, value: String)] = []
    private var body: [UInt8] = []
    private var bodyIsTooLarge = false

    init(
        number: UInt64,
        request: HTTPRequest,
        connection: HTTPClient.Connection,
        maximumBodyBytes: Int,
        continuation: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>
    ) {
        self.number = number
        self.request = request
        self.connection = connection
        self.maximumBodyBytes = maximumBodyBytes
        self.continuation = continuation
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        sentBody?.deallocate()
        errorText.deallocate()
    }

    /// Makes the easy handle. On failure the caller ends the transfer with the error.
    func prepare(_ curl: LibCurl, connectTimeout: Duration, userAgent: String) throws(HTTPError) {
        try refuseMalformed()
        guard let easy = curl.functions.easy_init() else { throw error(.other, "libcurl could not make a handle") }
        self.easy = easy
        var functions = curl.functions
        var failed = CURLE_OK
        func check(_ code: CURLcode) { if failed == CURLE_OK { failed = code } }

        let totalMilliseconds = max(1, Transfer.milliseconds(request.timeout))
        let connectMilliseconds = max(1, min(totalMilliseconds, Transfer.milliseconds(connectTimeout)))
        check(wattle_curl_set_long(&functions, easy, CURLOPT_NOSIGNAL, 1))
        check(wattle_curl_set_string(&functions, easy, CURLOPT_URL, request.url))
        check(wattle_curl_allow_http_only(&functions, easy))
        check(wattle_curl_set_long(&functions, easy, CURLOPT_FOLLOWLOCATION, 0))
        check(wattle_curl_set_long(&functions, easy, CURLOPT_SSL_VERIFYPEER, 1))
        check(wattle_curl_set_long(&functions, easy, CURLOPT_SSL_VERIFYHOST, 2))
        for (option, value) in securityOptions { check(wattle_curl_set_string(&functions, easy, option, value)) }
        check(wattle_curl_set_long(&functions, easy, CURLOPT_TIMEOUT_MS, totalMilliseconds))
        check(wattle_curl_set_long(&functions, easy, CURLOPT_CONNECTTIMEOUT_MS, connectMilliseconds))
        check(wattle_curl_set_string(&functions, easy, CURLOPT_USERAGENT, userAgent))
        check(wattle_curl_set_pointer(&functions, easy, CURLOPT_ERRORBUFFER, errorText))
        check(wattle_curl_close_sockets_on_exec(&functions, easy))

        check(wattle_curl_set_string(&functions, easy, CURLOPT_CUSTOMREQUEST, request.method))
        if request.method == "HEAD" {
            check(wattle_curl_set_long(&functions, easy, CURLOPT_NOBODY, 1))
        } else if !request.body.isEmpty || ["POST", "PUT", "PATCH"].contains(request.method) {
            // libcurl reads the body from where it lies for as long as the transfer lives.
            let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, request.body.count))
            _ = copy.initialize(from: request.body)
            sentBody = copy
            check(wattle_curl_set_long(&functions, easy, CURLOPT_POST, 1))
            check(wattle_curl_set_offset(&functions, easy, CURLOPT_POSTFIELDSIZE_LARGE, Int64(request.body.count)))
            check(wattle_curl_set_pointer(&functions, easy, CURLOPT_POSTFIELDS, copy.baseAddress))
        }

        var lines = request.headers.map { $0.1.isEmpty ? "\($0.0);" : "\($0.0): \($0.1)" }
        // libcurl adds these on its own; a form's content type would be wrong and waiting for a 100 costs a round trip.
        for name in ["Content-Type", "Expect"] where !request.headers.contains(where: { $0.0.lowercased() == name.lowercased() }) {
            lines.append("\(name):")
        }
        for line in lines {
            guard let longer = curl.functions.slist_append(headerList, line) else { throw error(.other, "out of memory") }
            headerList = longer
        }
        check(wattle_curl_set_list(&functions, easy, CURLOPT_HTTPHEADER, headerList))

        let context = Unmanaged.passUnretained(self).toOpaque()
        check(
            wattle_curl_set_data_callback(&functions, easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
                Transfer.receive(bytes, size, count, context) { $0.receiveHeader($1) }
            }
        )
        check(wattle_curl_set_pointer(&functions, easy, CURLOPT_HEADERDATA, context))
        check(
            wattle_curl_set_data_callback(&functions, easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
                Transfer.receive(bytes, size, count, context) { $0.receiveBody($1) }
            }
        )
        check(wattle_curl_set_pointer(&functions, easy, CURLOPT_WRITEDATA, context))
        guard failed == CURLE_OK else { throw error(.other, "libcurl refused an option: \(curl.message(of: failed))") }
    }

    /// The options whose defaults would not do, from the connection's settings.
    private var securityOptions: [(CURLoption, String?)] {
        var options: [(CURLoption, String?)] = []
        if let caFile = connection.caFile {
            // Without the system's directory of authorities, which is consulted beside the file.
            options += [(CURLOPT_CAINFO, caFile), (CURLOPT_CAPATH, nil)]
            options += [(CURLOPT_PROXY_CAINFO, caFile), (CURLOPT_PROXY_CAPATH, nil)]
        }
        if let certificateFile = connection.certificateFile {
            // With a passphrase given, even an empty one, OpenSSL does not ask for it on the terminal.
            options += [(CURLOPT_SSLCERT, certificateFile), (CURLOPT_SSLKEY, connection.keyFile), (CURLOPT_KEYPASSWD, "")]
        }
        if let proxy = connection.proxy { options += [(CURLOPT_PROXY, proxy), (CURLOPT_NOPROXY, "")] }
        return options
    }

    /// Hands the outcome to whoever awaits it, once, and frees the handle, which must have left the multi handle.
    func end(_ curl: LibCurl?, _ result: Result<HTTPResponse, HTTPError>) {
        if let curl {
            if let easy { curl.functions.easy_cleanup(easy) }
            if let headerList { curl.functions.slist_free_all(headerList) }
        }
        easy = nil
        headerList = nil
        continuation?.resume(returning: result)
        continuation = nil
    }

    /// What the finished transfer amounts to.
    func outcome(_ curl: LibCurl, code: CURLcode) -> Result<HTTPResponse, HTTPError> {
        if bodyIsTooLarge {
            return .failure(error(.bodyTooLarge, "the response is longer than \(maximumBodyBytes) bytes, the most that is accepted"))
        }
        guard code == CURLE_OK else {
            let detail = String(cString: errorText)
            let failure = TransportFailure(
                code,
                detail: detail.isEmpty ? curl.message(of: code) : detail,
                isEncrypted: request.url.lowercased().hasPrefix("https:"),
                connection
            )
            return .failure(error(failure.kind, failure.message))
        }
        var status = 0
        var functions = curl.functions
        guard let easy, wattle_curl_get_response_code(&functions, easy, &status) == CURLE_OK else {
            return .failure(error(.other, "the response has no status"))
        }
        return .success(HTTPResponse(status: status, headers: headers, body: body))
    }

    func error(_ kind: HTTPError.Kind, _ message: String) -> HTTPError { HTTPError(kind: kind, url: request.url, message: message) }

    private func refuseMalformed() throws(HTTPError) {
        func isBroken(_ text: String) -> Bool { text.utf8.contains { $0 == 0 || $0 == 10 || $0 == 13 } }
        let settings = [connection.caFile, connection.certificateFile, connection.keyFile, connection.proxy].compactMap { $0 }
        if settings.contains(where: isBroken) { throw error(.other, "a file's name or the proxy holds a line break or a zero byte") }
        if isBroken(request.url) { throw error(.other, "the URL holds a line break or a zero byte") }
        if request.method.isEmpty || request.method.utf8.contains(where: { $0 <= 32 || $0 >= 127 }) {
            throw error(.other, "the method holds a character that HTTP does not allow")
        }
        for (name, value) in request.headers where name.isEmpty || name.contains(":") || isBroken(name) || isBroken(value) {
            throw error(.other, "header \(name.isEmpty ? "with an empty name" : name) holds a character that HTTP does not allow")
        }
    }

    private func receiveHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var line = String(decoding: bytes, as: UTF8.self)
        while let last = line.unicodeScalars.last, last == "\r" || last == "\n" { line.unicodeScalars.removeLast() }
        if line.hasPrefix("HTTP/") {
            // A new status line: what came before belonged to an interim response or to the proxy.
            headers = []
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            headers.append((String(line[..<colon]), String(value)))
        }
        return true
    }

    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= maximumBodyBytes - body.count else {
            bodyIsTooLarge = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    private static func receive(
        _ bytes: UnsafeMutablePointer<CChar>?,
        _ size: Int,
        _ count: Int,
        _ context: UnsafeMutableRawPointer?,
        _ body: (Transfer, UnsafeRawBufferPointer) -> Bool
    ) -> Int {
        guard let bytes, let context else { return 0 }
        let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        // Any other number than the one offered makes libcurl end the transfer.
        return body(transfer, UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : (size * count == 0 ? 1 : 0)
    }

    private static func milliseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        return Int(min(max(0, seconds), 1_000_000)) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
