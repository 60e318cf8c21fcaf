import Glibc
@testable import Postgres
import Testing

@Suite("As an ordinary user")
struct OrdinaryUserTests {
    /// Runs this very test program again as `nobody`, with the cluster tests only.
    @Test("The embedded cluster's tests pass", .enabled(if: geteuid() == 0, "needs root, to become another user"))
    func embeddedCluster() async throws {
        let nobody = try #require(ServerAccount.named("nobody"))
        let pattern = try #require(strdup("/tmp/wattle-program-XXXXXX"))
        defer { free(pattern) }
        // A copy, because the build folder may lie where that user cannot go.
        let folder = String(cString: try #require(mkdtemp(pattern)))
        chmod(folder, 0o755)
        let program = folder + "/tests"
        let copied = try await blocking { try ChildProcess.run("cp", ["/proc/\(getpid())/exe", program], as: nil).end }
        #expect(copied == .exit(0))
        chmod(program, 0o755)
        let (end, output) = try await blocking {
            try ChildProcess.run(program, ["--testing-library", "swift-testing", "--filter", "EmbeddedClusterTests"], as: nobody)
        }
        #expect(end == .exit(0), "\(output.suffix(4000))")
        #expect(output.contains("lifeCycle") || output.contains("It is made, stops"), "the tests were there to run: \(output.suffix(1000))")
        try ClusterFiles.removeTree(folder)
    }
}
