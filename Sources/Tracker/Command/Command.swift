/// A program to run with its arguments, byte for byte.
public struct Command: Sendable, Hashable {
    /// The program's name, looked up in PATH as a shell does, then its arguments; no zero bytes within.
    public var arguments: [[UInt8]]
    /// Nil: the caller's.
    public var workingDirectory: String?

    /// Arguments as they came, whatever their encoding.
    public init(rawArguments: [[UInt8]], workingDirectory: String? = nil) {
        self.arguments = rawArguments
        self.workingDirectory = workingDirectory
    }

    public init(_ arguments: [String], workingDirectory: String? = nil) {
        self.init(rawArguments: arguments.map { Array($0.utf8) }, workingDirectory: workingDirectory)
    }

    /// The program's name, for messages.
    public var name: String { arguments.first.map { String(decoding: $0, as: UTF8.self) } ?? "" }
}

/// How a command ended.
public enum CommandExit: Sendable, Hashable {
    case code(Int32)
    case signal(Int32)

    /// What a shell would report: the code, or 128 + the signal's number.
    public var shellCode: Int32 {
        switch self {
        case .code(let code): code
        case .signal(let number): 128 + number
        }
    }

    public var isSuccess: Bool { self == .code(0) }

    public var text: String {
        switch self {
        case .code(let code): "exit \(code)"
        case .signal(let number): "ended by signal \(number)"
        }
    }
}

/// Why a command could not be started.
public struct CommandError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    /// What a shell would return: 127 where there is no such program, else 126.
    public let shellCode: Int32

    init(_ description: String, shellCode: Int32) {
        self.description = description
        self.shellCode = shellCode
    }
}
