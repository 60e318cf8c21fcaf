extension HTTPClient {
    /// How servers are reached and trusted: every connection of a client is made alike.
    ///
    /// Files are read when a connection is made, so a renewed certificate needs no restart.
    public struct Connection: Hashable, Sendable {
        /// PEM file of the certificate authorities that are trusted *instead of* the system's; nil for the system's.
        public var caFile: String?
        /// PEM file with the certificate, and its chain, that this side shows to servers that ask for one.
        public var certificateFile: String?
        /// PEM file with the certificate's private key, without a passphrase; nil where `certificateFile` holds it too.
        public var keyFile: String?
        /// `[http|https|socks5h]://[user:password@]host[:port]`, used for every request whatever the environment says; the empty text
        /// for no proxy at all; nil for what `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say, as with `curl`.
        public var proxy: String?

        public init(caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil, proxy: String? = nil) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.proxy = proxy
        }
    }
}
