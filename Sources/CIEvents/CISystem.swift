public import Energy

/// A kind of webhook: how its senders prove themselves and what their events mean. Pure: no clock, no store, no network.
///
/// A new one is one file and one row in `CISystems.all`.
public protocol CISystem: Sendable {
    /// As in `/v1/hooks/{kind}/{source}` and `wattle-collector source add KIND NAME`.
    static var kind: String { get }

    /// Checks the raw bytes against each of the source's live secrets, in constant time and before anything is parsed.
    static func verify(_ delivery: Delivery, secrets: [String], now: Timestamp) throws(RefusedDelivery)

    /// What stays the same when the same event is delivered again.
    static func eventKey(_ delivery: Delivery) -> String

    /// The event's name, for people: `workflow_job completed`.
    static func eventName(_ delivery: Delivery) -> String

    /// The headers worth keeping beside the raw event; never one that holds a secret or a signature.
    static var keptHeaders: [String] { get }

    /// What a verified delivery says.
    static func read(_ delivery: Delivery) throws(UnreadableDelivery) -> EventReading

    /// What it says of its repository; nil where it says nothing.
    static func repository(_ delivery: Delivery) -> RepositoryNotice?

    /// A secret as this system takes it.
    static func newSecret() -> String

    /// Where to paste the URL and the secret, line by line.
    static func instructions(url: String, secret: String) -> [String]
}

extension CISystem {
    public static func repository(_ delivery: Delivery) -> RepositoryNotice? { nil }
}
