/// Which package and die each CPU belongs to: `/sys/devices/system/cpu/cpuN/topology`.
struct CPUTopology {
    struct CPU: Hashable {
        var number: Int
        var package: Int
        var die: Int
    }

    /// In the order of their numbers; those that are offline have no topology and are left out.
    let cpus: [CPU]

    /// - Throws: `SensorFault` where there is no such directory.
    init(roots: HostRoots) throws(SensorFault) {
        let directory = roots.path("/sys/devices/system/cpu")
        var cpus: [CPU] = []
        for name in try SensorText.names(in: directory) {
            guard name.hasPrefix("cpu"), let number = Int(name.dropFirst(3)), number >= 0 else { continue }
            let topology = "\(directory)/\(name)/topology"
            do throws(SensorFault) {
                let package = try SensorText.number("\(topology)/physical_package_id")
                cpus.append(CPU(number: number, package: Int(package), die: Self.die(topology)))
            } catch {
                continue  // Offline, or -1 where the hypervisor does not say.
            }
        }
        self.cpus = cpus.sorted { $0.number < $1.number }
    }

    /// 0 where the kernel is older than 5.3 and does not tell dies apart.
    private static func die(_ topology: String) -> Int {
        do throws(SensorFault) { return Int(try SensorText.number("\(topology)/die_id")) } catch { return 0 }
    }

    /// `0,2-3`; nil for what is no list of CPUs, or one of more than 4,096.
    static func list(_ text: String) -> [Int]? {
        var numbers: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0.filter { $0 != " " }) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, 0 <= first, first <= last else { return nil }
            guard last - first < 4_096 - numbers.count else { return nil }
            numbers += first...last
        }
        return numbers
    }
}
