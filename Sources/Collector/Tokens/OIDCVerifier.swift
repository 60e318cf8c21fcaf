import Documents
import Energy
import FoundationEssentials
import JWTKit
import Store

/// Checks the tokens that CI systems sign for their jobs. Pure: keys and time are given.
enum OIDCVerifier {
    static let leeway = Microseconds.seconds(60)
    static let maximumTokenBytes = 16 << 10
    /// Shorter keys are not believed.
    private static let keyBits = 2_048...8_192

    /// Why a token is not believed. Never holds the token.
    enum Refusal: Error, Equatable {
        case malformed(String)
        /// Its key may be there after the next look at the issuer's keys.
        case unknownKey(String)
        case refused(String)
    }

    /// The claims of a token whose signature holds, for this issuer and audience, at this time.
    ///
    /// RS256 only; `iss` exact; `aud` one of ours; `exp` and `nbf` with 60 s of leeway.
    static func verify(
        _ token: String,
        keys: [JSONWebKey],
        issuer: String,
        audience: String,
        now: Timestamp
    ) async throws(Refusal) -> [String: JSONValue] {
        let parsed = try Parsed(token)
        guard parsed.algorithm == "RS256" else {
            throw .refused("alg: expected RS256, found \(parsed.algorithm?.prefix(20) ?? "nothing")")
        }
        guard !parsed.isCritical else { throw .refused("crit: expected no critical extensions, found some") }
        guard let kid = parsed.keyID, !kid.isEmpty, kid.utf8.count <= 200 else {
            throw .refused("kid: expected the id of a key, found none")
        }
        guard let key = keys.first(where: { $0.id == kid }) else { throw .unknownKey(kid) }
        guard try await isSigned(parsed, by: key) else { throw .refused("the signature does not hold") }

        let claims = parsed.claims
        guard claims["iss"]?.string == issuer else { throw .refused("iss: expected \(issuer)") }
        let audiences = claims["aud"]?.array?.compactMap(\.string) ?? [claims["aud"]?.string].compactMap { $0 }
        guard audiences.contains(audience) else { throw .refused("aud: expected \(audience)") }
        guard let expiry = claims["exp"]?.double, abs(expiry) < 1e11 else { throw .refused("exp: expected a time in seconds") }
        guard now < Timestamp(microseconds: Int64(expiry * 1e6)) + leeway else { throw .refused("exp: the token has expired") }
        if let notBefore = claims["nbf"] {
            guard let seconds = notBefore.double, abs(seconds) < 1e11 else { throw .refused("nbf: expected a time in seconds") }
            guard now + leeway >= Timestamp(microseconds: Int64(seconds * 1e6)) else { throw .refused("nbf: the token does not count yet") }
        }
        return claims
    }

    private static func isSigned(_ parsed: Parsed, by key: JSONWebKey) async throws(Refusal) -> Bool {
        guard let modulus = Base64URL.bytes(key.modulus), keyBits.contains(Self.bits(modulus)) else {
            throw .refused("the issuer's key has not \(keyBits.lowerBound) to \(keyBits.upperBound) bits")
        }
        do {
            let collection = JWTKeyCollection()
            await collection.add(
                rsa: try Insecure.RSA.PublicKey(modulus: key.modulus, exponent: key.exponent),
                digestAlgorithm: .sha256,
                kid: JWKIdentifier(string: key.id)
            )
            return try await collection.getKey(for: JWKIdentifier(string: key.id), alg: "RS256")
                .verify(parsed.signature, signs: parsed.signed)
        } catch {
            throw .refused("the signature cannot be checked")
        }
    }

    private static func bits(_ number: [UInt8]) -> Int {
        let significant = number.drop { $0 == 0 }
        guard let first = significant.first else { return 0 }
        return significant.count * 8 - first.leadingZeroBitCount
    }

    /// A token taken apart; nothing of it is believed yet.
    struct Parsed {
        let algorithm: String?
        let keyID: String?
        let isCritical: Bool
        let claims: [String: JSONValue]
        let signed: [UInt8]
        let signature: [UInt8]

        init(_ token: String) throws(Refusal) {
            guard token.utf8.count <= maximumTokenBytes else { throw .malformed("expected at most \(maximumTokenBytes) bytes") }
            let parts = token.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3, let head = Base64URL.bytes(parts[0]), let body = Base64URL.bytes(parts[1]),
                let signature = Base64URL.bytes(parts[2])
            else { throw .malformed("expected three parts in base64url") }
            let header: JSONValue
            let payload: JSONValue
            do {
                header = try JSONValue(parsing: head)
                payload = try JSONValue(parsing: body)
            } catch {
                throw .malformed("expected JSON in the first two parts")
            }
            guard let fields = header.object, let claims = payload.object else {
                throw .malformed("expected objects in the first two parts")
            }
            algorithm = fields["alg"]?.string
            keyID = fields["kid"]?.string
            isCritical = fields["crit"] != nil
            self.claims = claims
            signed = Array("\(parts[0]).\(parts[1])".utf8)
            self.signature = signature
        }
    }
}

/// A public RSA key as issuers publish it.
struct JSONWebKey: Sendable, Hashable {
    var id: String
    /// In base64url.
    var modulus: String
    var exponent: String

    /// The RSA keys for signatures of a key set; others are left out.
    static func set(_ value: JSONValue) -> [JSONWebKey] {
        (value.object?["keys"]?.array ?? []).prefix(100).compactMap { key in
            guard let fields = key.object, fields["kty"]?.string == "RSA", fields["use"]?.string ?? "sig" == "sig",
                fields["alg"]?.string ?? "RS256" == "RS256", let id = fields["kid"]?.string, let n = fields["n"]?.string,
                let e = fields["e"]?.string
            else { return nil }
            return JSONWebKey(id: id, modulus: n, exponent: e)
        }
    }
}

/// Base64 as URLs and JWTs write it.
enum Base64URL {
    static func bytes(_ text: some StringProtocol) -> [UInt8]? {
        var standard = ""
        for character in text.utf8 {
            switch character {
            case UInt8(ascii: "-"): standard.append("+")
            case UInt8(ascii: "_"): standard.append("/")
            case UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "/"): return nil
            default: standard.unicodeScalars.append(Unicode.Scalar(character))
            }
        }
        while standard.utf8.count % 4 != 0 { standard.append("=") }
        return Data(base64Encoded: standard).map { Array($0) }
    }
}
