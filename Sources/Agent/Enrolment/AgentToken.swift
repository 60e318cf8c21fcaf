import Synchronization

/// The token that the agent shows to the collector, and where a new one will be found.
final class AgentToken: Sendable {
    enum Origin: Hashable, Sendable {
        /// No token is needed, or it was given as it is.
        case given
        case file(String)
        /// What an enrolment left.
        case enrolment(EnrolmentFile, collector: String)
    }

    private let origin: Origin
    private let token: Mutex<String?>

    init(_ token: String?, from origin: Origin = .given) {
        self.origin = origin
        self.token = Mutex(token)
    }

    var now: String? { token.withLock { $0 } }

    /// Reads it again.
    ///
    /// - Returns: whether there is another one now.
    /// - Throws: where it cannot be read; the old one stays.
    func readAgain() throws -> Bool {
        let found: String? =
            switch origin {
            case .given: nil
            case .file(let path): try TokenFile.read(path)
            case .enrolment(let file, let collector):
                // A token for another collector is not shown to this one.
                try file.read().flatMap { $0.collector == collector ? $0.token : nil }
            }
        guard let found else { return false }
        return token.withLock { token in
            guard token != found else { return false }
            token = found
            return true
        }
    }

    func set(_ token: String) { self.token.withLock { $0 = token } }
}
