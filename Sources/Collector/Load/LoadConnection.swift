import NIOCore
import NIOPosix

/// One kept-open connection over which whole requests go that were made before; of an answer only what counts is read.
struct LoadConnection {
    struct Answer {
        let status: Int
        let retryAfter: Int?
        let body: String
    }

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var received = ByteBuffer()

    static func with<Value: Sendable>(
        host: String,
        port: Int,
        _ body: @Sendable (inout LoadConnection) async throws -> Value
    ) async throws -> Value {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var connection = LoadConnection(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&connection)
        }
    }

    private init(
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    mutating func exchange(_ request: ByteBuffer) async throws -> Answer {
        try await outbound.write(request)
        while true {
            if let answer = try takeAnswer() { return answer }
            guard var more = try await inbound.next() else {
                throw Broken(description: "the collector closed the connection in the middle of an answer")
            }
            received.writeBuffer(&more)
        }
    }

    /// An answer once all of it is there.
    private mutating func takeAnswer() throws -> Answer? {
        let bytes = received.readableBytesView
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Broken(description: "expected an HTTP answer, found \(lines.first ?? "nothing")")
        }
        var length: Int?
        var retryAfter: Int?
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { String($0).trimmed }
            guard parts.count == 2 else { continue }
            switch parts[0].lowercased() {
            case "content-length": length = Int(parts[1])
            case "retry-after": retryAfter = Int(parts[1])
            default: break
            }
        }
        guard let length else { throw Broken(description: "expected an answer with Content-Length, found one without") }
        let headBytes = end.upperBound - bytes.startIndex
        guard received.readableBytes >= headBytes + length else { return nil }
        received.moveReaderIndex(forwardBy: headBytes)
        let body = received.readString(length: length) ?? ""
        received.discardReadBytes()
        return Answer(status: status, retryAfter: retryAfter, body: body)
    }
}
