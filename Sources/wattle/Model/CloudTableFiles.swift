import Carbon
import FactorTables
import Factors

/// The tables of the cloud model: the program's own, or a folder's.
enum CloudTableFiles {
    static func model(folder: String?) throws -> CCFModel {
        let instances = try rows("cloud_instances.csv", folder) { FactorTables.cloudInstances }
        let architectures = try rows("cpu_architectures.csv", folder) { FactorTables.cpuArchitectures }
        do throws(FactorRows.Fault) {
            return CCFModel(try CloudCatalogue(instances: instances, architectures: architectures))
        } catch {
            throw Failure.usage(error.description)
        }
    }

    private static func rows(_ name: String, _ folder: String?, _ own: () -> String) throws -> FactorRows {
        var text: String
        if let folder {
            guard let bytes = InputFile.read("\(folder)/\(name)", atMost: 64 << 20) else {
                throw Failure.usage("--factors: expected \(folder)/\(name), found no file that can be read")
            }
            text = String(decoding: bytes, as: UTF8.self)
        } else {
            text = own()
        }
        do throws(CSVError) {
            let table = try CSVTable(parsing: text)
            return FactorRows(name: name, header: table.header, rows: table.rows)
        } catch {
            throw Failure.usage("\(name): \(error.description)")
        }
    }
}
