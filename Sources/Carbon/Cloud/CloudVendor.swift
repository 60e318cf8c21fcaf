/// A cloud whose machines the CCF model knows.
public enum CloudVendor: String, Hashable, Sendable, CaseIterable {
    case aws, gcp, azure

    /// Also `AWS` and ` Azure `.
    public init?(name: String) {
        self.init(rawValue: name.lowercased().filter { $0 != " " })
    }
}
