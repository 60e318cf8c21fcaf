import Energy
import FoundationEssentials
import Glibc
import Testing

@testable import Tracker

struct JobEnvironmentTests {
    private let github = [
        "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "ocaml/dune", "GITHUB_RUN_ID": "17890000042",
        "GITHUB_RUN_ATTEMPT": "2", "GITHUB_JOB": "build", "GITHUB_WORKFLOW": "opam-ci", "GITHUB_SHA": "9f2c1e0",
        "GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "push", "RUNNER_NAME": "bremusa-1",
    ]
    private let gitlab = [
        "GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.example.org", "CI_JOB_ID": "880001", "CI_PIPELINE_ID": "5001",
        "CI_PROJECT_PATH": "infra/opam", "CI_RUNNER_ID": "12", "CI_RUNNER_DESCRIPTION": "arm builder", "CI_JOB_NAME": "build:debian-12",
        "CI_COMMIT_SHA": "9f2c1e0", "CI_COMMIT_REF_NAME": "main", "CI_JOB_STARTED_AT": "2026-09-01T09:00:10Z",
    ]

    @Test func aHookOfGitHubsKnowsTheRunAndTheRunnerButNotTheJobsId() throws {
        let job = try #require(JobEnvironment { github[$0] })
        #expect(job.system == .github)
        #expect(job.repository == "github.com/ocaml/dune")
        #expect((job.runID, job.attempt, job.runner) == ("17890000042", 2, "bremusa-1"))
        #expect(job.jobID == nil)
        #expect(job.spanID(startedMicroseconds: 1_788_253_210_000_000) == "run/17890000042/bremusa-1/1788253210000000")
    }

    @Test func aHookOfGitLabsHasTheWebhooksOwnId() throws {
        let job = try #require(JobEnvironment { gitlab[$0] })
        #expect(job.system == .gitlab)
        #expect(job.spanID(startedMicroseconds: 1) == "880001")
        #expect((job.instance, job.attempt, job.runID) == ("https://gitlab.example.org", 1, "5001"))
        #expect(job.repository == "gitlab.example.org/infra/opam")
        #expect(job.runner == "arm builder")
    }

    @Test func aPullRequestsMergeIsNobodysCommit() throws {
        let more = ["GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_HEAD_REF": "feature", "GITHUB_REF_NAME": "7/merge"]
        let job = try #require(JobEnvironment { more[$0] ?? github[$0] })
        #expect(job.commit == nil)
        #expect(job.ref == "feature")
    }

    @Test func withoutAJobThereIsNone() {
        #expect(JobEnvironment { _ in nil } == nil)
        #expect(JobEnvironment(.github) { gitlab[$0] } == nil)
        // What many shells set is no job.
        #expect(JobEnvironment { ["CI": "true", "GITHUB_SERVER_URL": "https://github.com"][$0] } == nil)
    }

    @Test func eachJobOnAMachineHasItsOwnName() throws {
        let first = try #require(JobEnvironment { github[$0] })
        for change in ["GITHUB_RUN_ATTEMPT": "3", "RUNNER_NAME": "bremusa-2", "GITHUB_JOB": "test", "GITHUB_RUN_ID": "2"] {
            let other = try #require(JobEnvironment { $0 == change.key ? change.value : github[$0] })
            #expect(other.name != first.name)
        }
    }

    @Test func aProcessesNameMayHoldAnything() {
        #expect(JobProcess.nameAndParent("12 (Runner.Worker) S 7 12 12")?.parent == 7)
        let odd = JobProcess.nameAndParent("12 (a) R 1 (b)) S 9 1")
        #expect(odd?.name == "a) R 1 (b)")
        #expect(odd?.parent == 9)
        #expect(JobProcess.nameAndParent("") == nil)
    }

    /// A real cgroup where this user may make one: the process is moved in, counts there, and goes home.
    @Test func aJobThatRunsAlreadyIsMovedIntoItsOwnCgroupAndBack() async throws {
        let child = try Sleeper()
        defer { child.stop() }
        guard let cgroup = JobCgroup.make(for: child.pid, name: "test-\(UInt32.random(in: 0 ... .max))") else {
            print("skipped: no cgroup may be made here")
            return
        }
        let inside = SmallFile.read("/proc/\(child.pid)/cgroup") ?? ""
        #expect(inside.contains(cgroup.path), "\(inside)")
        #expect(cgroup.cpuTime() != nil)
        #expect(JobCgroup(path: cgroup.path, directory: cgroup.directory) == cgroup)
        #expect(cgroup.end(child.pid))
        #expect(access(cgroup.directory, F_OK) != 0)
        #expect(SmallFile.read("/proc/\(child.pid)/cgroup")?.contains("wattle-job-") == false)
    }

    @Test func onlyACgroupThatWasMadeForAJobIsEverRemoved() {
        #expect(JobCgroup(path: "/system.slice", directory: "/sys/fs/cgroup/system.slice") == nil)
        #expect(JobCgroup(path: "/a/wattle-job-1", directory: "/sys/fs/cgroup/a/wattle-job-1") != nil)
    }

    /// A process that does nothing, ended by its own id.
    private final class Sleeper {
        let pid: pid_t

        init() throws {
            var pid = pid_t()
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
            defer { for argument in arguments { free(argument) } }
            let failure = posix_spawnp(&pid, "sleep", nil, nil, &arguments, environ)
            guard failure == 0 else { throw TemporaryDirectory.Failure(errno: failure) }
            self.pid = pid
        }

        func stop() {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
    }
}
