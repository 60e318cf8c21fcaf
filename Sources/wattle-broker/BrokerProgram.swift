import CLinux
import Glibc

/// The path to remove at the end, for the signal handler; written once, before there is one.
nonisolated(unsafe) private var ownSocket: UnsafeMutablePointer<CChar>?

@main
enum BrokerProgram {
    static func main() {
        do throws(Failure) {
            if let options = try Options(CommandLine.arguments.dropFirst()) { try run(options) }
        } catch {
            say(error.text)
            exit(error.code)
        }
    }

    static func say(_ text: String) {
        let line = Array("wattle-broker: \(text)\n".utf8)
        _ = write(2, line, line.count)
    }

    private static func run(_ options: Options) throws(Failure) {
        guard let user = getpwnam(options.user)?.pointee else {
            throw .usage("expected a user, found no '\(options.user)'; create it or name another one with --user")
        }
        var broker = Broker(options: options, user: user.pw_uid)
        var listener = try Listener.inherited() ?? -1
        if listener < 0 {
            listener = try Listener.make(options.socket, group: user.pw_gid)
            ownSocket = strdup(options.socket)
        }
        // A connection, a directory, a file: no more is ever open.
        var files = rlimit(rlim_cur: 16, rlim_max: 16)
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files) == 0, wattle_no_new_privileges() == 0 else {
            throw .system("cannot give up what is not needed")
        }
        // The same whatever the starter had blocked or ignored.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        let end: @convention(c) (Int32) -> Void = { _ in
            if let ownSocket { unlink(ownSocket) }
            _exit(0)
        }
        for number in [SIGTERM, SIGINT] { signal(number, end) }
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 || errno == EINTR || errno == ECONNABORTED else { throw .system("cannot take a connection") }
            broker.serve(connection)
            close(connection)
        }
    }
}
