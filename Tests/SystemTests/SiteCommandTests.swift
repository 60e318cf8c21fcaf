import Foundation
import Testing

/// `wattle-collector site`, with the real program.
@Suite(.serialized) struct SiteCommandTests {
    @Test func sitesAreBroughtInListedAndMissedByTheirNames() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                func command(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
                    let run = try await Program.run("wattle-collector", arguments + ["--embedded", collector.database], in: scratch)
                    return (run.code, run.output, run.errors)
                }
                let broken = try scratch.file("broken.yaml", "sites:\n  - site: lyon\n    pue: 0.5\n")
                let refused = try await command("site", "import", broken)
                #expect(refused.code == 2 && refused.errors.contains("broken.yaml, line 3: field pue: expected a number from 1.0 to 4.0"))

                for (name, text) in [("empty.yaml", ""), ("none.yaml", "sites:\n")] {
                    let none = try await command("site", "import", try scratch.file(name, text))
                    #expect(none.code == 2 && none.errors.contains("\(name): expected at least one site"), "\(none)")
                }

                let hosts = try scratch.file("hosts.yaml", "hosts: [{name: bw-01, site: Lyon}]\n")
                let imported = try await command("host", "import", hosts)
                #expect(imported.code == 0 && imported.errors.contains("warning: ") && imported.errors.contains("nobody described Lyon"))
                #expect(try await command("site", "list").output.contains("lyon\tnot described"))
                #expect(try await command("doctor").output.contains("site import sites.csv"))

                let file = try scratch.file("sites.csv", "site,grid_zone,pue,contracts.share,contracts.g_per_kwh\nLyon,FR,1.2,0.5,0\n")
                let dry = try await command("site", "import", file, "--dry-run")
                #expect(dry.code == 0 && dry.output.contains("dry run: nothing was changed"), "\(dry)")
                let done = try await command("site", "import", file, "--format", "json")
                #expect(done.code == 0 && done.output.contains(#""field":"grid_zone""#), "\(done)")
                #expect(try await command("site", "import", file).output.contains("nothing to change"))
                #expect(try await command("site", "list").output.contains("lyon\talways\tFR\t1.2\t-\t50.0 %\t-\t1"))
                #expect(try await command("host", "import", hosts).errors == "")
                #expect(try await command("audit").output.contains("site.import"))
            }
        }
    }
}
