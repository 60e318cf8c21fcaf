import Energy
import Glibc

/// Finds the energy registers of a machine, one CPU for each package, or each die where dies have counters of their own.
struct MSRDiscovery {
    let host: SensorHost

    func find() -> SensorFindings {
        do throws(SensorFault) {
            guard let processor = MSRProcessor(cpuinfo: try SensorText.read("\(host.roots.proc)/cpuinfo")) else {
                return nothing(
                    "expected an Intel processor, or AMD's from family 17h (Zen) on, found '\(host.cpu.model)'",
                    "set msr.enabled to no"
                )
            }
            return find(processor, on: try readers(try CPUTopology(roots: host.roots), processor))
        } catch {
            return nothing(error.description, error.remedy)
        }
    }

    private func nothing(_ reason: String, _ remedy: String?) -> SensorFindings {
        SensorFindings(unused: [UnusedSensor(name: MSRSensor.name, reason: reason, remedy: remedy)])
    }

    // MARK: CPUs to read on

    private struct Readers {
        var cpus: [CPUTopology.CPU] = []
        /// Packages that have several dies with counters of their own.
        var packagesWithDies: Set<Int> = []
        var unused: [UnusedSensor] = []
    }

    private func readers(_ topology: CPUTopology, _ processor: MSRProcessor) throws(SensorFault) -> Readers {
        var readers = Readers()
        // Intel's registers are the die's, AMD's the package's: `rapl_pkg_pmu_is_pkg_scope` in the kernel.
        let cpus = topology.cpus.map { processor.maker == .intel ? $0 : CPUTopology.CPU(number: $0.number, package: $0.package, die: 0) }
        for package in Set(cpus.map(\.package)) where Set(cpus.filter { $0.package == package }.map(\.die)).count > 1 {
            readers.packagesWithDies.insert(package)
        }
        var wanted = cpus
        if let text = host.option("cpus", of: MSRSensor.self) {
            guard let numbers = CPUTopology.list(text) else {
                throw SensorFault(path: "msr.cpus", kind: .malformed(expected: "CPUs as 0,1 or 0-3", found: "'\(text)'"))
            }
            wanted = []
            for number in numbers {
                if let cpu = cpus.first(where: { $0.number == number }) {
                    wanted.append(cpu)
                } else {
                    readers.unused.append(
                        UnusedSensor(
                            name: "\(MSRSensor.name)/cpu\(number)",
                            reason: "msr.cpus names CPU \(number), which this machine does not have online",
                            remedy: "name CPUs of \(cpus.first?.number ?? 0) to \(cpus.last?.number ?? 0)"
                        )
                    )
                }
            }
        }
        for cpu in wanted where !readers.cpus.contains(where: { $0.package == cpu.package && $0.die == cpu.die }) {
            readers.cpus.append(cpu)
        }
        for cpu in cpus where !readers.cpus.contains(where: { $0.package == cpu.package && $0.die == cpu.die }) {
            let name = place(.package, cpu, readers).name
            guard !readers.unused.contains(where: { $0.name == name }) else { continue }
            readers.unused.append(
                UnusedSensor(name: name, reason: "msr.cpus has no CPU of it", remedy: "add CPU \(cpu.number) to msr.cpus")
            )
        }
        if readers.cpus.isEmpty, readers.unused.isEmpty {
            let path = host.roots.path("/sys/devices/system/cpu")
            throw SensorFault(path: path, kind: .malformed(expected: "cpuN/topology/physical_package_id", found: "none"))
        }
        return readers
    }

    // MARK: Registers

    private func find(_ processor: MSRProcessor, on readers: Readers) -> SensorFindings {
        var findings = SensorFindings(unused: readers.unused)
        var hasPlatform = false
        var isFiltered = false
        for cpu in readers.cpus {
            let file: MSRFile
            let units: UInt64
            do throws(SensorFault) {
                file = try MSRFile(cpu: cpu.number, on: host)
                units = try file.value(at: processor.unitAddress)
            } catch {
                findings.unused.append(
                    UnusedSensor(name: "\(MSRSensor.name)/cpu\(cpu.number)", reason: error.description, remedy: remedy(error))
                )
                continue
            }
            for register in processor.registers {
                // The first package's platform register has the host's; some servers show one in each package.
                if register.zone == .psys && hasPlatform { continue }
                let place = place(register.zone, cpu, readers)
                do throws(SensorFault) {
                    guard let meter = try meter(register, place, cpu, processor, file, units, readers) else { continue }
                    findings.meters.append(meter)
                    if register.zone == .psys { hasPlatform = true }
                } catch {
                    // What the processor does not have answers EIO, and is no zone; anything else is worth saying.
                    guard error.number != EIO || register.zone == .package else { continue }
                    findings.unused.append(UnusedSensor(name: place.name, reason: error.description, remedy: error.remedy))
                }
            }
            if processor.maker == .intel && !isFiltered { isFiltered = isEnergyFiltered(file) }
        }
        if isFiltered {
            findings.remarks.append(
                "RAPL's energy filter is on (bit 0 of MSR 0xbc): Intel adds noise to each reading, so that figures of less than about a "
                    + "second are less certain than they look"
            )
        }
        return findings
    }

    private func place(_ zone: Zone, _ cpu: CPUTopology.CPU, _ readers: Readers) -> MeterPlace {
        let die = readers.packagesWithDies.contains(cpu.package) ? cpu.die : nil
        let suffix = zone == .psys ? "" : "-\(cpu.package)\(die.map { "-die-\($0)" } ?? "")"
        return MeterPlace(
            name: "\(MSRSensor.name)/\(zone.rawValue)\(suffix)",
            zone: zone,
            package: zone == .psys ? nil : cpu.package,
            die: zone == .psys ? nil : die,
            quality: .measured
        )
    }

    /// Nil where the register is there but has never counted: the kernel takes that for a domain that does not exist.
    private func meter(
        _ register: MSRProcessor.Register,
        _ place: MeterPlace,
        _ cpu: CPUTopology.CPU,
        _ processor: MSRProcessor,
        _ file: MSRFile,
        _ units: UInt64,
        _ readers: Readers
    ) throws(SensorFault) -> MSRMeter? {
        guard let unit = processor.unit(of: register.zone, unitRegister: units) else {
            throw SensorFault(
                path: "\(file.path) at \(MSRFile.text(processor.unitAddress))",
                kind: .malformed(expected: "an energy unit in bits 12:8", found: "0x\(String(units, radix: 16))")
            )
        }
        guard UInt32(truncatingIfNeeded: try file.value(at: register.address)) != 0 else {
            guard register.zone == .package else { return nil }
            throw SensorFault(
                path: "\(file.path) at \(MSRFile.text(register.address))",
                kind: .malformed(expected: "a package's count above 0", found: "0: a hypervisor that answers but does not count")
            )
        }
        let ceiling = register.zone == .package && processor.maker == .intel ? packageCeiling(file, units) : nil
        let most = ceiling?.power ?? PowerCeiling.unpublished(of: register.zone, packages: host.cpu.packages)
        let dies = place.die == nil ? 1 : Set(readers.cpus.filter { $0.package == cpu.package }.map(\.die)).count
        return MSRMeter(
            place: place,
            maximumPower: most,
            idlePower: register.zone == .package ? host.packageIdle.divided(by: dies) : nil,
            basis: "RAPL register \(MSRFile.text(register.address)) read on CPU \(cpu.number) in units of \(unit.text), wraps at "
                + "\(unit.modulusMicrojoules / 1_000_000) J, at most \(Int64(saturating: most.watts.rounded())) W "
                + "(\(ceiling?.source ?? "assumed"))",
            file: file,
            address: register.address,
            unit: unit
        )
    }

    private func packageCeiling(_ file: MSRFile, _ units: UInt64) -> PowerCeiling {
        /// Nil where the processor does not have the register.
        func value(at address: Int64) -> UInt64? {
            do throws(SensorFault) { return try file.value(at: address) } catch { return nil }
        }
        return PowerCeiling(packageLimits: value(at: 0x610), information: value(at: 0x614), units: units)
    }

    /// Bit 0 of MISC_PACKAGE_CTLS; where the register is not there, neither is the filter.
    private func isEnergyFiltered(_ file: MSRFile) -> Bool {
        do throws(SensorFault) { return try file.value(at: 0xBC) & 1 == 1 } catch { return false }
    }

    private func remedy(_ error: SensorFault) -> String? {
        switch error.number {
        case ENOENT, ENXIO, ENODEV: "modprobe msr, or set msr.enabled to no"
        case EACCES: "start wattle-broker.service or run the agent as root"
        case EPERM: "the msr device wants CAP_SYS_RAWIO, and no kernel lockdown (Secure Boot); powercap does without: set msr.enabled to no"
        default: error.remedy
        }
    }
}

extension PowerCeiling {
    /// Of Intel's package: power limits (MSR 0x610), power information (0x614), and their unit, 1 W / 2^(bits 3:0 of 0x606).
    ///
    /// A register with a reserved bit set is not believed.
    init(packageLimits: UInt64?, information: UInt64?, units: UInt64) {
        let unit = 1 / Double(UInt64(1) << (units & 0xF))
        func larger(_ value: UInt64?, reserved: UInt64) -> Power? {
            guard let value, value & reserved == 0 else { return nil }
            return Power(watts: Double(max(value & 0x7FFF, value >> 32 & 0x7FFF)) * unit)
        }
        self.init(
            maximum: larger(information, reserved: 0xFF80_8000_8000_8000),
            limit: larger(packageLimits, reserved: 0x7F00_0000_FF00_0000)
        )
    }
}
