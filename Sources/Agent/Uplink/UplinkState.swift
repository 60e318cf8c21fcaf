/// How the agent and its collector stand.
enum UplinkState: String, Hashable, Sendable, CaseIterable {
    /// Nothing was exchanged yet.
    case waiting
    /// The last exchange went well.
    case ok
    /// The collector takes the agent's token no more, or not for this. Batches are kept.
    case refused
    /// No answer, or one that means to try again. Batches are kept.
    case failing
    /// The agent has no token yet and asks for one. Batches are kept.
    case enrolling
}
