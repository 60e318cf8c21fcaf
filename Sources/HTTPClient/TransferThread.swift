import CLibCurl
import Glibc
import Synchronization

/// The thread that runs libcurl's multi interface: it owns every handle, so that no two threads ever use one at once.
///
/// Started by the first request and ended by `stop`. Others speak to it by the orders below and wake it.
final class TransferThread: Sendable {
    private enum Order {
        case start(Transfer)
        case cancel(UInt64)
        case stop
    }

    private struct State: ~Copyable {
        var orders: [Order] = []
        /// Address of the multi handle while the thread runs, for waking it.
        var multiAddress: UInt?
        var isStarted = false
        var isStopped = false
        var nextNumber: UInt64 = 1
    }

    private let state = Mutex(State())
    private let maximumConnections: Int
    private let connectTimeout: Duration
    private let userAgent: String

    init(maximumConnections: Int, connectTimeout: Duration, userAgent: String) {
        self.maximumConnections = maximumConnections
        self.connectTimeout = connectTimeout
        self.userAgent = userAgent
    }

    func nextNumber() -> UInt64 {
        state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
    }

    func start(_ transfer: Transfer) { give(.start(transfer), orElse: transfer) }

    func cancel(_ number: UInt64) { give(.cancel(number), orElse: nil) }

    func stop() { give(.stop, orElse: nil) }

    /// Queues an order, wakes the thread and starts it when there is none yet. Every queued `start` has a caller who awaits it.
    private func give(_ order: Order, orElse transfer: Transfer?) {
        let refused: Bool = state.withLock { state in
            guard !state.isStopped else { return true }
            if !state.isStarted {
                guard case .start = order else { return false }
                guard startThread() else { return true }
                state.isStarted = true
            }
            state.orders.append(order)
            if let address = state.multiAddress, case .success(let curl) = LibCurl.loaded {
                _ = curl.functions.multi_wakeup(UnsafeMutableRawPointer(bitPattern: address))
            }
            return false
        }
        if refused, let transfer { transfer.end(nil, .failure(transfer.error(.other, "the HTTP client has no thread to work on"))) }
    }

    private func startThread() -> Bool {
        var thread = pthread_t()
        // The thread keeps this object alive until `stop`.
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                Unmanaged<TransferThread>.fromOpaque(context).takeRetainedValue().work()
                return nil
            },
            context.toOpaque()
        )
        guard code == 0 else {
            context.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private func work() {
        // Signals belong to the program's own threads, and a broken connection must not raise SIGPIPE (NOSIGNAL leaves that to us).
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)

        let curl: LibCurl
        switch LibCurl.loaded {
        case .success(let loaded): curl = loaded
        case .failure(let failure):
            refuseEverything(failure.message)
            return
        }
        guard let multi = curl.functions.multi_init() else {
            refuseEverything("libcurl could not make a multi handle")
            return
        }
        var functions = curl.functions
        _ = wattle_curl_multi_set_long(&functions, multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, maximumConnections)
        let address = UInt(bitPattern: multi)
        state.withLock { $0.multiAddress = address }

        var running: [UInt64: Transfer] = [:]
        var isStopping = false
        while !isStopping {
            for order in takeOrders() {
                switch order {
                case .start(let transfer): start(transfer, on: multi, curl, &running)
                case .cancel(let number): cancel(number, on: multi, curl, &running)
                case .stop: isStopping = true
                }
            }
            var active: Int32 = 0
            _ = curl.functions.multi_perform(multi, &active)
            endFinished(on: multi, curl, &running)
            if !isStopping { _ = curl.functions.multi_poll(multi, nil, 0, 1_000, nil) }
        }
        for number in running.keys.sorted() { cancel(number, on: multi, curl, &running) }
        state.withLock {
            $0.multiAddress = nil
            $0.isStopped = true
        }
        refuseEverything("the HTTP client has been closed")
        _ = curl.functions.multi_cleanup(multi)
    }

    private func takeOrders() -> [Order] {
        state.withLock { state in
            defer { state.orders = [] }
            return state.orders
        }
    }

    private func start(_ transfer: Transfer, on multi: UnsafeMutableRawPointer, _ curl: LibCurl, _ running: inout [UInt64: Transfer]) {
        do {
            try transfer.prepare(curl, connectTimeout: connectTimeout, userAgent: userAgent)
        } catch {
            transfer.end(curl, .failure(error))
            return
        }
        guard curl.functions.multi_add_handle(multi, transfer.easy) == CURLM_OK else {
            transfer.end(curl, .failure(transfer.error(.other, "libcurl refused the request")))
            return
        }
        running[transfer.number] = transfer
    }

    private func cancel(_ number: UInt64, on multi: UnsafeMutableRawPointer, _ curl: LibCurl, _ running: inout [UInt64: Transfer]) {
        guard let transfer = running.removeValue(forKey: number) else { return }
        _ = curl.functions.multi_remove_handle(multi, transfer.easy)
        transfer.end(curl, .failure(transfer.error(.cancelled, "cancelled")))
    }

    private func endFinished(on multi: UnsafeMutableRawPointer, _ curl: LibCurl, _ running: inout [UInt64: Transfer]) {
        var left: Int32 = 0
        while let message = curl.functions.multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE else { continue }
            let code = wattle_curl_message_result(message)
            guard let number = running.first(where: { $0.value.easy == message.pointee.easy_handle })?.key,
                let transfer = running.removeValue(forKey: number)
            else { continue }
            let outcome = transfer.outcome(curl, code: code)
            _ = curl.functions.multi_remove_handle(multi, transfer.easy)
            transfer.end(curl, outcome)
        }
    }

    /// The thread cannot work, now or ever: who waits is told so, who comes later too.
    private func refuseEverything(_ reason: String) {
        state.withLock { $0.isStopped = true }
        for case .start(let transfer) in takeOrders() { transfer.end(nil, .failure(transfer.error(.other, reason))) }
    }
}
