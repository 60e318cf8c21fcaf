/// Files of µW that are asked one after the other on a thread: a mailbox or a slow bus may be behind each.
final class PowerFiles: PolledPower.Source {
    private let files: [Result<SensorFile, SensorFault>]

    init(paths: [String], files: any FileOpening) {
        self.files = paths.map { path in
            do throws(SensorFault) {
                return .success(try SensorFile(path, files: files))
            } catch {
                return .failure(error)
            }
        }
    }

    func ask(_ give: (_ channel: Int, PolledPower.Answer) -> Void) {
        for (channel, file) in files.enumerated() {
            do throws(SensorFault) {
                give(channel, .power(microwatts: try file.get().number(), taken: nil))
            } catch {
                give(channel, .fault(error))
            }
        }
    }
}
