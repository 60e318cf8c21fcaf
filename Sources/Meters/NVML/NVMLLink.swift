import Synchronization

/// A meter's hold on the library, given up once its GPU is gone.
///
/// NVML sees a driver that was loaded anew, or a GPU that came back, only when everybody has let go of it and it is opened again.
final class NVMLLink: Sendable {
    /// As the meter is called.
    let name: String
    let gpu: NVMLGPU
    private let library: Mutex<NVMLLibrary?>

    init(name: String, gpu: NVMLGPU, library: NVMLLibrary) {
        self.name = name
        self.gpu = gpu
        self.library = Mutex(library)
    }

    /// Calls the library; a GPU that turns out to be gone is let go of.
    ///
    /// - Throws: `SensorFault`; `isVanished` from then on.
    func ask<Value>(_ call: (NVMLLibrary, NVMLLibrary.Device) throws(NVMLFault) -> Value) throws(SensorFault) -> Value {
        // Not held while the library works: it may hang.
        guard let library = library.withLock({ $0 }) else {
            throw NVMLFault(call: "nvmlDevice", status: .gpuIsLost).sensorFault(of: name)
        }
        do throws(NVMLFault) {
            return try call(library, gpu.device)
        } catch {
            let fault = error.sensorFault(of: name)
            if fault.isVanished { self.library.withLock { $0 = nil } }
            throw fault
        }
    }
}
