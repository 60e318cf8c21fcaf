import Documents
import HTTPTypes
import Hummingbird

/// The description of the routes, for programs.
struct OpenAPIRoutes: Sendable {
    private let text: ByteBuffer

    init(document: OpenAPIDocument) throws {
        text = ByteBuffer(string: try document.json.text + "\n")
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
