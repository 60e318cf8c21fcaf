/// An HTTP client over libcurl: connections are kept and reused, TLS is verified, redirects are answers like any other, proxies
/// come from the environment as with `curl` unless `Connection` says otherwise.
///
/// Transfers run on one thread of the client's own, never on the cooperative pool; it is started, and libcurl loaded, by the
/// first request. Cancelling the task that awaits `send` ends its transfer at once.
public final class HTTPClient: Sendable {
    private let thread: TransferThread
    private let connection: Connection
    private let maximumBodyBytes: Int

    /// - Parameters:
    ///   - connection: trust, client certificate and proxy; nothing of it is looked at before the first request.
    ///   - maximumBodyBytes: longest response body that is accepted, in bytes.
    ///   - maximumConnections: open connections at a time; further requests wait within their own timeout.
    ///   - connectTimeout: the longest that making a connection may take.
    public init(
        connection: Connection = Connection(),
        maximumBodyBytes: Int = 16 << 20,
        maximumConnections: Int = 8,
        connectTimeout: Duration = .seconds(10),
        userAgent: String = "wattle"
    ) {
        self.connection = connection
        self.maximumBodyBytes = maximumBodyBytes
        self.thread = TransferThread(maximumConnections: maximumConnections, connectTimeout: connectTimeout, userAgent: userAgent)
    }

    deinit { thread.stop() }

    /// Sends a request and returns its response, whatever the status.
    ///
    /// - Throws: `HTTPError` when there is no complete response.
    public func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        guard !Task.isCancelled else { throw HTTPError(kind: .cancelled, url: request.url, message: "cancelled") }
        let number = thread.nextNumber()
        let result: Result<HTTPResponse, HTTPError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                thread.start(
                    Transfer(
                        number: number,
                        request: request,
                        connection: connection,
                        maximumBodyBytes: maximumBodyBytes,
                        continuation: continuation
                    )
                )
                // Cancelled between the check above and here: the handler's order came too early to find its transfer.
                if Task.isCancelled { thread.cancel(number) }
            }
        } onCancel: {
            thread.cancel(number)
        }
        return try result.get()
    }
}
