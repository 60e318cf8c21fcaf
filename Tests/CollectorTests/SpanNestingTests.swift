import Energy
import Testing

@testable import Store

/// What runs within what, where no cgroup tells it.
@Suite struct SpanNestingTests {
    private static func span(
        _ id: Int64,
        _ from: Double,
        _ to: Double,
        run: String? = "7",
        runner: String? = "r1",
        parent: String? = nil
    ) -> (span: SpanRow, edges: Interval) {
        let row = SpanRow(
            hostID: 1,
            spanID: id,
            jobID: "job\(id)",
            startedAt: at(from),
            finishedAt: at(to),
            queuedAt: nil,
            timeResolution: .zero,
            cpuShare: nil,
            cpus: nil,
            weight: nil,
            cpuTime: nil,
            workload: nil,
            workloadKey: "",
            source: "ci",
            service: nil,
            repository: "github.com/ocaml/dune",
            runner: runner,
            parentJobID: parent,
            runID: run
        )
        return (row, row.interval)
    }

    @Test func aCommandMeasuredWithinAJobIsAPartOfIt() {
        // A job, a step of it and a command of the step; another step after it.
        let parents = SpanNesting.parents(of: [
            Self.span(3, 20, 30), Self.span(1, 0, 100), Self.span(2, 10, 40), Self.span(4, 50, 60),
        ])
        #expect(parents == [2: 1, 3: 2, 4: 1])
    }

    @Test func jobsOfOneRunOnTwoRunnersAreBesideEachOther() {
        #expect(SpanNesting.parents(of: [Self.span(1, 0, 100), Self.span(2, 10, 40, runner: "r2")]) == [:])
        #expect(SpanNesting.parents(of: [Self.span(1, 0, 100), Self.span(2, 10, 40, run: "8")]) == [:])
        #expect(SpanNesting.parents(of: [Self.span(1, 0, 100, runner: nil), Self.span(2, 10, 40, runner: nil)]) == [:])
    }

    @Test func spansThatOverlapOnlyInPartAreBesideEachOther() {
        #expect(SpanNesting.parents(of: [Self.span(1, 0, 10), Self.span(2, 5, 15), Self.span(3, 6, 9)]) == [3: 2])
    }

    @Test func whatASpanSaysCountsAndACircleDoesNot() {
        let said = SpanNesting.parents(of: [Self.span(1, 0, 10, run: nil), Self.span(2, 5, 15, run: nil, parent: "job1")])
        #expect(said == [2: 1])
        let circle = SpanNesting.parents(of: [
            Self.span(1, 0, 10, parent: "job2"), Self.span(2, 0, 10, parent: "job1"), Self.span(3, 0, 10, parent: "job3"),
            Self.span(4, 0, 10, parent: "nobody"),
        ])
        #expect(circle == [:])
    }
}
