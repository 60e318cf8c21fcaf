import Glibc

/// What a function of NVML returns (`nvmlReturn_t`, declared by hand from the NVML API reference).
struct NVMLStatus: RawRepresentable, Hashable, Sendable {
    let rawValue: Int32

    static let success = NVMLStatus(rawValue: 0)
    static let uninitialized = NVMLStatus(rawValue: 1)
    static let invalidArgument = NVMLStatus(rawValue: 2)
    static let notSupported = NVMLStatus(rawValue: 3)
    static let noPermission = NVMLStatus(rawValue: 4)
    static let notFound = NVMLStatus(rawValue: 6)
    static let insufficientSize = NVMLStatus(rawValue: 7)
    static let driverNotLoaded = NVMLStatus(rawValue: 9)
    static let timeout = NVMLStatus(rawValue: 10)
    static let functionNotFound = NVMLStatus(rawValue: 13)
    static let gpuIsLost = NVMLStatus(rawValue: 15)
    static let resetRequired = NVMLStatus(rawValue: 16)
    static let versionMismatch = NVMLStatus(rawValue: 18)
    static let gpuNotFound = NVMLStatus(rawValue: 28)

    /// As the API reference calls it, without `NVML_ERROR_`.
    var name: String {
        switch self {
        case .success: "SUCCESS"
        case .uninitialized: "UNINITIALIZED"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .notSupported: "NOT_SUPPORTED"
        case .noPermission: "NO_PERMISSION"
        case .notFound: "NOT_FOUND"
        case .insufficientSize: "INSUFFICIENT_SIZE"
        case .driverNotLoaded: "DRIVER_NOT_LOADED"
        case .timeout: "TIMEOUT"
        case .functionNotFound: "FUNCTION_NOT_FOUND"
        case .gpuIsLost: "GPU_IS_LOST"
        case .resetRequired: "RESET_REQUIRED"
        case .versionMismatch: "LIB_RM_VERSION_MISMATCH"
        case .gpuNotFound: "GPU_NOT_FOUND"
        default: "error \(rawValue)"
        }
    }

    /// The GPU or its driver has no such figure; another call may have it.
    var isAbsence: Bool { self == .notSupported || self == .functionNotFound }

    /// The nearest `errno`, so that a GPU that is gone counts as vanished.
    var errno: Int32 {
        switch self {
        case .uninitialized, .driverNotLoaded, .versionMismatch, .gpuIsLost, .resetRequired, .gpuNotFound: ENODEV
        case .invalidArgument: EINVAL
        case .notSupported, .functionNotFound: EOPNOTSUPP
        case .noPermission: EPERM
        case .notFound: ENODATA
        case .timeout: ETIMEDOUT
        default: EIO
        }
    }

    /// What an operator can do about it; nil where nothing can be done.
    var remedy: String? {
        switch self {
        case .noPermission:
            "let the agent open /dev/nvidiactl and /dev/nvidia0 and on: DeviceAllow=char-nvidia* in its unit, --gpus of its container"
        case .driverNotLoaded, .uninitialized:
            "load the driver (nvidia-smi must list the GPU), and let the agent open /dev/nvidiactl and /dev/nvidia0 and on"
        case .versionMismatch: "the driver's library and kernel module differ since an update: load the module anew, or reboot"
        case .gpuIsLost, .resetRequired: "reset the GPU (nvidia-smi --gpu-reset) or reboot; the kernel's log has the reason (Xid)"
        case .functionNotFound: "install a newer driver"
        case .notSupported: nil
        default: "see whether nvidia-smi answers, and what it says"
        }
    }
}

/// A call of NVML that failed.
struct NVMLFault: Error, Hashable, Sendable {
    var call: String
    var status: NVMLStatus

    /// - Parameter source: whom it was asked about, as a meter is called.
    func sensorFault(of source: String) -> SensorFault {
        SensorFault(path: "\(source): \(call): NVML_ERROR_\(status.name)", errno: status.errno)
    }
}
