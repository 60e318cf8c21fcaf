/// What the decoder answers in place of a record; the collector's own knows of HTTP.
struct Problem: Error {
    let status: Int
    let type: String
    let detail: String

    static func badRequest(_ type: String, _ title: String, _ detail: String) -> Problem {
        Problem(status: 400, type: type, detail: detail)
    }

    static func unprocessable(_ type: String, _ title: String, _ detail: String) -> Problem {
        Problem(status: 422, type: type, detail: detail)
    }
}
