import CIEvents
import Testing

@Suite("Repository names")
struct RepositoryNameTests {
    @Test(
        "all spellings of a repository are one name",
        arguments: [
            ("ocaml/dune", "https://github.com"), ("https://github.com/ocaml/dune.git", nil), ("git@github.com:ocaml/dune.git", nil),
            ("ssh://git@github.com:22/ocaml/dune", nil), ("github.com/ocaml/dune/", nil),
            ("https://GitHub.com:443/ocaml/dune", "https://other"),
            ("https://user:secret@github.com/ocaml/dune", nil),
        ] as [(String, String?)]
    )
    func allSpellingsAreOneName(text: String, forge: String?) {
        #expect(RepositoryName.normalised(text, forge: forge) == "github.com/ocaml/dune")
    }

    @Test("a name whose forge is not known stays as it is")
    func aNameWithoutForgeStays() { #expect(RepositoryName.normalised("tidepool/opam-mirror", forge: nil) == "tidepool/opam-mirror") }
}
