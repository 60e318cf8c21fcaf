import Documents
import Energy
import HTTPTypes
import Hummingbird
import Postgres
import Store

/// The pages people see. What a page may show is decided as for the API: jobs by `Viewer`, hosts and sums over everybody's jobs for
/// readers of everything only.
struct PageRoutes: Sendable {
    let site: Site
    let templates: PageTemplates

    init(site: Site) throws {
        self.site = site
        templates = try PageTemplates()
    }

    func add(to router: Router<WattleContext>) {
        router.get("/") { request, context in try await shown("/", context) { try await home(request, context) } }
        router.get("jobs") { request, context in try await shown("/jobs", context) { try await jobs(request, context) } }
        router.get("jobs/:id") { request, context in try await shown("", context) { try await job(request, context) } }
        router.get("hosts") { request, context in try await shown("/hosts", context) { try await hosts(request, context) } }
        router.get("services") { request, context in try await shown("/services", context) { try await services(request, context) } }
        router.get("sign-in") { _, _ in showSignIn("Paste a read token to see more than what is public.") }
        router.post("sign-in") { request, context in try await takeToken(request, context) }
    }

    /// A page, or why there is none, as a page.
    private func shown(_ path: String, _ context: WattleContext, _ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch let problem as Problem where problem.status == .unauthorized {
            return showSignIn(
                context.hasBadToken
                    ? "The token that your browser sent is unknown, expired or revoked. Paste a read token."
                    : "This is private here until something says public. Paste a read token to see it.",
                status: .unauthorized
            )
        } catch let problem as Problem where (400..<500).contains(problem.status.code) {
            // Who reads nothing here has no links to the pages.
            let viewer: Viewer?
            do { viewer = try context.viewer(site.access) } catch { viewer = nil }
            return render(
                "message",
                title: problem.title,
                path: path,
                viewer: viewer,
                ["heading": problem.title, "message": problem.detail],
                status: Self.status(of: problem)
            )
        }
    }

    /// A field of a form may hold any text: one that cannot be read is no malformed request.
    static func status(of problem: Problem) -> HTTPResponse.Status {
        problem.status == .badRequest ? .unprocessableContent : problem.status
    }

    func render(
        _ template: String,
        title: String,
        path: String,
        viewer: Viewer?,
        _ model: [String: Any],
        status: HTTPResponse.Status = .ok
    ) -> Response {
        var model = model
        model["title"] = path == "/" ? "Wattle" : "\(title) - Wattle"
        model["nav"] = PageFrame.navigation(at: path, viewer: viewer)
        model["base_url"] = site.baseURL
        if viewer == .anonymous {
            model["footnote"] =
                "Without a token only public jobs of a minute or more are shown, 15 minutes after their end, to three digits."
        }
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
            .contentSecurityPolicy:
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            .xContentTypeOptions: "nosniff",
        ]
        if status == .unauthorized { headers[.wwwAuthenticate] = Problem.challenge }
        return Response(
            status: status,
            headers: headers,
            body: .init(byteBuffer: ByteBuffer(string: templates.render(template, model)))
        )
    }

    func showSignIn(_ message: String, status: HTTPResponse.Status = .ok) -> Response {
        render("sign-in", title: "Sign in", path: "/sign-in", viewer: nil, ["message": message], status: status)
    }

    /// A token in a form becomes a cookie that scripts cannot read and other sites cannot send.
    private func takeToken(_ request: Request, _ context: WattleContext) async throws -> Response {
        let type = request.headers[.contentType]?.split(separator: ";").first.map { String($0).trimmed.lowercased() }
        guard type == "application/x-www-form-urlencoded" else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The media type is not supported",
                detail: "expected application/x-www-form-urlencoded, found \(type?.prefix(60) ?? "none")",
                status: .unsupportedMediaType
            )
        }
        let form = String(decoding: try await request.body(limit: 4_096), as: UTF8.self)
        let sent = form.split(separator: "&").first { $0.hasPrefix("token=") }?.dropFirst(6) ?? ""
        guard let token = Token(String(sent).trimmed),
            let grant = try await site.pool.withConnection({ try await TokenTable.find(sha256: token.sha256, $0) }),
            grant.scope == .read || grant.scope == .admin
        else {
            return showSignIn(
                "That is no read token that counts: it is unknown, expired, revoked, or of another scope.",
                status: .forbidden
            )
        }
        let secure = site.baseURL.hasPrefix("https:") ? "; Secure" : ""
        return Response(
            status: .seeOther,
            headers: [
                .location: "/",
                .setCookie: "\(Authentication.cookie)=\(token.text); Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000\(secure)",
            ]
        )
    }
}
