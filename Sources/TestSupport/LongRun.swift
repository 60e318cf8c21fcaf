import Glibc

/// How much a test does: a seeded sample in the short run, everything under `ops/test --long`.
public enum LongRun {
    public static let isOn = getenv("WATTLE_TEST_LONG") != nil

    /// `short` rounds, or `long` of them in the long run.
    public static func rounds(short: Int, long: Int) -> Int { isOn ? long : short }
}
