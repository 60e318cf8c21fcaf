import Crypto
import Energy
import Store
import SwiftProtobuf
import Wire

/// Reads an agent's batch from its bytes.
enum ReadingsDecoding {
    /// - Throws: `Problem` 400 for bytes that are no batch, 422 for a batch whose content makes no sense, naming the field.
    static func decode(_ bytes: [UInt8]) throws -> ReadingsRecord {
        func malformed(_ why: String) -> Problem {
            Problem.badRequest(
                "malformed-batch",
                "The batch cannot be decoded",
                "expected a wattle.v1.ReadingsBatch in protobuf, found \(bytes.count) bytes: \(why)"
            )
        }
        let scan: BatchScan
        do throws(BatchScanError) {
            scan = try BatchScan(bytes)
        } catch {
            switch error {
            case .malformed(let position): throw malformed("malformed near byte \(position)")
            case .invalid(let fault): throw senseless(fault)
            }
        }
        let batch: WireReadingsBatch
        do {
            batch = try WireReadingsBatch(serializedBytes: scan.rest)
        } catch {
            throw malformed("\(error)")
        }
        return try checked(batch, columns: scan.columns, bytes)
    }

    /// The same from the JSON twin.
    static func decode(json bytes: [UInt8]) throws -> ReadingsRecord {
        let batch: WireReadingsBatch
        do {
            batch = try WireReadingsBatch(jsonUTF8Bytes: bytes)
        } catch {
            throw Problem.badRequest(
                "malformed-batch",
                "The batch cannot be decoded",
                "expected a wattle.v1.ReadingsBatch in protobuf's JSON form: \(error)"
            )
        }
        let columns: [(ref: UInt32, knots: [Knot])]
        do throws(BatchFault) {
            columns = try self.columns(of: batch)
        } catch {
            throw senseless(error)
        }
        return try checked(batch, columns: columns, bytes)
    }

    /// JSON may take less: nobody sends it at speed, and it takes more memory to read.
    static let jsonBytes = 1 << 20

    private static func columns(of batch: WireReadingsBatch) throws(BatchFault) -> [(ref: UInt32, knots: [Knot])] {
        let count = batch.knots.reduce(0) { $0 + $1.tDeltaUs.count }
        try require(count <= WireLimits.batchKnots, "knots", "at most \(WireLimits.batchKnots) knots in a batch", "\(count)")
        var columns: [(ref: UInt32, knots: [Knot])] = []
        for column in batch.knots { columns.append((column.ref, try column.knots())) }
        return columns
    }

    private static func senseless(_ fault: BatchFault) -> Problem {
        Problem.unprocessable("invalid-batch", "The batch makes no sense", fault.description)
    }

    private static func checked(
        _ batch: WireReadingsBatch,
        columns: [(ref: UInt32, knots: [Knot])],
        _ bytes: [UInt8]
    ) throws -> ReadingsRecord {
        do throws(BatchFault) {
            return try record(of: batch, columns: columns, sha256: Array(SHA256.hash(data: bytes)))
        } catch {
            throw senseless(error)
        }
    }

    private static func record(
        of batch: WireReadingsBatch,
        columns: [(ref: UInt32, knots: [Knot])],
        sha256: [UInt8]
    ) throws(BatchFault) -> ReadingsRecord {
        try require(
            (1...255).contains(batch.host.utf8.count) && !batch.host.utf8.contains(0),
            "host",
            "a name of 1 to 255 bytes",
            batch.host
        )
        try require((1...64).contains(batch.bootID.utf8.count) && !batch.bootID.utf8.contains(0), "boot_id", "1 to 64 bytes", batch.bootID)
        try require(
            batch.incarnation.utf8.count == 32 && batch.incarnation.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) },
            "incarnation",
            "32 lower-case hex digits",
            batch.incarnation
        )
        try require((1...UInt64(1 << 62)).contains(batch.seq), "seq", "a number from 1", "\(batch.seq)")
        var record = ReadingsRecord(
            hostName: batch.host,
            bootID: batch.bootID,
            incarnation: batch.incarnation,
            sequence: Int64(batch.seq),
            sha256: sha256
        )
        if batch.hasClockOffsetUs {
            try require(
                batch.clockOffsetUs.magnitude <= UInt64(WireLimits.times.upperBound),
                "clock_offset_us",
                "at most 230 years",
                "\(batch.clockOffsetUs)"
            )
        }
        if batch.hasClockOffsetUs { record.clockOffset = Microseconds(batch.clockOffsetUs) }
        if batch.wallUs > 0, WireLimits.times.contains(batch.wallUs) { record.sealedAt = Timestamp(microseconds: batch.wallUs) }
        if let sealed = record.sealedAt, (1...batch.wallUs).contains(batch.boottimeUs) {
            record.bootedAt = sealed - Microseconds(batch.boottimeUs)
        }
        if batch.hasFacts {
            record.facts = try facts(batch.facts)
            record.isSimulated = batch.facts.simulated
        }
        for curve in batch.curves { record.announcements.append(try announcement(curve)) }
        for column in columns { record.columns.append((try ref(column.ref, "knots.ref"), column.knots)) }
        for tail in batch.tails {
            let ref = try ref(tail.ref, "tails.ref")
            try requireTime(tail.tUs, "tails[\(ref)].t_us")
            try requireTime(tail.completeUntilUs, "tails[\(ref)].complete_until_us")
            try require(WireLimits.values.contains(tail.value), "tails[\(ref)].value", "0 to 2^62", "\(tail.value)")
            record.tails.append(
                ReadingsRecord.Tail(
                    ref: ref,
                    knot: Knot(time: Timestamp(microseconds: tail.tUs), value: tail.value),
                    completeUntil: Timestamp(microseconds: tail.completeUntilUs),
                    isClosed: tail.closed
                )
            )
        }
        for gap in batch.gaps {
            let ref = try ref(gap.ref, "gaps.ref")
            try requireTime(gap.fromUs, "gaps[\(ref)].from_us")
            try requireTime(gap.toUs, "gaps[\(ref)].to_us")
            try require(gap.fromUs < gap.toUs, "gaps[\(ref)].to_us", "more than from_us (\(gap.fromUs))", "\(gap.toUs)")
            try require(0 <= gap.low && gap.low <= gap.high, "gaps[\(ref)].high", "at least low (\(gap.low)), both from 0", "\(gap.high)")
            guard let cause = Gap.Cause(rawValue: gap.cause) else {
                throw BatchFault(
                    field: "gaps[\(ref)].cause",
                    expected: Gap.Cause.allCases.map(\.rawValue).joined(separator: ", "),
                    found: gap.cause
                )
            }
            record.gaps.append(
                (
                    ref,
                    Gap(
                        interval: Interval(Timestamp(microseconds: gap.fromUs), Timestamp(microseconds: gap.toUs)),
                        low: gap.low,
                        high: gap.high,
                        cause: cause
                    )
                )
            )
        }
        for workload in batch.workloads { record.workloads.append(try change(workload)) }
        return record
    }

    private static func change(_ workload: WireWorkloadChange) throws(BatchFault) -> ReadingsRecord.Workload {
        let ref = try ref(workload.ref, "workloads.ref")
        try requireTime(workload.bornUs, "workloads[\(ref)].born_us")
        try requireTime(workload.diedUs, "workloads[\(ref)].died_us")
        try require(
            workload.cgroup.utf8.count <= 4_096 && !workload.cgroup.utf8.contains(0),
            "workloads[\(ref)].cgroup",
            "at most 4096 bytes",
            "more"
        )
        try require(!workload.spanKey.utf8.contains(0), "workloads[\(ref)].span_key", "a text", "a zero byte")
        for (name, value, limit) in [
            ("unit", workload.unit, 512), ("container_id", workload.containerID, 256), ("pod", workload.pod, 1_000),
        ] {
            try require(
                value.utf8.count <= limit && !value.utf8.contains(0),
                "workloads[\(ref)].\(name)",
                "at most \(limit) bytes, none of them zero",
                value
            )
        }
        try require(
            workload.labels.count <= maximumLabels,
            "workloads[\(ref)].labels",
            "at most \(maximumLabels)",
            "\(workload.labels.count)"
        )
        for (name, value) in workload.labels {
            try require(
                (1...256).contains(name.utf8.count) && value.utf8.count <= 1_000 && !name.utf8.contains(0) && !value.utf8.contains(0),
                "workloads[\(ref)].labels",
                "names of 1 to 256 bytes and values of at most 1000, without zero bytes",
                "\(name): \(value)"
            )
        }
        try require(
            workload.memoryMaxBytes <= UInt64(WireLimits.values.upperBound),
            "workloads[\(ref)].memory_max_bytes",
            "at most 2^62",
            "\(workload.memoryMaxBytes)"
        )
        let ending = ReadingsRecord.Workload.Ending(rawValue: workload.ending)
        try require(
            workload.ending.isEmpty || ending != nil,
            "workloads[\(ref)].ending",
            "\(ReadingsRecord.Workload.Ending.allCases.map(\.rawValue).joined(separator: ", ")), or nothing",
            workload.ending
        )
        func text(_ value: String) -> String? { value.isEmpty ? nil : value }
        var change = ReadingsRecord.Workload(
            ref: ref,
            cgroup: workload.cgroup,
            bornAt: Timestamp(microseconds: workload.bornUs),
            diedAt: workload.diedUs == 0 ? nil : Timestamp(microseconds: workload.diedUs),
            spanKey: text(workload.spanKey),
            parentRef: workload.parentRef == 0 ? nil : try Self.ref(workload.parentRef, "workloads.parent_ref")
        )
        change.memoryRef = workload.memoryRef == 0 ? nil : try Self.ref(workload.memoryRef, "workloads.memory_ref")
        change.unit = text(workload.unit)
        change.containerID = text(workload.containerID)
        change.pod = text(workload.pod)
        change.labels = workload.labels
        change.maximumMemoryBytes = workload.memoryMaxBytes == 0 ? nil : Int64(workload.memoryMaxBytes)
        change.ending = ending
        return change
    }

    /// A container has many labels; those that name a job or a runner are few.
    static let maximumLabels = 32

    private static func facts(_ facts: WireHostFacts) throws(BatchFault) -> HostFacts {
        var result = HostFacts()
        for text in [facts.agentVersion, facts.arch, facts.os, facts.kernel, facts.cpuModel, facts.gridZone] {
            try require(text.utf8.count <= 1_000 && !text.utf8.contains(0), "facts", "texts of at most 1000 bytes", "\(text.prefix(60))")
        }
        result.agentVersion = facts.agentVersion
        result.arch = facts.arch
        result.os = facts.os
        result.kernel = facts.kernel
        result.cpuModel = facts.cpuModel
        result.cpus = Int32(clamping: max(1, facts.cpus))
        result.memoryBytes = Int64(clamping: facts.memoryBytes)
        result.gridZone = facts.gridZone.isEmpty ? nil : facts.gridZone
        result.names = try names(facts.names)
        result.runners = try runners(facts.runners)
        let digits = facts.machineIDSha256.utf8
        try require(
            digits.isEmpty || (digits.count == 64 && digits.allSatisfy { "0123456789abcdef".utf8.contains($0) }),
            "facts.machine_id_sha256",
            "64 lower-case hex digits, or nothing",
            facts.machineIDSha256
        )
        result.machineIDSHA256 = digits.isEmpty ? nil : facts.machineIDSha256
        try require(isName(facts.pool) || facts.pool.isEmpty, "facts.pool", "at most 255 bytes, none of them zero", facts.pool)
        result.pool = facts.pool.isEmpty ? nil : facts.pool
        return result
    }

    /// A machine has few names, and a farm's largest has some dozens of runners.
    static let maximumNames = 64
    static let maximumRunners = 1_024

    private static func names(_ names: [String]) throws(BatchFault) -> [String] {
        try require(names.count <= maximumNames, "facts.names", "at most \(maximumNames)", "\(names.count)")
        for name in names { try require(isName(name), "facts.names", "names of 1 to 255 bytes, none of them zero", name) }
        return names
    }

    private static func runners(_ runners: [WireRunner]) throws(BatchFault) -> [HostFacts.Runner] {
        try require(runners.count <= maximumRunners, "facts.runners", "at most \(maximumRunners)", "\(runners.count)")
        var result: [HostFacts.Runner] = []
        for runner in runners {
            try require(isName(runner.name), "facts.runners.name", "a name of 1 to 255 bytes, none of them zero", runner.name)
            for text in [runner.instance, runner.kind, runner.scope] {
                try require(text.isEmpty || isName(text), "facts.runners", "texts of at most 255 bytes, none of them zero", text)
            }
            result.append(
                HostFacts.Runner(
                    name: runner.name,
                    instance: runner.instance.lowercased(),
                    kind: runner.kind,
                    scope: runner.scope,
                    concurrent: runner.concurrent == 0 ? nil : Int(min(runner.concurrent, 1_000_000))
                )
            )
        }
        return result
    }

    private static func isName(_ text: String) -> Bool { (1...255).contains(text.utf8.count) && !text.utf8.contains(0) }

    private static func announcement(_ curve: WireCurveAnnouncement) throws(BatchFault) -> ReadingsRecord.Announcement {
        let ref = try ref(curve.ref, "curves.ref")
        let field = "curves[\(ref)]"
        try require(
            (1...4_200).contains(curve.name.utf8.count) && !curve.name.utf8.contains(0),
            "\(field).name",
            "1 to 4200 bytes",
            curve.name
        )
        try require(curve.sensor.utf8.count <= 100 && !curve.sensor.utf8.contains(0), "\(field).sensor", "at most 100 bytes", curve.sensor)
        try require(curve.basis.utf8.count <= 2_000 && !curve.basis.utf8.contains(0), "\(field).basis", "at most 2000 bytes", curve.basis)
        let kind: ReadingsRecord.Announcement.Kind
        switch curve.kind {
        case .meter: kind = .meter
        case .hostBusy: kind = .hostBusy
        case .agentCpu: kind = .agentCPU
        case .workloadCpu: kind = .workloadCPU
        case .workloadMemory: kind = .workloadMemory
        case .unspecified, .UNRECOGNIZED:
            throw BatchFault(field: "\(field).kind", expected: "a curve kind from 1 to 5", found: "\(curve.kind.rawValue)")
        }
        let zone = Zone(rawValue: curve.zone)
        try require((kind == .meter) == (zone != nil), "\(field).zone", "a zone for a meter, none for others", curve.zone)
        guard let quality = Quality(rawValue: curve.quality) else {
            throw BatchFault(
                field: "\(field).quality",
                expected: Quality.allCases.map(\.rawValue).joined(separator: ", "),
                found: curve.quality
            )
        }
        let isMeter = kind == .meter
        try require(
            !isMeter || curve.boundLowPpm <= 1_000_000 && (1_000_000...1_000_000_000).contains(curve.boundHighPpm),
            "\(field).bound_high_ppm",
            "limits around 1000000",
            "\(curve.boundLowPpm) and \(curve.boundHighPpm)"
        )
        try require((0...(1 << 50)).contains(curve.epsilon), "\(field).epsilon", "0 to 2^50", "\(curve.epsilon)")
        let powers = [curve.pMaxUw, curve.pIdleUw, curve.pIdleLowUw, curve.pIdleHighUw]
        try require(powers.allSatisfy { $0 < 1 << 50 }, "\(field).p_max_uw", "powers below 2^50 uW", "\(powers)")
        return ReadingsRecord.Announcement(
            ref: ref,
            name: curve.name,
            kind: kind,
            zone: zone,
            sensor: curve.sensor,
            quality: quality,
            isInCover: isMeter && curve.inCover,
            epsilon: curve.epsilon,
            samplePeriod: Microseconds(Int64(clamping: curve.samplePeriodUs)),
            maximumPowerMicrowatts: Int64(curve.pMaxUw),
            idlePowerMicrowatts: curve.hasPIdleUw ? Int64(curve.pIdleUw) : nil,
            idlePowerLowMicrowatts: curve.hasPIdleLowUw ? Int64(curve.pIdleLowUw) : nil,
            idlePowerHighMicrowatts: curve.hasPIdleHighUw ? Int64(curve.pIdleHighUw) : nil,
            boundLowPPM: isMeter ? Int32(curve.boundLowPpm) : 1_000_000,
            boundHighPPM: isMeter ? Int32(curve.boundHighPpm) : 1_000_000,
            basis: curve.basis,
            origin: Int64(bitPattern: curve.origin)
        )
    }

    private static func ref(_ ref: UInt32, _ field: String) throws(BatchFault) -> Int32 {
        try require((1...1_000_000_000).contains(ref), field, "a number from 1", "\(ref)")
        return Int32(ref)
    }

    private static func requireTime(_ time: Int64, _ field: String) throws(BatchFault) {
        try require(WireLimits.times.contains(time), field, "a time from 1970 to 2200 in us", "\(time)")
    }

    private static func require(_ condition: Bool, _ field: String, _ expected: String, _ found: String) throws(BatchFault) {
        guard condition else { throw BatchFault(field: field, expected: expected, found: String(found.prefix(200))) }
    }
}
