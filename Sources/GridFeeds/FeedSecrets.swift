import Documents
import FoundationEssentials

/// What lets a question in, as an answer may give it back: quoted words of a provider are told without it.
struct FeedSecrets {
    private let spellings: [[UInt8]]

    /// - Parameter token: of a login, where there is one.
    init(_ credential: FeedCredential, url: String, token: String?) {
        var secrets: [String] = []
        switch credential {
        case .none: break
        case .header(_, let key), .parameter(_, let key): secrets.append(key)
        case .login(_, let user, let password, _):
            secrets += [password, "\(user):\(password)", Data("\(user):\(password)".utf8).base64EncodedString()]
        }
        if let token { secrets.append(token) }
        secrets += Self.login(in: url)
        var all: Set<[UInt8]> = []
        for secret in secrets where !secret.isEmpty {
            let quoted = secret.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            for spelling in [
                secret, secret.percentEncoded, secret.percentEncoded.replacing("%20", with: "+"), quoted,
                quoted.replacing("/", with: "\\/"), secret.replacing(" ", with: "%20"),
            ] { all.insert(Self.folded(spelling)) }
        }
        // A longer one may hold a shorter one.
        spellings = all.sorted { ($1.count, $0.description) < ($0.count, $1.description) }
    }

    /// A user and a password that stand in an address.
    private static func login(in url: String) -> [String] {
        guard let scheme = url.firstRange(of: "://") else { return [] }
        let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
        guard let at = authority.lastIndex(of: "@") else { return [] }
        let login = authority[..<at]
        let password = login.firstIndex(of: ":").map { login[login.index(after: $0)...] } ?? login
        return [String(login), String(password)]
    }

    /// The text with each spelling of a secret replaced, in upper or lower case: a provider may write either.
    func hidden(in text: String) -> String {
        guard !spellings.isEmpty else { return text }
        let bytes = Array(text.utf8)
        let folded = Self.folded(text)
        var told: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let length = spellings.map { Self.common($0, folded[index...]) }.max() ?? 0
            if length > 0 {
                told += Array("(secret)".utf8)
                index += length
            } else {
                told.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: told, as: UTF8.self)
    }

    func hidden(in fault: FeedFault) -> FeedFault {
        switch fault {
        case .notConfigured(let why): .notConfigured(hidden(in: why))
        case .refused(let status, let words): .refused(status: status, hidden(in: words))
        case .unreachable(let why): .unreachable(hidden(in: why))
        case .unreadable(let why): .unreadable(hidden(in: why))
        case .later: fault
        }
    }

    /// How much of a text's beginning is the secret, or the first part of one that was cut; 0 where it is neither.
    private static func common(_ secret: [UInt8], _ text: ArraySlice<UInt8>) -> Int {
        let length = zip(secret, text).prefix { $0 == $1 }.count
        return length >= min(secret.count, tellingBytes) ? length : 0
    }

    /// So much of a key's beginning is told to nobody either.
    private static let tellingBytes = 8

    private static func folded(_ text: String) -> [UInt8] {
        text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
    }
}
