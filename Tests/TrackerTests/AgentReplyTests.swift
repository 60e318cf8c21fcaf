import Energy
import Testing

@testable import Tracker

@Suite struct AgentReplyTests {
    private let answer = """
        {"ok":true,"host":"builder-1","boot_id":"b","t_us":1788253210123456,"uj":{"powercap/intel-rapl:0":7000000},"cover_uj":9000000,\
        "components_uj":{"cpu":7000000,"dram":"2000000","plasma":1},"quality":"measured","basis":"intel-rapl","bound_low_ppm":900000,\
        "bound_high_ppm":1100000,"p_idle_uw":{"cpu":20000000,"dram":null},"cpu_busy_us":123,"agent_cpu_us":45,"cpus":8,"grid_zone":null,\
        "collector":true,"cpu_time_us":99,"something_new":{"a":[1]}}
        """

    @Test func `an answer gives the meters, the cgroup's CPU time and the agent's own clock`() throws {
        let reply = try AgentReply(line: Array(answer.utf8))
        #expect(reply.host == "builder-1")
        #expect(reply.snapshot.time.microseconds == 1_788_253_210_123_456)
        #expect(reply.snapshot.components == [.cpu: Energy(microjoules: 7_000_000), .dram: Energy(microjoules: 2_000_000)])
        #expect(reply.snapshot.quality == .measured)
        #expect(reply.snapshot.boundRatios.low == 0.9)
        #expect(reply.snapshot.boundRatios.high == 1.1)
        #expect(reply.snapshot.idlePower[.cpu]?.best.watts == 20)
        #expect(reply.snapshot.idlePower[.dram] == nil)
        #expect(reply.snapshot.busy?.count == 123)
        #expect(reply.snapshot.cpus == 8)
        #expect(reply.gridZone == nil)
        #expect(reply.hasCollector)
        #expect(reply.cpuTime?.count == 99)
    }

    @Test func `a refusal keeps its reason`() {
        #expect(throws: AgentReply.Fault.refused("no such op")) { try AgentReply(line: Array(#"{"ok":false,"error":"no such op"}"#.utf8)) }
    }

    @Test(arguments: ["", "{", "[]", "null", #"{"ok":true}"#, #"{"ok":true,"t_us":"soon"}"#, #"{"ok":true,"t_us":1e300}"#, "\u{0}"])
    func `what is no answer is a fault, not a crash`(line: String) {
        #expect(throws: AgentReply.Fault.self) { try AgentReply(line: Array(line.utf8)) }
    }

    @Test func `a question is one line of JSON`() {
        let line = AgentRequest.span(phase: .start, key: "a\nb\"", cgroup: "/wattle-run-1", cgroupDirectory: "/cg/wattle-run-1", pid: 7)
            .line
        #expect(
            String(decoding: line, as: UTF8.self)
                == #"{"cgroup":"/wattle-run-1","cgroup_dir":"/cg/wattle-run-1","key":"a\nb\"","op":"span","phase":"start","pid":7}"# + "\n"
        )
        #expect(String(decoding: AgentRequest.snapshot.line, as: UTF8.self) == #"{"op":"snapshot"}"# + "\n")
    }
}
