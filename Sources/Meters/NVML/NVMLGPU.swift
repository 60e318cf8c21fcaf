import Energy

/// A GPU as the library describes it.
struct NVMLGPU: Hashable, Sendable {
    /// Where its energy comes from.
    enum Source: Hashable, Sendable {
        /// The counter, and what it said first.
        case counter(microjoules: Int64, time: Timestamp)
        /// Power, for what was made before Volta.
        case power
    }

    let index: Int
    let device: NVMLLibrary.Device
    /// `GPU-8f7e21a3-...`: the same after a reboot and in another slot.
    let uuid: String?
    let model: String
    /// The most that it can be set to draw; nil where it does not tell.
    let limit: Power?
    /// Partitioned into instances (MIG): there is only one figure for all of them.
    let isPartitioned: Bool
    let source: Source
}

extension NVMLGPU {
    /// Asks the library for all that does not change.
    ///
    /// - Throws: `Unusable` where the GPU has neither energy nor power, or does not answer.
    init(_ index: Int, of library: NVMLLibrary, clock: @Sendable () -> Timestamp) throws(Unusable) {
        let counted: (millijoules: UInt64, time: Timestamp)?
        do throws(NVMLFault) {
            let device = try library.device(at: index)
            self.index = index
            self.device = device
            uuid = try Self.optional { () throws(NVMLFault) in try library.uuid(of: device) }
            model = try Self.optional { () throws(NVMLFault) in try library.name(of: device) } ?? "a GPU without a name"
            let limits = [
                try Self.optional { () throws(NVMLFault) in try library.highestLimitMilliwatts(of: device) },
                try Self.optional { () throws(NVMLFault) in try library.enforcedLimitMilliwatts(of: device) },
            ]
            limit = limits.compactMap { $0 }.map { Power(watts: Double($0) / 1e3) }
                .filter { $0 > .zero && $0 <= Zone.gpu.largestPower }.max()
            isPartitioned = try Self.optional { () throws(NVMLFault) in try library.isPartitioned(device) } ?? false
            let before = clock()
            if let millijoules = try Self.optional({ () throws(NVMLFault) in try library.millijoules(of: device) }) {
                counted = (millijoules, Self.middle(before, clock()))
            } else {
                _ = try library.milliwatts(of: device)
                counted = nil
            }
        } catch {
            throw .failed(error)
        }
        guard let counted else {
            source = .power
            return
        }
        do throws(SensorFault) {
            source = .counter(microjoules: try Self.microjoules(counted.millijoules, of: "nvml/\(index)"), time: counted.time)
        } catch {
            throw .malformed(error)
        }
    }

    /// Why a GPU cannot be measured.
    enum Unusable: Error, Hashable, Sendable {
        case failed(NVMLFault)
        case malformed(SensorFault)
    }

    /// Nil for what this GPU or driver does not have.
    private static func optional<Value>(_ ask: () throws(NVMLFault) -> Value) throws(NVMLFault) -> Value? {
        do throws(NVMLFault) {
            return try ask()
        } catch {
            guard error.status.isAbsence else { throw error }
            return nil
        }
    }

    /// The instant that a value belongs to, which the library took somewhere during the call.
    static func middle(_ before: Timestamp, _ after: Timestamp) -> Timestamp { before + Microseconds((after - before).count / 2) }

    /// - Throws: `SensorFault` for what is no energy but an error of the driver: it would be more than 292 years of a kilowatt.
    static func microjoules(_ millijoules: UInt64, of name: String) throws(SensorFault) -> Int64 {
        guard let value = Int64(exactly: millijoules), value <= Int64.max / 1_000 else {
            throw SensorFault(
                path: "\(name): nvmlDeviceGetTotalEnergyConsumption",
                kind: .malformed(expected: "mJ since the driver was loaded, at most 2^63 µJ", found: "\(millijoules)")
            )
        }
        return value * 1_000
    }
}
