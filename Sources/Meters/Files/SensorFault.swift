import Glibc

/// Why a sensor's file gave no value.
public struct SensorFault: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// A system call failed with this `errno`.
        case system(Int32)
        /// The file was read but does not hold what it should; the text says what was found.
        case malformed(expected: String, found: String)
        /// This process may not open the file and the broker did not open it either; the text says why.
        case notPermitted(reason: String)
    }

    public let path: String
    public let kind: Kind

    public init(path: String, kind: Kind) {
        self.path = path
        self.kind = kind
    }

    public init(path: String, errno number: Int32) { self.init(path: path, kind: .system(number)) }

    /// The `errno` of a failed system call; nil where the content is at fault.
    public var number: Int32? {
        switch kind {
        case .system(let number): number
        case .malformed: nil
        case .notPermitted: EACCES
        }
    }

    /// The file, or the thing behind it, is gone for good: a removed cgroup, an unplugged device.
    public var isVanished: Bool { number == ENOENT || number == ENODEV }

    public var description: String {
        switch kind {
        case .system(let number): "\(path): \(SensorFault.text(of: number))"
        case .malformed(let expected, let found): "\(path): expected \(expected), found \(found)"
        case .notPermitted(let reason): "\(path): \(SensorFault.text(of: EACCES)), and \(reason)"
        }
    }

    /// What to do about it, for people; nil where there is nothing general to say.
    public var remedy: String? {
        switch number {
        case EACCES, EPERM: "start wattle-broker.service or run the agent as root; the kernel gives energy counters to root only"
        case EINVAL, ENODATA, EIO: "the kernel offers the counter but the processor or the hypervisor does not; nothing to be done here"
        default: nil
        }
    }

    static func text(of number: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
