import Documents
import Energy
import Foundation
import Store
import TestSupport
import Testing
@testable import Collector

/// Rules from what is known of a span to its service, without a database.
@Suite struct ServicesRulesTests {
    typealias Subject = ServiceRules.Subject

    static func rules(_ yaml: String) throws -> ServiceRules { try ServiceRuleFile(yaml: "from: 2026-09-01\nrules:\n" + yaml).rules }

    static func subject(_ change: (inout Subject) -> Void) -> Subject {
        var subject = Subject()
        change(&subject)
        return subject
    }

    /// What the file says beyond its rules, as an error's text.
    static func fault(_ yaml: String) -> String? {
        do {
            _ = try ServiceRuleFile(yaml: yaml)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func theFirstRuleThatGivesAFieldWinsFieldByField() throws {
        let rules = try Self.rules(
            """
              - {name: a, match: {repository: "github.com/ocaml/*"}, team: infra}
              - {name: b, match: {repository: "*/opam-repository"}, service: opam-ci, team: other, visibility: public}
              - {name: c, match: {}, service: rest, activity: ci, visibility: private}
            """
        )
        let given = rules.given(for: Self.subject { $0.repository = "github.com/ocaml/opam-repository" })
        #expect(given.service == "opam-ci")
        #expect(given.team == "infra")
        #expect(given.activity == "ci")
        #expect(given.visibility == .public)
        #expect(given.rule == "b", "the rule that gave the service")
        #expect(rules.given(for: Subject()) == .init(service: "rest", activity: "ci", visibility: .private, rule: "c"))
    }

    @Test func aRuleWithoutAServiceIsNamedWhereNoneGivesOne() throws {
        let rules = try Self.rules("  - {name: a, match: {host: w*}, team: infra}\n  - {name: b, match: {host: w1}, activity: x}")
        #expect(rules.given(for: Self.subject { $0.host = "w1" }).rule == "a")
        #expect(rules.given(for: Self.subject { $0.host = "v1" }) == .init())
    }

    @Test func allThatIsAskedMustHoldAndAListMeansAnyOf() throws {
        let rules = try Self.rules("  - {name: a, match: {repository: [x/*, y/*], pipeline: main, label: [gpu*, big]}, service: s}")
        func matches(_ change: (inout Subject) -> Void) -> Bool { rules.given(for: Self.subject(change)).service != nil }
        #expect(matches { ($0.repository, $0.pipeline, $0.labels) = ("y/1", "Main", ["linux", "gpu-a"]) })
        #expect(matches { ($0.repository, $0.pipeline, $0.labels) = ("x/1", "main", ["big"]) })
        #expect(!matches { ($0.repository, $0.pipeline, $0.labels) = ("z/1", "main", ["big"]) })
        #expect(!matches { ($0.repository, $0.pipeline) = ("x/1", "main") }, "no label, and one was asked for")
        #expect(!matches { ($0.repository, $0.pipeline, $0.labels) = ("x/1", "other", ["big"]) })
    }

    @Test(arguments: ServiceRule.Field.allCases) func everyFieldCanBeAskedFor(_ field: ServiceRule.Field) throws {
        let rules = try Self.rules("  - {name: a, match: {\(field.rawValue): value*}, service: s}")
        let subject = Subject(
            source: "value",
            host: "value",
            pool: "value",
            cgroup: "value",
            unit: "value.service",
            repository: "value",
            pipeline: "value",
            job: "value",
            op: "value",
            ref: "value",
            labels: ["other", "value"]
        )
        #expect(rules.given(for: subject).service == "s")
        #expect(rules.given(for: Subject()).service == nil, "a star asks for the field to be there")
        #expect(rules.rules[0].asksForWorkload == [.cgroup, .unit, .timer].contains(field))
    }

    @Test func aTimerIsItsService() throws {
        let rules = try Self.rules("  - {name: a, match: {timer: apt-daily.timer}, service: \"{timer} {unit}\"}")
        #expect(rules.given(for: Self.subject { $0.unit = "apt-daily.service" }).service == "apt-daily.timer apt-daily.service")
        #expect(rules.given(for: Self.subject { $0.unit = "apt-daily.timer" }).service == nil)
    }

    @Test func templatesSayWhatTheSpanSaysAndGiveNothingWhereItSaysNothing() throws {
        let rules = try Self.rules(
            """
              - {name: a, match: {}, service: "{repository}", team: "{{{host}}}", release: {purl: "pkg:opam/{job}", relation: test}}
              - {name: b, match: {}, service: "unit {unit}"}
              - {name: c, match: {}, service: unknown}
            """
        )
        let given = rules.given(for: Self.subject { ($0.host, $0.unit, $0.job) = ("w1", "a.service", "dune") })
        #expect(given.service == "unit a.service")
        #expect(given.team == "{w1}")
        #expect(given.release == .array([.object(["purl": .string("pkg:opam/dune"), "relation": .string("test")])]))
        #expect(rules.given(for: Self.subject { $0.repository = "r" }).service == "r")
        #expect(rules.given(for: Subject()).service == "unknown")
    }

    /// Swapping two neighbours changes what is given only where both match.
    @Test func orderMattersOnlyAmongRulesThatMatch() throws {
        var random = RandomSource(seed: 11)
        func pick(_ values: [String]) -> String { values.randomElement(using: &random) ?? "" }
        for _ in 0..<2_000 {
            var rules = ServiceRules()
            for index in 0..<Int.random(in: 2...6, using: &random) {
                var rule = ServiceRule(name: "r\(index)", conditions: [])
                for field in [ServiceRule.Field.host, .job, .repository] where random.chance(0.4) {
                    rule.conditions.append(.init(field: field, patterns: [Pattern(pick(["a*", "*b", "ab", "*", "c"]))]))
                }
                if random.chance(0.6) { rule.service = try ServiceTemplate(pick(["s1", "s2", "{host}"])) }
                if random.chance(0.5) { rule.team = try ServiceTemplate(pick(["t1", "{job}"])) }
                if random.chance(0.5) { rule.visibility = random.chance(0.5) ? .public : .private }
                rules.rules.append(rule)
            }
            let subject = Self.subject {
                $0.host = random.chance(0.8) ? pick(["ab", "a", "b", "c"]) : nil
                $0.job = random.chance(0.8) ? pick(["ab", "a", "b", "c"]) : nil
                $0.repository = random.chance(0.8) ? pick(["ab", "a"]) : nil
            }
            let given = rules.given(for: subject)
            // Those that do not match are as good as not there.
            #expect(ServiceRules(rules: rules.rules.filter { $0.matches(subject) }).given(for: subject) == given)
            let at = Int.random(in: 0..<rules.rules.count - 1, using: &random)
            if !rules.rules[at].matches(subject) || !rules.rules[at + 1].matches(subject) {
                rules.rules.swapAt(at, at + 1)
                #expect(rules.given(for: subject) == given)
            }
            // And an oracle, field by field.
            let matching = rules.rules.filter { $0.matches(subject) }
            #expect(rules.given(for: subject).service == matching.lazy.compactMap { $0.service?.text(for: subject) }.first)
            #expect(rules.given(for: subject).visibility == matching.lazy.compactMap(\.visibility).first)
        }
    }

    @Test func whatSpansPostIsWhatRulesAsk() throws {
        let fields = try JSONValue(
            parsing: Array(
                #"{"repository": "r", "workflow": "w", "labels": ["l", 3], "workload": "/c", "unit": "release", "systemd_unit": "u"}"#.utf8
            )
        ).object
        let subject = Subject(fields: fields ?? [:], source: "s", host: "h")
        #expect(
            subject == Subject(source: "s", host: "h", cgroup: "/c", unit: "u", repository: "r", pipeline: "w", labels: ["l"])
        )
    }

    // MARK: The file

    @Test func theShippedExampleIsValid() throws {
        let path = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let file = try ServiceRuleFile(yaml: try String(contentsOfFile: "\(path)/config/services.example.yaml", encoding: .utf8))
        #expect(file.ruleCount > 3)
        // As it is stored it says the same.
        #expect(try ServiceRuleFile(json: try JSONValue(parsing: Array(try file.document.text.utf8))).rules == file.rules)
    }

    @Test func scalarsStayAsTheyAreWritten() throws {
        let rules = try Self.rules("  - {name: 1, match: {job: 3.10, ref: yes}, service: 007}")
        let given = rules.given(for: Self.subject { ($0.job, $0.ref) = ("3.10", "yes") })
        #expect(given.service == "007")
        #expect(given.rule == "1")
    }

    @Test(arguments: [
        ("rules: []", "services.yaml: the file: expected the key from, found rules"),
        ("from: 2026-09-01", "services.yaml: the file: expected the key rules, found from"),
        ("[]", "services.yaml: the file: expected from, rules as `key: value`, found an array"),
        ("", "services.yaml: the file: expected from, rules as `key: value`, found nothing"),
        ("from: 2026-13-01\nrules: []", "services.yaml: from: expected a day such as 2026-09-01"),
        ("from: 2026-09-01T10:00:00Z\nrules: []", "found the text \"2026-09-01T10:00:00Z\""),
        ("from: 2026-09-01\nrules: 3", "rules: expected a list of rules, found the text \"3\""),
        ("from: 2026-09-01\nroles: []\nrules: []", "expected one of from, rules, found roles"),
        ("from: 2026-09-01\nrules: [{match: {}, service: a}]", "rule 1: expected the key name"),
        ("from: 2026-09-01\nrules: [{name: a, service: a}]", "rule a: expected the key match"),
        (
            "from: 2026-09-01\nrules: [{name: a, match: {}}]",
            "rule a: expected one of service, activity, team, release, visibility, found none"
        ),
        ("from: 2026-09-01\nrules: [{name: a, match: {}, servise: a}]", "rule a: expected one of name, match, service"),
        ("from: 2026-09-01\nrules: [{name: a, match: {repo: x}, service: a}]", "rule a, match: expected one of source, host, pool"),
        ("from: 2026-09-01\nrules: [{name: a, match: {host: []}, service: a}]", "rule a, match, host: expected a pattern"),
        ("from: 2026-09-01\nrules: [{name: a, match: {host: {b: c}}, service: a}]", "rule a, match, host: expected a pattern"),
        ("from: 2026-09-01\nrules: [{name: a, match: {}, service: \"{who}\"}]", "rule a, service: expected in braces one of source, host"),
        ("from: 2026-09-01\nrules: [{name: a, match: {}, service: \"{host\"}]", "rule a, service: expected a } for each {"),
        (
            "from: 2026-09-01\nrules: [{name: a, match: {}, service: [b]}]",
            "rule a, service: expected a text of 1 to 500 bytes, found an array"
        ),
        ("from: 2026-09-01\nrules: [{name: a, match: {}, release: {purl: dune}}]", "rule a, release, purl: expected pkg:TYPE/NAME@VERSION"),
        (
            "from: 2026-09-01\nrules: [{name: a, match: {}, release: {pearl: dune}}]",
            "rule a, release: expected one of purl, relation, found pearl"
        ),
        (
            "from: 2026-09-01\nrules: [{name: a, match: {}, visibility: hidden}]",
            "rule a, visibility: expected public or private, found the text \"hidden\""
        ),
        (
            "from: 2026-09-01\nrules: [{name: a, match: {}, team: b}, {name: a, match: {}, team: b}]",
            "rule a: expected a name of its own, found a second"
        ),
        ("from: [", "services.yaml: expected YAML, found"),
    ])
    func whatIsWrongIsNamedWithItsPlace(yaml: String, message: String) {
        let fault = Self.fault(yaml)
        #expect(fault?.contains(message) == true, "\(fault ?? "no error")")
    }
}
