import Glibc
import ImpactModels
import ManifestFiles
import Tracker

/// Manifests, and the files that they name.
enum ManifestInput {
    private static let limit = 256 << 20

    static func read(_ path: String) async throws -> ModelValue {
        let read = await OwnThread.run { Self.bytes(path) }
        let bytes: [UInt8]
        switch read {
        case .success(let found): bytes = found
        case .failure(let reason): throw Failure.failed("\(path): expected a file of at most \(limit >> 20) MiB, found: \(reason.text)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure.failed("\(path): expected UTF-8") }
        do throws(ModelFault) {
            return try ManifestFile.read(text, name: path)
        } catch {
            throw Failure.failed(error.description)
        }
    }

    private struct Reason: Error {
        let text: String
    }

    private static func bytes(_ path: String) -> Result<[UInt8], Reason> {
        InputFile.read(path, atMost: limit).map { .success($0) } ?? .failure(Reason(text: String(cString: strerror(errno))))
    }

    /// Where a path leads once links and `..` are followed; nil where there is nothing.
    private static func real(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }

    /// Reads what a manifest names: files beside it or in folders there; addresses by their last part in a folder of what was downloaded. A
    /// manifest of somebody else's reads nothing else of this machine, by links neither.
    static func files(beside manifest: String, downloads: String?) -> @Sendable (String) throws(SourceRefusal) -> String {
        let folder = manifest == "-" ? "" : manifest.lastIndex(of: "/").map { String(manifest[...$0]) } ?? ""
        return { name throws(SourceRefusal) in
            var path = name.hasPrefix("/") ? name : folder + name
            let lower = name.lowercased()
            if lower.hasPrefix("http:") || lower.hasPrefix("https:") {
                guard let downloads, let last = name.split(separator: "/").last, last != "..", last != "." else {
                    throw SourceRefusal(
                        expected: "a file beside the manifest",
                        found: "the address \(name)",
                        advice: "nothing is fetched: download it, and name the file here, or its folder with --downloads"
                    )
                }
                path = "\(downloads)/\(last)"
            }
            // What is not there at all is refused below.
            if let file = Self.real(path) {
                let folders = [folder.isEmpty ? "." : folder] + (downloads.map { [$0] } ?? [])
                guard folders.compactMap(Self.real).contains(where: { file.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") }) else {
                    throw SourceRefusal(
                        expected: "a file beside the manifest, or in a folder there",
                        found: name,
                        advice: "copy it there, or name its folder with --downloads"
                    )
                }
                path = file
            }
            let bytes: [UInt8]
            switch Self.bytes(path) {
            case .success(let found): bytes = found
            case .failure(let reason): throw SourceRefusal(expected: "a file of at most \(limit >> 20) MiB at \(path)", found: reason.text)
            }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw SourceRefusal(expected: "UTF-8", found: "other bytes in \(path)")
            }
            return text
        }
    }
}
