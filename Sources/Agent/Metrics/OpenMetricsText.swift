import Energy

/// Writes metrics in the text format of OpenMetrics 1.0.
struct OpenMetricsText {
    static let mediaType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    enum Kind: String {
        case counter, gauge, info

        /// What a sample's name has behind that of its family.
        var suffix: String {
            switch self {
            case .counter: "_total"
            case .gauge: ""
            case .info: "_info"
            }
        }
    }

    private var text = ""

    /// A family of samples.
    ///
    /// - Parameters:
    ///   - unit: also the last part of the name, as the format wants it.
    ///   - samples: labels in order, and the value as it is written.
    mutating func family(
        _ name: String,
        _ kind: Kind,
        unit: String? = nil,
        help: String,
        _ samples: [(labels: [(name: String, value: String)], value: String)]
    ) {
        guard !samples.isEmpty else { return }
        text += "# TYPE \(name) \(kind.rawValue)\n"
        if let unit { text += "# UNIT \(name) \(unit)\n" }
        text += "# HELP \(name) \(Self.escaped(help))\n"
        for sample in samples {
            let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",")
            text += name + kind.suffix + (labels.isEmpty ? "" : "{\(labels)}") + " \(sample.value)\n"
        }
    }

    /// The whole text; nothing may follow.
    var ended: String { text + "# EOF\n" }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}

extension MetricsSnapshot {
    /// As OpenMetrics text.
    ///
    /// Energy is rounded down to whole joules, CPU time to hundredths of a second. RAPL read finely shows what other processes compute
    /// (PLATYPUS, CVE-2020-8694), which is why Linux lets only root read it; any local user can ask on the loopback. A joule once a
    /// second, the most that is shown here, is ten thousand times coarser than that attack needs, and finer than any scraper's interval.
    var openMetrics: String {
        var text = OpenMetricsText()
        text.family("wattle_agent_build", .info, help: "The running agent.", [([("version", version)], "1")])
        text.family(
            "wattle_energy_joules",
            .counter,
            unit: "joules",
            help: "Energy by meter, in whole joules; only those with in_cover=\"true\" may be added up.",
            meters.map { (Self.labels($0), "\(Self.floor($0.energy.microjoules, by: 1_000_000))") }
        )
        text.family(
            "wattle_meter_failures",
            .counter,
            help: "Readings of a meter that failed.",
            meters.map { ([("meter", $0.place.name)], "\($0.failures)") }
        )
        text.family(
            "wattle_meter_gaps",
            .counter,
            help: "Stretches of time of which a meter knows no more than limits.",
            meters.map { ([("meter", $0.place.name)], "\($0.gaps)") }
        )
        text.family(
            "wattle_sensors_unused",
            .gauge,
            help: "Sensors of this machine that cannot be used; wattle-agent detect says why.",
            [([], "\(unusedSensors.count)")]
        )
        text.family(
            "wattle_cpu_busy_seconds",
            .counter,
            unit: "seconds",
            help: "Time that the host's CPUs were busy.",
            [([], Self.seconds(hostBusy))]
        )
        text.family(
            "wattle_agent_cpu_seconds",
            .counter,
            unit: "seconds",
            help: "CPU time of the agent itself.",
            [([], Self.seconds(agentCPU))]
        )
        text.family("wattle_workloads", .gauge, help: "Cgroups that are followed at the moment.", [([], "\(workloads)")])
        if let spool { Self.write(spool, &text) }
        return text.ended
    }

    private static func write(_ spool: Spool, _ text: inout OpenMetricsText) {
        func count(_ name: String, _ value: UInt64, _ help: String, unit: String? = nil) {
            text.family(name, .counter, unit: unit, help: help, [([], "\(value)")])
        }
        text.family(
            "wattle_spool_fill_ratio",
            .gauge,
            unit: "ratio",
            help: "How full the spool is of batches that the collector has not acknowledged.",
            [([], decimal(Int64(saturating: min(1, max(0, spool.fill)) * 10_000), digits: 4))]
        )
        text.family(
            "wattle_spool_capacity_bytes",
            .gauge,
            unit: "bytes",
            help: "Bytes of batches that the spool takes.",
            [([], "\(spool.capacityBytes)")]
        )
        count("wattle_batches_acknowledged", spool.uplink.acknowledgedBatches, "Batches that the collector has taken.")
        count("wattle_batches_refused", spool.uplink.refusedBatches, "Batches that the collector refused for good, set aside.")
        count("wattle_uplink_failures", spool.uplink.failedExchanges, "Exchanges with the collector that brought no progress.")
        count("wattle_uplink_sent_bytes", spool.uplink.sentBytes, "Bytes of batches as sent.", unit: "bytes")
        count(
            "wattle_uplink_uncompressed_bytes",
            spool.uplink.uncompressedBytes,
            "Bytes of the same batches before compression.",
            unit: "bytes"
        )
        text.family(
            "wattle_agent_uplink_state",
            .gauge,
            help: "1 for the state that the agent and its collector are in: refused wants another token.",
            UplinkState.allCases.map { ([("state", $0.rawValue)], $0 == spool.uplink.state ? "1" : "0") }
        )
        if let last = spool.uplink.lastAcknowledgedAt {
            text.family(
                "wattle_last_acknowledged_timestamp_seconds",
                .gauge,
                unit: "seconds",
                help: "When the collector last acknowledged a batch, in seconds since 1970.",
                [([], "\(floor(last.microseconds, by: 1_000_000))")]
            )
        }
    }

    private static func labels(_ meter: Meter) -> [(name: String, value: String)] {
        [("meter", meter.place.name), ("zone", meter.place.zone.rawValue)]
            + (meter.place.package.map { [("package", "\($0)")] } ?? [])
            + [("in_cover", meter.isInCover ? "true" : "false")]
    }

    private static func seconds(_ time: Microseconds) -> String { decimal(floor(max(0, time.count), by: 10_000), digits: 2) }

    private static func floor(_ value: Int64, by unit: Int64) -> Int64 { (value - (value % unit + unit) % unit) / unit }

    /// `value` divided by a power of ten; not negative.
    private static func decimal(_ value: Int64, digits: Int) -> String {
        var text = "\(value)"
        while text.count <= digits { text = "0" + text }
        return "\(text.dropLast(digits)).\(text.suffix(digits))"
    }
}
