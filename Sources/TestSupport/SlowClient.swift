import Foundation

/// A connection that says the beginning of something, and then nothing more.
public final class SlowClient: Sendable {
    struct Unconnected: Error {
        let port: Int
        let errorNumber: Int32
    }

    private let descriptor: Int32

    public init(port: Int, sends text: String) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { throw Unconnected(port: port, errorNumber: errno) }
        _ = text.withCString { send(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
    }

    deinit { close(descriptor) }
}
