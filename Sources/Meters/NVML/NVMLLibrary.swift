import Glibc

/// NVIDIA's management library, opened and initialised; shut down with the object.
///
/// Its functions are declared here by hand, from the NVML API reference, so that neither its header nor the library is needed to build.
/// The library itself counts openings and is safe to call from several threads. Any call may take long: none belongs on the thread
/// that samples.
final class NVMLLibrary: Sendable {
    /// Why there is none.
    enum Refusal: Error, Hashable, Sendable {
        /// What the dynamic linker says.
        case notOpened(String)
        case failed(NVMLFault)
    }

    /// `nvmlDevice_t`: a pointer that means something to the library only.
    typealias Device = UInt

    private typealias Plain = @Sendable @convention(c) () -> Int32
    private typealias ToNumber = @Sendable @convention(c) (UnsafeMutablePointer<UInt32>) -> Int32
    private typealias ToDevice = @Sendable @convention(c) (UInt32, UnsafeMutablePointer<Device>) -> Int32
    private typealias DeviceToText = @Sendable @convention(c) (Device, UnsafeMutablePointer<CChar>, UInt32) -> Int32
    private typealias DeviceToNumber = @Sendable @convention(c) (Device, UnsafeMutablePointer<UInt32>) -> Int32
    private typealias DeviceToWide = @Sendable @convention(c) (Device, UnsafeMutablePointer<UInt64>) -> Int32
    private typealias DeviceToPair =
        @Sendable @convention(c) (Device, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>) -> Int32
    private typealias DeviceToUse =
        @Sendable @convention(c) (Device, UnsafeMutableRawPointer?, UnsafeMutablePointer<UInt32>, UInt64) -> Int32
    private typealias DeviceToProcesses =
        @Sendable @convention(c) (Device, UnsafeMutablePointer<UInt32>, UnsafeMutableRawPointer?) -> Int32

    private struct Functions: Sendable {
        var shutDown: Plain
        var count: ToNumber
        var device: ToDevice
        // Absent from the libraries of older drivers.
        var uuid: DeviceToText?
        var name: DeviceToText?
        var energy: DeviceToWide?
        var power: DeviceToNumber?
        var enforcedLimit: DeviceToNumber?
        var limits: DeviceToPair?
        var partitioning: DeviceToPair?
        var processUse: DeviceToUse?
        var processes: DeviceToProcesses?
    }

    private let functions: Functions
    /// Closes the library after `deinit` has shut it down, and where it cannot be initialised.
    private let opened: Opened

    private final class Opened: Sendable {
        let address: UInt

        init(_ path: String) throws(Refusal) {
            guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
                throw .notOpened(dlerror().map { String(cString: $0) } ?? "cannot open \(path)")
            }
            address = UInt(bitPattern: handle)
        }

        deinit {
            if let handle = UnsafeMutableRawPointer(bitPattern: address) { dlclose(handle) }
        }

        /// - Parameter type: the function's true type; nothing can check it.
        func function<F>(_ name: String, as type: F.Type) -> F? {
            dlsym(UnsafeMutableRawPointer(bitPattern: address), name).map { unsafeBitCast($0, to: type) }
        }

        func needed<F>(_ name: String, as type: F.Type) throws(Refusal) -> F {
            guard let function = function(name, as: type) else { throw .failed(NVMLFault(call: name, status: .functionNotFound)) }
            return function
        }
    }

    /// Takes from milliseconds to seconds: where nobody else uses the GPUs the driver wakes them first.
    init(_ path: String) throws(Refusal) {
        let opened = try Opened(path)
        functions = Functions(
            shutDown: try opened.needed("nvmlShutdown", as: Plain.self),
            count: try opened.needed("nvmlDeviceGetCount_v2", as: ToNumber.self),
            device: try opened.needed("nvmlDeviceGetHandleByIndex_v2", as: ToDevice.self),
            uuid: opened.function("nvmlDeviceGetUUID", as: DeviceToText.self),
            name: opened.function("nvmlDeviceGetName", as: DeviceToText.self),
            energy: opened.function("nvmlDeviceGetTotalEnergyConsumption", as: DeviceToWide.self),
            power: opened.function("nvmlDeviceGetPowerUsage", as: DeviceToNumber.self),
            enforcedLimit: opened.function("nvmlDeviceGetEnforcedPowerLimit", as: DeviceToNumber.self),
            limits: opened.function("nvmlDeviceGetPowerManagementLimitConstraints", as: DeviceToPair.self),
            partitioning: opened.function("nvmlDeviceGetMigMode", as: DeviceToPair.self),
            processUse: opened.function("nvmlDeviceGetProcessUtilization", as: DeviceToUse.self),
            // The second and the third version fill the same structure; the first one's is shorter, and is not used.
            processes: opened.function("nvmlDeviceGetComputeRunningProcesses_v3", as: DeviceToProcesses.self)
                ?? opened.function("nvmlDeviceGetComputeRunningProcesses_v2", as: DeviceToProcesses.self)
        )
        self.opened = opened
        let code = try opened.needed("nvmlInit_v2", as: Plain.self)()
        isInitialised = code == 0
        guard code == 0 else { throw .failed(NVMLFault(call: "nvmlInit_v2", status: NVMLStatus(rawValue: code))) }
    }

    private let isInitialised: Bool

    deinit { if isInitialised { _ = functions.shutDown() } }

    private func check(_ call: StaticString, _ code: Int32) throws(NVMLFault) {
        guard code == 0 else { throw NVMLFault(call: "\(call)", status: NVMLStatus(rawValue: code)) }
    }

    private func has<F>(_ call: StaticString, _ function: F?) throws(NVMLFault) -> F {
        guard let function else { throw NVMLFault(call: "\(call)", status: .functionNotFound) }
        return function
    }

    func deviceCount() throws(NVMLFault) -> Int {
        var count: UInt32 = 0
        try check("nvmlDeviceGetCount_v2", functions.count(&count))
        return Int(count)
    }

    func device(at index: Int) throws(NVMLFault) -> Device {
        var device: Device = 0
        try check("nvmlDeviceGetHandleByIndex_v2", functions.device(UInt32(clamping: index), &device))
        return device
    }

    func uuid(of device: Device) throws(NVMLFault) -> String { try text("nvmlDeviceGetUUID", functions.uuid, device) }
    func name(of device: Device) throws(NVMLFault) -> String { try text("nvmlDeviceGetName", functions.name, device) }

    /// What the GPU has used since the driver was loaded, in mJ.
    func millijoules(of device: Device) throws(NVMLFault) -> UInt64 {
        let call: StaticString = "nvmlDeviceGetTotalEnergyConsumption"
        var value: UInt64 = 0
        try check(call, try has(call, functions.energy)(device, &value))
        return value
    }

    /// What the GPU and its memory draw, in mW: now, or on average over the last second, by the make.
    func milliwatts(of device: Device) throws(NVMLFault) -> UInt32 { try number("nvmlDeviceGetPowerUsage", functions.power, device) }

    func enforcedLimitMilliwatts(of device: Device) throws(NVMLFault) -> UInt32 {
        try number("nvmlDeviceGetEnforcedPowerLimit", functions.enforcedLimit, device)
    }

    /// The highest limit that the GPU can be set to, in mW.
    func highestLimitMilliwatts(of device: Device) throws(NVMLFault) -> UInt32 {
        try pair("nvmlDeviceGetPowerManagementLimitConstraints", functions.limits, device).1
    }

    /// Whether the GPU is partitioned into instances (MIG) at present.
    func isPartitioned(_ device: Device) throws(NVMLFault) -> Bool {
        try pair("nvmlDeviceGetMigMode", functions.partitioning, device).0 == 1
    }

    /// What processes used the GPU after an instant of the library's clock (µs since 1970), as the library lays it out.
    func processUse(of device: Device, after instant: UInt64) throws(NVMLFault) -> [UInt8] {
        let call: StaticString = "nvmlDeviceGetProcessUtilization"
        let function = try has(call, functions.processUse)
        do throws(NVMLFault) {
            // Asked for a size first; some drivers always answer 100 (https://github.com/NVIDIA/go-nvml/issues/11).
            return try list(call, stride: NVMLProcessList.useStride) { function(device, $0, $1, instant) }
        } catch {
            // Nobody used it.
            guard error.status == .notFound else { throw error }
            return []
        }
    }

    /// The processes that have a context on the GPU, as the library lays them out.
    func processes(of device: Device) throws(NVMLFault) -> [UInt8] {
        let call: StaticString = "nvmlDeviceGetComputeRunningProcesses"
        let function = try has(call, functions.processes)
        return try list(call, stride: NVMLProcessList.processStride) { function(device, $1, $0) }
    }

    /// A list whose length is not known before: asked for without room, then with the room that it says it needs.
    private func list(
        _ call: StaticString,
        stride: Int,
        _ fill: (UnsafeMutableRawPointer?, UnsafeMutablePointer<UInt32>) -> Int32
    ) throws(NVMLFault) -> [UInt8] {
        var count: UInt32 = 0
        var code = fill(nil, &count)
        var tries = 0
        var bytes: [UInt8] = []
        while code == NVMLStatus.insufficientSize.rawValue || (code == 0 && count > 0 && bytes.isEmpty) {
            tries += 1
            guard tries <= 4 else { throw NVMLFault(call: "\(call)", status: .insufficientSize) }
            // Processes come in between the calls.
            count = min(max(count, 8) * 2, 1 << 16)
            bytes = [UInt8](repeating: 0, count: Int(count) * stride)
            code = bytes.withUnsafeMutableBytes { fill($0.baseAddress, &count) }
        }
        try check(call, code)
        return Array(bytes.prefix(Int(count) * stride))
    }

    private func text(_ call: StaticString, _ function: DeviceToText?, _ device: Device) throws(NVMLFault) -> String {
        let function = try has(call, function)
        // The reference asks for 96 bytes at most.
        var bytes = [CChar](repeating: 0, count: 128)
        try check(call, function(device, &bytes, UInt32(bytes.count)))
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func number(_ call: StaticString, _ function: DeviceToNumber?, _ device: Device) throws(NVMLFault) -> UInt32 {
        var value: UInt32 = 0
        try check(call, try has(call, function)(device, &value))
        return value
    }

    private func pair(_ call: StaticString, _ function: DeviceToPair?, _ device: Device) throws(NVMLFault) -> (UInt32, UInt32) {
        var first: UInt32 = 0
        var second: UInt32 = 0
        try check(call, try has(call, function)(device, &first, &second))
        return (first, second)
    }
}
