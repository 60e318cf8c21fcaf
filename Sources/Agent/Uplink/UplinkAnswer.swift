import Energy
import FoundationEssentials
import HTTPClient

/// What came back from the collector, as far as the uplink needs it.
struct UplinkAnswer: Hashable, Sendable {
    /// Nil where no response came.
    var status: Int?
    /// What went wrong, for people: the transport's message, or the problem's title and detail.
    var detail = ""
    var retryAfter: Duration?
    var expectedSeq: UInt64?
    var acknowledgedSeq: UInt64?
    /// The collector's clock, µs since the epoch.
    var now: Timestamp?
    /// The problem's type.
    var problem = ""

    init(status: Int?, detail: String = "", retryAfter: Duration? = nil) {
        self.status = status
        self.detail = detail
        self.retryAfter = retryAfter
    }

    /// - Parameter receivedAt: by the agent's clock, for an answer that carries none.
    init(_ result: Result<HTTPResponse, HTTPError>, receivedAt: Timestamp) {
        switch result {
        case .failure(let error):
            self.init(status: nil, detail: error.description)
        case .success(let response):
            let retryAfter = response.header("Retry-After").flatMap {
                RetryAfter.delay($0, date: response.header("Date"), now: receivedAt)
            }
            self.init(status: response.status, detail: "", retryAfter: retryAfter)
            do {
                let body = try JSONDecoder().decode(Body.self, from: Data(response.body))
                expectedSeq = body.expected_seq?.value
                acknowledgedSeq = body.acknowledged_seq?.value
                now = (body.now_us ?? body.received_at_us).flatMap { Int64(exactly: $0.value) }.map(Timestamp.init(microseconds:))
                problem = body.type ?? ""
                detail = [body.title, body.detail].compactMap { $0 }.joined(separator: ": ")
            } catch {
                // A proxy's error page, say; the status stands for itself.
                detail = String(decoding: response.body.prefix(200), as: UTF8.self)
            }
        }
    }

    private struct Body: Decodable {
        var expected_seq: Number?
        var acknowledged_seq: Number?
        var now_us: Number?
        var received_at_us: Number?
        var type: String?
        var title: String?
        var detail: String?
    }

    /// A whole number, also as a string of digits.
    private struct Number: Decodable {
        var value: UInt64

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            do {
                value = try container.decode(UInt64.self)
            } catch {
                guard let number = UInt64(try container.decode(String.self)) else { throw error }
                value = number
            }
        }
    }
}
