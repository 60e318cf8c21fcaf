import FoundationEssentials
import Meters
import Testing

@testable import Agent

struct RunnerFilesTests {
    private func found(_ files: [String: String], hostName: String = "builder-1", directories: [String] = []) throws -> [RunnerRegistration]
    {
        let host = try FixtureHost()
        for (path, text) in files { try host.write(path, text) }
        return RunnerFiles(root: host.root, hostName: hostName, directories: directories).registrations()
    }

    private let github =
        "\u{FEFF}" + #"{"agentId": 7, "agentName": "bremusa-1", "poolId": 1, "poolName": "Default", "#
        + #""serverUrl": "https://pipelines.actions.githubusercontent.com/abc", "gitHubUrl": "https://GitHub.com/ocaml-dune/", "workFolder": "_work"}"#

    @Test func gitHubsRunnersAreFoundBelowEveryHome() throws {
        let list = try found([
            "/home/ci/actions-runner/.runner": github,
            "/opt/actions-runner-2/.runner": github.replacing("bremusa-1", with: "bremusa-2").replacing("ocaml-dune/", with: "ocaml/dune"),
        ])
        #expect(list.map(\.name) == ["bremusa-1", "bremusa-2"])
        #expect(list.map(\.instance) == ["github.com", "github.com"])
        #expect(list.map(\.scope) == ["ocaml-dune", "ocaml/dune"])
        #expect(list.map(\.concurrent) == [1, 1])
    }

    @Test func aConfiguredDirectoryIsLookedIntoToo() throws {
        let files = ["/data/ci/blue/.runner": github]
        #expect(try found(files).isEmpty)
        #expect(try found(files, directories: ["/data/ci/*"]).map(\.name) == ["bremusa-1"])
    }

    @Test func gitLabsRunnersShareTheWholesLimitAndKeepTheirTokens() throws {
        let toml = """
            concurrent = 4 # all of them
            check_interval = 0
            [session_server]
              name = "not a runner"
            [[runners]]
              name = "arm \\"one\\""
              url = "https://glci@GitLab.Example.org:8443/ci"
              id = 12
              token = "glrt-SECRET"
              executor = "shell"
              limit = 2
              [runners.docker]
                name = "no runner either"
            [[runners]]
              name = 'two'
              url = "https://gitlab.com/"
              token = "glrt-SECRET"
            """
        let list = try found(["/etc/gitlab-runner/config.toml": toml])
        #expect(list.map(\.name) == ["two", "arm \"one\""])
        #expect(list.map(\.instance) == ["gitlab.com", "gitlab.example.org:8443"])
        #expect(list.map(\.concurrent) == [4, 2])
        #expect(!"\(list)".contains("SECRET"))
        #expect(!"\(list)".contains("glci"))
    }

    @Test func buildkitesNamesAreThoseThatItsAgentsWillHave() throws {
        let list = try found(
            ["/etc/buildkite-agent/buildkite-agent.cfg": "token=\"SECRET\"\nname=\"%hostname-%spawn\"\nspawn=3\n"],
            hostName: "b9"
        )
        #expect(list.map(\.name) == ["b9-1", "b9-2", "b9-3"])
        #expect(list.map(\.instance) == ["buildkite.com", "buildkite.com", "buildkite.com"])
        // A name that is drawn at each start is nobody's.
        #expect(try found(["/etc/buildkite-agent/buildkite-agent.cfg": "name=\"ci-%random\"\n"]).isEmpty)
    }

    @Test func giteasRunnerIsToldFromGitHubs() throws {
        let text =
            #"{"WARNING": "do not edit", "id": 3, "uuid": "u", "name": "opam-x86", "token": "SECRET", "address": "https://git.example.org", "labels": []}"#
        let list = try found(["/var/lib/act_runner/.runner": text])
        #expect(list == [RunnerRegistration(name: "opam-x86", instance: "git.example.org", kind: .gitea)])
    }

    @Test func whatIsNoRegistrationIsPassedOver() throws {
        let long = String(repeating: "x", count: 300)
        let list = try found([
            "/home/a/actions-runner/.runner": "{",
            "/home/b/actions-runner/.runner": "[]",
            "/home/c/actions-runner/.runner": #"{"agentName": "", "gitHubUrl": "https://github.com/o"}"#,
            "/home/d/actions-runner/.runner": #"{"agentName": "\#(long)", "gitHubUrl": "https://github.com/o"}"#,
            "/home/e/actions-runner/.runner/x": "a directory",
            "/home/f/.actions-runner/.runner": github,
            "/etc/gitlab-runner/config.toml": "[[runners]]\nname = [\"x\"]\n= 3\n[[runners]]",
        ])
        #expect(list.isEmpty)
    }

    @Test func whatRootFoundIsTakenByAnAgentThatIsNotRoot() throws {
        let host = try FixtureHost()
        let one = RunnerRegistration(name: "deep", instance: "gitlab.com", kind: .gitlab, concurrent: 2)
        try host.write(RunnerFiles.listOfRoot, String(decoding: try RunnerRegistration.encoded([one]), as: UTF8.self))
        let files = RunnerFiles(root: host.root, hostName: "h")
        #expect(files.registrations() == [one])
        #expect(files.registrations(withListOfRoot: false).isEmpty)
    }

    @Test func aMachineHasTheNamesThatItsOwnFilesGiveIt() throws {
        let host = try FixtureHost()
        try host.write("/proc/sys/kernel/hostname", "builder-1\n")
        try host.write("/etc/hostname", "builder-1\n")
        try host.write(
            "/etc/hosts",
            "127.0.0.1 localhost localhost.localdomain\n10.0.0.7 builder-1.ci.example.org builder-1 # self\n10.0.0.8 other.example.org other\n"
        )
        try host.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        let identity = MachineIdentity(roots: host.roots)
        #expect(identity.names == ["builder-1", "builder-1.ci.example.org"])
        // sha256sum of "wattle:0123456789abcdef0123456789abcdef"
        #expect(identity.machineIDSHA256 == "6a654cf528ff14f2d2a8cca22b152f7675e4959dca58d263b08bcdc1af37e9d5")
        #expect(MachineIdentity.hash("uninitialized") == nil)
    }

    @Test(arguments: [0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 1_000])
    func theHashIsSHA256(length: Int) {
        let known = [
            0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            1: "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
            3: "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0",
            55: "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318",
            56: "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a",
            63: "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34",
            64: "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb",
            65: "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0",
            119: "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb",
            120: "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c",
            1000: "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3",
        ]
        #expect(SHA256.hex([UInt8](repeating: UInt8(ascii: "a"), count: length)) == known[length])
    }
}
