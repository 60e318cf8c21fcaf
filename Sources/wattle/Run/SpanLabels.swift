import ArgumentParser
import Energy
import Tracker

/// What a span says about its work.
struct SpanLabels: ParsableArguments {
    @Option(help: ArgumentHelp("The service that the work is for.", valueName: "name"))
    var service: String?

    @Option(help: ArgumentHelp("The job's name.", valueName: "name"))
    var job: String?

    @Option(help: ArgumentHelp("A package version that is built or tested, by its purl; may be given several times.", valueName: "purl"))
    var release: [String] = []

    @Option(help: ArgumentHelp("What kind of work: release-test, deploy...", valueName: "name"))
    var activity: String?

    @Option(help: ArgumentHelp("How many units of work are done: packages, updates, requests.", valueName: "n"))
    var units: Double?

    @Option(help: ArgumentHelp("What one unit is.", valueName: "name"))
    var unit: String?

    @Option(help: ArgumentHelp("The repository, as github.com/ocaml/dune.", valueName: "name"))
    var repository: String?

    @Option(help: ArgumentHelp("The commit.", valueName: "hash"))
    var commit: String?

    @Option(name: .customLong("cpu-share"), help: ArgumentHelp("Part of the machine's CPU that the work reserves, 0 to 1.", valueName: "x"))
    var cpuShare: Double?

    @Option(help: ArgumentHelp("CPUs that the work reserves.", valueName: "n"))
    var cpus: Double?

    @Option(help: ArgumentHelp("public or private.", valueName: "who"))
    var visibility: String?

    func validate() throws {
        if let cpuShare, !(0...1).contains(cpuShare) { throw ValidationError("--cpu-share: expected 0 to 1, found \(cpuShare)") }
        if let cpus, !(cpus > 0 && cpus <= 1_000_000) { throw ValidationError("--cpus: expected a number above 0, found \(cpus)") }
        if let units, !(units >= 0 && units.isFinite) { throw ValidationError("--units: expected a number from 0 on, found \(units)") }
        if let visibility, !["public", "private"].contains(visibility) {
            throw ValidationError("--visibility: expected public or private, found \(visibility)")
        }
        for purl in release where !purl.hasPrefix("pkg:") {
            throw ValidationError("--release: expected a purl such as pkg:opam/dune@3.17.0, found \(purl)")
        }
    }

    func span(id: String, startedAt: Timestamp) -> SpanPost {
        var span = SpanPost(id: id, startedAt: startedAt)
        span.service = service
        span.job = job
        span.release = release.isEmpty ? nil : release.map { SpanPost.Release(purl: $0) }
        span.activity = activity
        span.units = units
        span.unit = unit
        span.repository = repository
        span.commit = commit
        span.cpuShare = cpuShare
        span.cpus = cpus
        span.visibility = visibility
        return span
    }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}
