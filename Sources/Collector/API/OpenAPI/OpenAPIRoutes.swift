import Documents
import HTTPTypes
import Hummingbird

/// The description of the routes, for programs.
struct OpenAPIRoutes: Sendable {
    private let text: ByteBuffer

    init(document: OpenAPIDocument) throws {
        // Limits of 64 bits are no doubles' business: readers that count exactly would take 2^64 + 382 for allowed.
        let exact = try document.json.text.replacing("\(Double(sign: .plus, exponent: 64, significand: 1))", with: "18446744073709551616")
            .replacing("\(Double(sign: .plus, exponent: 63, significand: 1))", with: "9223372036854775808")
        text = ByteBuffer(string: exact + "\n")
    }

    func add(to router: Router<WattleContext>) {
        router.get("openapi.json") { [text] _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "application/json", .cacheControl: "no-cache"],
                body: .init(byteBuffer: text)
            )
        }
    }
}
