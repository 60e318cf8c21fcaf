/// The version of this software, of all its programs: what accounts and statements say made them.
public enum SoftwareVersion {
    /// Semantic version of the release that this is, or comes before.
    public static let current = "0.1.0"
}
