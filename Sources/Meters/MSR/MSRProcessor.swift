import Energy

/// Which RAPL registers a processor has, and in which units they count.
///
/// Numbers from Intel's SDM (volume 4) and AMD's PPR for family 17h; which models have units of their own, from the kernel's
/// `drivers/powercap/intel_rapl_common.c` and `arch/x86/events/rapl.c`.
struct MSRProcessor: Hashable, Sendable {
    enum Maker: Hashable, Sendable {
        case intel
        /// AMD from Zen on, and Hygon.
        case amd
    }

    struct Register: Hashable, Sendable {
        var address: Int64
        var zone: Zone
    }

    var maker: Maker
    var family: Int
    var model: Int

    /// What `/proc/cpuinfo` says of the first CPU; nil for a processor without these registers.
    init?(cpuinfo: String) {
        var vendor: Substring?
        var family: Int?
        var model: Int?
        for line in cpuinfo.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let key = parts[0].filter { $0 != "\t" }
            let value = parts[1].drop { $0 == " " }
            switch key {
            case "vendor_id": vendor = vendor ?? value
            case "cpu family": family = family ?? Int(value)
            case "model": model = model ?? Int(value)
            default: break
            }
        }
        guard let vendor, let family, let model else { return nil }
        switch vendor {
        case "GenuineIntel": maker = .intel
        case "AuthenticAMD" where family >= 0x17, "HygonGenuine": maker = .amd
        default: return nil
        }
        self.family = family
        self.model = model
    }

    var unitAddress: Int64 { maker == .intel ? 0x606 : 0xC001_0299 }

    /// In the order in which they are asked. AMD's C001_029A is left out: it counts one core.
    var registers: [Register] {
        switch maker {
        case .amd: [Register(address: 0xC001_029B, zone: .package)]
        case .intel:
            [
                Register(address: 0x611, zone: .package), Register(address: 0x619, zone: .dram), Register(address: 0x639, zone: .core),
                Register(address: 0x641, zone: .uncore), Register(address: 0x64D, zone: .psys),
            ]
        }
    }

    /// The unit of a zone, from the unit register: bits 12:8 are the exponent.
    ///
    /// Nil where the exponent makes no sense.
    func unit(of zone: Zone, unitRegister: UInt64) -> EnergyUnit? {
        let exponent = Int(unitRegister >> 8 & 0x1F)
        guard maker == .intel, family == 6 else { return EnergyUnit(jouleDividedByTwoTo: exponent) }
        if zone == .dram, Self.modelsWithDRAMUnit.contains(model) { return EnergyUnit(jouleDividedByTwoTo: 16) }
        if zone == .psys, Self.modelsWithWholeJoulesOfPlatform.contains(model) { return EnergyUnit(jouleDividedByTwoTo: 0) }
        if Self.modelsInMicrojoules.contains(model) { return EnergyUnit(microjouleTimesTwoTo: exponent) }
        return EnergyUnit(jouleDividedByTwoTo: exponent)
    }

    /// Servers whose memory counts in 2^-16 J (15.3 µJ) whatever the unit register says: Haswell-EP, Broadwell-EP, Skylake-SP to Cooper
    /// Lake, Ice Lake-SP and -D, Knights Landing and Mill. Sapphire Rapids follows the register again.
    private static let modelsWithDRAMUnit: Set = [0x3F, 0x4F, 0x55, 0x6A, 0x6C, 0x57, 0x85]
    /// Sapphire and Emerald Rapids.
    private static let modelsWithWholeJoulesOfPlatform: Set = [0x8F, 0xCF]
    /// Silvermont and Airmont: the exponent is of microjoules.
    private static let modelsInMicrojoules: Set = [0x37, 0x4A, 0x4C, 0x5A]
}
