import Foundation

/// Two authorities and what they signed, made by openssl in a directory that goes with the object.
final class Certificates: Sendable {
    let directory: String

    var authority: String { directory + "/ca.pem" }
    var strangeAuthority: String { directory + "/strange.pem" }

    static let isPossible = ["/usr/bin/openssl", "/bin/openssl"].contains { FileManager.default.isExecutableFile(atPath: $0) }

    init() throws {
        directory = FileManager.default.temporaryDirectory.path + "/wattle-tls-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for name in ["ca", "strange"] {
            try openssl(
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=\(name)",
                "-keyout",
                "\(name).key",
                "-out",
                "\(name).pem"
            )
        }
        try sign("server", by: "ca", alternativeName: "IP:127.0.0.1,DNS:localhost")
        try sign("elsewhere", by: "ca", alternativeName: "DNS:elsewhere.example")
        try sign("worker", by: "ca", alternativeName: "DNS:worker")
        try sign("stranger", by: "strange", alternativeName: "DNS:stranger")
        try openssl("ec", "-in", "worker.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: directory) } catch { print("left behind: \(directory): \(error)") }
    }

    func certificate(_ name: String) -> String { "\(directory)/\(name).pem" }
    func key(_ name: String) -> String { "\(directory)/\(name).key" }

    private func sign(_ name: String, by authority: String, alternativeName: String) throws {
        try Data("subjectAltName=\(alternativeName)\n".utf8).write(to: URL(filePath: "\(directory)/\(name).ext"))
        try openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=\(name)",
            "-keyout",
            "\(name).key",
            "-out",
            "\(name).csr"
        )
        try openssl(
            "x509",
            "-req",
            "-in",
            "\(name).csr",
            "-CA",
            "\(authority).pem",
            "-CAkey",
            "\(authority).key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "\(name).ext",
            "-out",
            "\(name).pem"
        )
    }

    private func openssl(_ arguments: String...) throws {
        let process = Process()
        let errors = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = URL(filePath: directory)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Peer.Failure(description: "openssl \(arguments.joined(separator: " ")): \(text)")
        }
    }
}
