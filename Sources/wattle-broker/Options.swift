import Glibc

/// What was asked on the command line.
struct Options {
    var socket = "/run/wattle/broker.sock"
    var user = "wattle"
    var root = ""
    var allowed = AllowedPath.standard

    static let help = """
        Usage: wattle-broker [--user NAME] [--socket PATH] [--root DIR] [--allow-msr] [--allow-ipmi] [--print-paths]
        Opens sensor files, read-only, for an agent that runs without privileges, and passes it the descriptors.
        Needs to be root. Answers root and one user. Started by systemd it takes the socket that systemd made.
          --user NAME    who may ask (default: wattle); the socket is for this user's group
          --socket PATH  where to listen (default: /run/wattle/broker.sock)
          --allow-msr    also open /dev/cpu/N/msr: whoever may ask can then read every register of the processor, not energy only
          --allow-ipmi   also open /dev/ipmi0, for reading and writing: whoever may ask can then switch this machine off
          --root DIR     open what is asked for below DIR (for tests)
          --print-paths  print what would be opened, and end
        Exit codes: 0 ended by SIGTERM or SIGINT, 1 failed, 2 wrong usage or configuration.
        """

    /// Nil where it has printed what was asked for.
    init?(_ arguments: ArraySlice<String>) throws(Failure) {
        var (prints, rest) = (false, arguments)
        while let name = rest.popFirst() {
            switch name {
            case "--help", "-h":
                print(Self.help)
                return nil
            case "--print-paths": prints = true
            case "--allow-ipmi", "--allow-msr": allowed.append(name == "--allow-msr" ? .msr : .ipmi)
            case "--user", "--socket", "--root":
                guard let value = rest.popFirst(), !value.isEmpty else { throw .usage("expected a value after \(name), found none") }
                if name == "--user" { user = value } else if name == "--socket" { socket = value } else { root = value }
            default: throw .usage("expected an option of wattle-broker --help, found '\(name)'")
            }
        }
        guard prints else { return }
        for path in allowed { print("\(path.pattern)\(path.isWritable ? " (for writing too)" : "")") }
        return nil
    }
}

/// Why the broker ends, with its exit code.
struct Failure: Error {
    let text: String
    var code: Int32 = 1

    static func usage(_ text: String) -> Failure { Failure(text: text, code: 2) }
    static func system(_ what: String, _ number: Int32 = errno) -> Failure {
        Failure(text: "\(what): \(String(cString: strerror(number)))")
    }
}
