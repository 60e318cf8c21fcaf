import FoundationEssentials
import Meters
import Testing
import Wire

@testable import Agent

struct WorkloadTestsOfIdentity {
    private static let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    private static let uid = "8dbc5577-d0e2-4706-8787-57d52c03ddf2"

    struct Case: Sendable, CustomTestStringConvertible {
        var path: String
        var unit = ""
        var container = ""
        var pod = ""
        var isWhole = true
        var testDescription: String { path }
    }

    private static let cases = [
        Case(
            path: "/system.slice/actions.runner.ocaml-dune.bremusa.service",
            unit: "actions.runner.ocaml-dune.bremusa.service"
        ),
        Case(path: "/system.slice/system-my\\x2dapp.slice/my-app@1.service", unit: "my-app@1.service"),
        Case(path: "/system.slice/system-my\\x2dapp.slice", unit: "system-my-app.slice", isWhole: false),
        Case(path: "/user.slice/user-1000.slice/session-3.scope", unit: "session-3.scope"),
        Case(path: "/system.slice/_tasks.service", unit: "tasks.service"),
        Case(path: "/system.slice/docker-\(id).scope", container: id),
        Case(path: "/docker/\(id)", container: id),
        Case(path: "/docker/\(id)/init.scope", unit: "init.scope"),
        Case(path: "/docker/\(id)/docker/\(String(id.reversed()))", container: String(id.reversed())),
        Case(path: "/machine.slice/libpod-\(id).scope", container: id),
        Case(path: "/machine.slice/libpod-\(id).scope/container", isWhole: false),
        Case(path: "/machine.slice/libpod-conmon-\(id).scope", unit: "libpod-conmon-\(id).scope"),
        Case(
            path: "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8dbc5577_d0e2_4706_8787_57d52c03ddf2.slice",
            unit: "kubepods-besteffort-pod8dbc5577_d0e2_4706_8787_57d52c03ddf2.slice",
            pod: uid
        ),
        Case(
            path: "/kubepods.slice/kubepods-pod8dbc5577_d0e2_4706_8787_57d52c03ddf2.slice/cri-containerd-\(id).scope",
            container: id,
            pod: uid
        ),
        Case(path: "/kubepods/burstable/pod\(uid)/\(id)", container: id, pod: uid),
        Case(path: "/kubepods/burstable/pod\(uid)", pod: uid),
        Case(path: "/kubepods/besteffort/pod\(id.prefix(32))/crio-\(id)", container: id, pod: String(id.prefix(32))),
        Case(path: "/system.slice:cri-containerd:\(id)", container: id),
        Case(path: "/wattle/run-3f2a", isWhole: false),
        Case(path: "/kubepods/podium", isWhole: false),
        Case(path: "/docker/\(id.dropLast())", isWhole: false),
        Case(path: "/", isWhole: false),
    ]

    @Test(arguments: cases)
    func aPathTellsWhatItIs(_ expected: Case) {
        let identity = WorkloadIdentity(cgroup: expected.path)
        #expect(identity.unit == expected.unit)
        #expect(identity.containerID == expected.container)
        #expect(identity.podUID == expected.pod)
        #expect(identity.isWhole == expected.isWhole)
    }

    private func write(_ text: String, to path: String) throws {
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    @Test func labelsThatNameAJobAreReadAndSecretsAreNot() throws {
        let root = FileManager.default.temporaryDirectory.path + "/wattle-identity-\(UInt64.random(in: 0 ... .max))"
        defer { do { try FileManager.default.removeItem(atPath: root) } catch { print("left behind: \(root)") } }
        let docker = """
            {"ID": "\(Self.id)", "Config": {"Hostname": "h", "Env": ["CI_JOB_TOKEN=secret"], "Labels": {
            "com.gitlab.gitlab-runner.job.id": "4711", "org.opencontainers.image.source": "https://example.org/x",
            "maintainer": "a@example.org", "my.token": "secret"}}}
            """
        try write(docker, to: "\(root)/var/lib/docker/containers/\(Self.id)/config.v2.json")
        let other = String(Self.id.reversed())
        try write(
            #"{"process": {"env": ["T=secret"]}, "annotations": {"io.kubernetes.pod.name": "runner-1", "io.kubernetes.pod.namespace": "ci"}}"#,
            to: "\(root)/var/lib/containers/storage/overlay-containers/\(other)/userdata/config.json"
        )
        try FileManager.default.createDirectory(
            atPath: "\(root)/var/log/pods/ci_runner-abc_\(Self.uid)",
            withIntermediateDirectories: true
        )
        let files = IdentityFiles(root: root)
        let answers = files.answers(to: [
            IdentityQuestion(ref: 1, containerID: Self.id, podUID: Self.uid),
            IdentityQuestion(ref: 2, containerID: other, podUID: "unknown"),
            IdentityQuestion(ref: 3, containerID: String(repeating: "0", count: 64), podUID: ""),
        ])
        #expect(
            answers[0].labels == ["com.gitlab.gitlab-runner.job.id": "4711", "org.opencontainers.image.source": "https://example.org/x"]
        )
        #expect(answers[0].pod == "ci/runner-abc")
        #expect(answers[1].pod == "ci/runner-1")
        #expect(answers[2] == IdentityAnswer(ref: 3))
        #expect(!"\(answers)".contains("secret"))
    }

    @Test func aContainerIsAskedForOnceAndTheAnswerTravels() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/docker", 5)
        try cgroups.set("/docker/\(Self.id)", 5)
        var workloads = Workloads(hierarchies: [cgroups.hierarchy], cpus: 1)
        workloads.takeEvents(at: .at(0))
        try cgroups.set("/docker/\(Self.id)", 50)
        workloads.read(at: .at(1))
        let questions = workloads.unidentified()
        #expect(questions.map(\.containerID) == [Self.id])
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        var answer = IdentityAnswer(ref: questions.first?.ref ?? 0)
        answer.labels = ["com.gitlab.gitlab-runner.job.id": "7"]
        workloads.identify([answer])
        #expect(workloads.unidentified().isEmpty)
        let told = gathered.take(&workloads).workloads
        #expect(told.first?.labels == answer.labels)
        #expect(gathered.changes.values.first?.containerID == Self.id)
    }
}
