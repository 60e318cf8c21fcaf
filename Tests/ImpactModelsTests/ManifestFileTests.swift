import ImpactModels
import ManifestFiles
import Testing

/// What is no YAML, or not what manifests are, is refused with its line.
struct ManifestFileTests {
    private func fault(_ yaml: String) -> String {
        do throws(ModelFault) {
            return "read: \(try ManifestFile.read(yaml, name: "m.yaml"))"
        } catch {
            return "\(error)"
        }
    }

    @Test func faultsNameTheLine() {
        #expect(fault("a: 1\nb: [1, 2\nc: 3").contains("m.yaml, line"))
        #expect(fault("a: 1\nb:\n  c: 2\n  c: 3").contains("line 4") && fault("a: 1\nb:\n  c: 2\n  c: 3").contains("c again"))
        #expect(fault("a: *nobody").contains("undefined alias") || fault("a: *nobody").contains("*nobody"))
        #expect(fault("a: 1\n---\nb: 2").contains("a second one"))
        #expect(fault("? [1]\n: 2").contains("a text as key"))
        #expect(fault("").contains("an empty file"))
        #expect(fault("# only a comment\n").contains("an empty file"))
        #expect(fault(String(repeating: "[", count: 500) + String(repeating: "]", count: 500)).contains("within one another"))
        #expect(fault("a: \u{1}").contains("m.yaml, line 1"))
    }

    @Test func whatStandsInQuotesIsText() throws {
        let read = try ManifestFile.read("a: '1'\nb: \"true\"\nc: |\n  x\n  y\nd: >-\n  p\n  q\ne: ~\nf: !!str 5", name: "m").map
        #expect(read?["a"] == .text("1"))
        #expect(read?["b"] == .text("true"))
        #expect(read?["c"] == .text("x\ny\n"))
        #expect(read?["d"] == .text("p q"))
        #expect(read?["e"] == .null)
        #expect(read?.keys == ["a", "b", "c", "d", "e", "f"])
    }

    @Test func anAnchorStandsForItsValueWhereverItIsNamed() throws {
        let read = try ManifestFile.read("a: &x [1, {b: 2}]\nc: *x\nd: {e: *x}", name: "m").map
        #expect(read?["c"] == read?["a"])
        #expect(read?["d"]?.map?["e"] == read?["a"])
        // Within itself an anchor is not known yet.
        #expect(fault("a: &x [*x]").contains("m.yaml, line 1"))
    }
}
