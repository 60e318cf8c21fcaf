import ArgumentParser

/// `wattle report`: asks the collector.
struct Report: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the collector what jobs cost, or where a host's energy went.",
        discussion: """
            EXAMPLES
              wattle report job 01j7xk2m4nq8rv5tw9yz3abcde --explain
              wattle report host builder-1 --from 2026-09-01 --to 2026-09-02
              wattle report service opam-repo-ci --group day
              wattle report release pkg:opam/dune@3.17.0 --format markdown
              wattle report sci --per release --release pkg:opam/dune@3.17.0
            """,
        subcommands: [
            ReportJob.self, ReportHost.self, ReportRollUp<ServiceSubject>.self, ReportRollUp<ReleaseSubject>.self,
            ReportRollUp<RepositorySubject>.self, ReportRollUp<PipelineSubject>.self, ReportRollUp<TeamSubject>.self,
            ReportRollUp<PoolSubject>.self, ReportRollUp<ActivitySubject>.self, ReportSCI.self,
        ]
    )
}

enum ReportFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json, csv, markdown
}
