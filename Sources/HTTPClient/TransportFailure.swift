import CLibCurl

/// What a code of libcurl means to the caller, and what can be done about it.
struct TransportFailure {
    let kind: HTTPError.Kind
    let message: String

    /// - Parameters:
    ///   - detail: libcurl's own words.
    ///   - isEncrypted: the URL's scheme is https.
    ///   - connection: whose settings the advice is about.
    init(_ code: CURLcode, detail: String, isEncrypted: Bool, _ connection: HTTPClient.Connection) {
        var kind = Self.kind(of: code)
        let advice: String?
        switch code {
        case CURLE_PEER_FAILED_VERIFICATION:
            advice =
                if detail.contains("subject name") || detail.contains("does not match") || detail.contains("no alternative") {
                    "the certificate is for another name: use the name in it in the URL, or give the server one for this name"
                } else if let caFile = connection.caFile {
                    "expected a certificate that an authority in \(caFile) has signed; "
                        + "put the certificate of the authority that signed it into that file (ca_file)"
                } else {
                    "expected a certificate from an authority that this system trusts; "
                        + "for a private authority give the file of its certificate as ca_file"
                }
        case CURLE_SSL_CACERT_BADFILE:
            advice = "expected \(connection.caFile ?? "the system's file of authorities") to hold certificates in PEM; check ca_file"
        case CURLE_SSL_CERTPROBLEM:
            advice =
                "expected a certificate and its private key in PEM, without a passphrase, that this user may read and that belong together"
                + "; check client_certificate\(connection.certificateFile.map { " (\($0))" } ?? "")"
                + " and client_key\(connection.keyFile.map { " (\($0))" } ?? "")"
        case CURLE_COULDNT_RESOLVE_PROXY:
            advice = "check the proxy's name (proxy, or http_proxy and https_proxy in the environment)"
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_SSL_CONNECT_ERROR, CURLE_GOT_NOTHING:
            // Since TLS 1.3 a server refuses a client's certificate after the client has finished its handshake.
            if detail.contains("alert") {
                kind = .tls
                advice =
                    connection.certificateFile.map { "the server refuses the certificate in \($0) (client_certificate)" }
                    ?? "does the server ask for a client's certificate? Give one as client_certificate and client_key"
            } else if detail.contains("CONNECT") || detail.contains("from proxy") {
                kind = .connect
                advice = "the proxy refuses to connect there; check proxy, or http_proxy and https_proxy in the environment"
            } else if isEncrypted, connection.certificateFile == nil {
                advice = "the server broke off; if it asks for a client's certificate, give one as client_certificate and client_key"
            } else {
                advice = nil
            }
        default:
            advice = nil
        }
        self.kind = kind
        message = advice.map { "\(detail); \($0)" } ?? detail
    }

    private static func kind(of code: CURLcode) -> HTTPError.Kind {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .resolve
        case CURLE_COULDNT_CONNECT, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING: .connect
        case CURLE_OPERATION_TIMEDOUT: .timeout
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CRL_BADFILE, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_USE_SSL_FAILED, CURLE_SSL_CLIENTCERT, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED:
            .tls
        default: .other
        }
    }
}
