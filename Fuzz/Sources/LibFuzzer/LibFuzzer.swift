import Glibc

/// libFuzzer's own loop, from a main of Swift's.
public enum LibFuzzer {
    /// Tries inputs until its options say to stop, and ends the program.
    public static func run(_ one: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt) -> Never {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(runDriver(&count, &arguments, one))
    }
}

/// In C's convention, which for pointers and integers is Swift's own.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ one: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt
