import Testing

@testable import Meters

/// Texts in the form of each architecture's `show_cpuinfo` in the kernel; all values are invented.
struct CPUInfoTests {
    static let texts: [(text: String, model: String, cpus: Int, packages: Int)] = [
        (
            // arch/x86/kernel/cpu/proc.c
            """
            processor\t: 0
            vendor_id\t: GenuineIntel
            cpu family\t: 6
            model\t\t: 85
            model name\t: Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz
            physical id\t: 0

            processor\t: 1
            vendor_id\t: GenuineIntel
            cpu family\t: 6
            model\t\t: 85
            model name\t: Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz
            physical id\t: 1
            """, "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", 2, 2
        ),
        (
            // arch/s390/kernel/processor.c: a summary, then a section for each CPU.
            """
            vendor_id       : IBM/S390
            # processors    : 4
            bogomips per cpu: 3241.00
            max thread id   : 0
            features\t: esan3 zarch stfle msa ldisp eimm dfp edat etf3eh highgprs te vx sie
            processor 0: version = FF,  identification = 2733E8,  machine = 3906
            processor 1: version = FF,  identification = 2733E8,  machine = 3906
            processor 2: version = FF,  identification = 2733E8,  machine = 3906
            processor 3: version = FF,  identification = 2733E8,  machine = 3906

            cpu number      : 0
            physical id     : 1
            core id         : 0
            version         : FF
            machine         : 3906

            cpu number      : 1
            physical id     : 2
            core id         : 1
            """, "IBM/S390 machine 3906", 4, 2
        ),
        ("vendor_id       : IBM/S390\n# processors    : 4\nbogomips per cpu: 3241.00\n", "IBM/S390", 4, 1),
        (
            // arch/powerpc/kernel/setup-common.c, platforms/powernv/setup.c
            """
            processor\t: 0
            cpu\t\t: POWER9, altivec supported
            clock\t\t: 3800.000000MHz
            revision\t: 2.2 (pvr 004e 1202)

            processor\t: 1
            cpu\t\t: POWER9, altivec supported
            clock\t\t: 3800.000000MHz
            revision\t: 2.2 (pvr 004e 1202)

            timebase\t: 512000000
            platform\t: PowerNV
            model\t\t: 8335-GTH
            machine\t\t: PowerNV 8335-GTH
            """, "POWER9 (8335-GTH)", 2, 1
        ),
        ("processor\t: 0\ncpu\t\t: POWER10 (architected), altivec supported\n", "POWER10 (architected)", 1, 1),
        (
            // arch/arm64/kernel/cpuinfo.c: numbers only.
            """
            processor\t: 0
            BogoMIPS\t: 50.00
            CPU implementer\t: 0x41
            CPU architecture: 8
            CPU variant\t: 0x3
            CPU part\t: 0xd0c
            CPU revision\t: 1

            processor\t: 1
            BogoMIPS\t: 50.00
            CPU implementer\t: 0x41
            CPU architecture: 8
            CPU variant\t: 0x3
            CPU part\t: 0xd0c
            CPU revision\t: 1
            """, "ARM implementer 0x41 part 0xd0c", 2, 1
        ),
        (
            "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
            "ARM implementer 0x41 part 0xd03, 0xd08", 2, 1
        ),
        (
            // arch/riscv/kernel/cpu.c
            """
            processor\t: 0
            hart\t\t: 1
            isa\t\t: rv64imafdc
            mmu\t\t: sv39
            uarch\t\t: sifive,u74-mc

            processor\t: 1
            hart\t\t: 2
            isa\t\t: rv64imafdc
            mmu\t\t: sv39
            uarch\t\t: sifive,u74-mc
            """, "RISC-V sifive,u74-mc", 2, 1
        ),
        ("processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\n", "RISC-V rv64imafdc", 1, 1),
        ("", "", 1, 1),
    ]

    @Test(arguments: texts.indices) func everyArchitectureHasCPUsPackagesAndANameForPeople(index: Int) {
        let (text, model, cpus, packages) = Self.texts[index]
        let info = CPUInfo(parsing: text)
        #expect(info.model == model)
        #expect(info.cpus == cpus)
        #expect(info.packages == packages)
    }

    /// An ARM machine of four CPUs with these package numbers; nil for a CPU that is offline.
    private func packages(_ ids: [Int?], cpuinfo: String = "processor : 0\nCPU implementer : 0x41\n") throws -> Int {
        let host = try FixtureHost()
        try host.write("/proc/cpuinfo", cpuinfo)
        try host.write("/sys/devices/system/cpu/cpuidle/current_driver", "none\n")
        for (cpu, id) in ids.enumerated() {
            let directory = "/sys/devices/system/cpu/cpu\(cpu)"
            try host.write("\(directory)/uevent", "")
            if let id { try host.write("\(directory)/topology/physical_package_id", "\(id)\n") }
        }
        return try CPUInfo(roots: host.roots).packages
    }

    @Test func packagesThatCpuinfoDoesNotTellAreThoseOfTheTopology() throws {
        #expect(try packages([0, 0, 1, 1]) == 2)
        #expect(try packages([0, 8, nil, 8]) == 2, "POWER numbers its chips with holes; a CPU may be offline")
        #expect(try packages([-1, -1]) == 1, "firmware that does not tell")
        #expect(try packages([]) == 1)
        #expect(try packages([0, 1, 2], cpuinfo: "processor : 0\nphysical id : 0\n") == 1, "cpuinfo comes first")
    }
}
