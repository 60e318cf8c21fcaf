/// A repository as its forge's API lists it: what the jobs there do not say themselves.
public struct ForgeRepository: Sendable, Hashable {
    /// `https://github.com`, `https://gitlab.example.org`.
    public var instance: String
    /// As the forge names it: `ocaml/dune`.
    public var name: String
    /// Nil where the forge did not say.
    public var isPrivate: Bool?

    public init(instance: String, name: String, isPrivate: Bool?) {
        self.instance = instance
        self.name = name
        self.isPrivate = isPrivate
    }
}
