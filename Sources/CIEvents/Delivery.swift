public import Energy

/// A webhook as it came in: nothing of it is believed before `CISystem.verify`.
public struct Delivery: Sendable {
    /// By lower-case name; of several of one name the last.
    public var headers: [String: String]
    /// The raw body, which is what senders sign.
    public var body: [UInt8]
    public var receivedAt: Timestamp

    public init(headers: [String: String], body: [UInt8], receivedAt: Timestamp) {
        self.headers = headers
        self.body = body
        self.receivedAt = receivedAt
    }
}

/// Why a delivery is not believed. Never holds a secret or a signature.
public struct RefusedDelivery: Error, Equatable, CustomStringConvertible {
    public enum Cause: String, Sendable {
        /// No signature, token or digest where one is expected.
        case unsigned
        /// None of the source's live secrets made this signature.
        case wrongSignature
        /// The signed time is too far from now: perhaps a replay.
        case outsideReplayWindow
    }

    public let cause: Cause
    /// What was expected, what was found, what to do.
    public let description: String

    public init(_ cause: Cause, _ description: String) {
        self.cause = cause
        self.description = description
    }
}

/// A verified delivery that cannot be read: what was expected and what was found.
public struct UnreadableDelivery: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
