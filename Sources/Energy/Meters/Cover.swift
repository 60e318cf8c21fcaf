/// The meters of a host that do not overlap and whose sum is its energy.
public enum Cover {
    /// The names of the meters in the cover; `Containment` has the rules, and says of each meter why.
    public static func choose(among meters: [MeterPlace]) -> Set<String> { Containment(meters).cover }
}
