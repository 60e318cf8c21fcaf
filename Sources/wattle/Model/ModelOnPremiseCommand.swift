import ArgumentParser
import Carbon
import CarbonDocuments
import Documents
import FactorTables
import Factors
import Glibc
import Tracker

/// `wattle model on-premise FILE.csv`: machines of one's own by the Cloud Carbon Footprint application's model.
struct ModelOnPremiseCommand: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json, csv
    }

    static let configuration = CommandConfiguration(
        commandName: "on-premise",
        abstract: "Energy and CO2e of machines of your own, from the Cloud Carbon Footprint application's CSV.",
        discussion: """
            Columns: cpuDescription, memory (GB) and one of dailyUptime, weeklyUptime, monthlyUptime, annualUptime (hours) at least; \
            country (a code or its English name), cpuUtilization, powerUsageEffectiveness and machineName where known. The watts \
            are a whole server's: too many for small machines. Intensities are the yearly ones of countries; without a country CO2e \
            is not known. Rows that cannot be read are told on standard error, and end with exit code 1.

            EXAMPLES
              wattle model on-premise machines.csv
              wattle model on-premise machines.csv --format json
            """
    )

    private static let mostBytes = 16 << 20

    @Argument(help: ArgumentHelp("The table; - for standard input.", valueName: "file"))
    var file: String

    @Option(help: ArgumentHelp("table, json or csv.", valueName: "format"))
    var format = Format.table

    func run() throws {
        guard let bytes = InputFile.read(file, atMost: Self.mostBytes) else {
            throw Failure.failed("\(file): expected a table that can be read, found \(String(cString: strerror(errno)))")
        }
        let answer: OnPremiseAnswer
        do {
            let table = try CSVTable(parsing: String(decoding: bytes, as: UTF8.self))
            answer = try OnPremiseAnswer(header: table.header, rows: table.rows, by: try Self.tables())
        } catch let error as CSVError {
            throw Failure.failed("\(file): \(error)")
        } catch let fault as FactorRows.Fault {
            throw Failure.failed("\(file): \(fault)")
        }
        switch format {
        case .json: StandardOutput.write(try answer.json.text + "\n")
        case .table: StandardOutput.write(Self.table(answer).text)
        case .csv: StandardOutput.write(Self.table(answer).csv)
        }
        for fault in answer.faults { StandardError.write("wattle: \(file): \(fault)\n") }
        if !answer.faults.isEmpty { throw ExitCode(1) }
    }

    private static func tables() throws -> OnPremiseTables {
        func rows(_ name: String, _ text: String) throws -> FactorRows {
            let table = try CSVTable(parsing: text)
            return FactorRows(name: name, header: table.header, rows: table.rows)
        }
        return try OnPremiseTables(
            architectures: rows("cpu_architectures.csv", FactorTables.cpuArchitectures),
            families: rows("cpu_model_families.csv", FactorTables.cpuModelFamilies),
            countries: rows("country_intensity.csv", Factors.countryIntensityCSV)
        )
    }

    private static func table(_ answer: OnPremiseAnswer) -> TextTable {
        TextTable(
            columns: [
                .right("row"), .left("machine"), .left("period"), .right("kWh"), .right("kg CO2e"), .left("zone"), .right("g/kWh"),
                .left("basis"), .left("architecture"), .left("notes"),
            ],
            rows: answer.report.lines.map { line in
                let intensity = answer.intensity(of: line)
                return [
                    "\(line.row.number)", line.row.name, line.period.rawValue, DecimalText.significant(line.energy.kilowattHours, 4),
                    line.emissions.map { DecimalText.significant($0.kilograms, 4) } ?? "not known", intensity?.zone ?? "-",
                    GridTables.grams(intensity?.gramsPerKilowattHour), intensity?.basis.description ?? "-",
                    "\(line.architecture) (\(line.match.rawValue))",
                    (line.row.notes + [line.missing].compactMap { $0 }).joined(separator: "; "),
                ]
            }
        )
    }
}
