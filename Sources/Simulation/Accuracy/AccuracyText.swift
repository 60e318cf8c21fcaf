/// The table as Markdown.
extension AccuracyTable {
    public var markdown: String {
        var text = ""
        text += "### All families together\n\n"
        text += """
            Median / 95th percentile of the relative error, in percent. A tool that has nothing to go by in a family (no counters, no
            cgroups) is not counted there, so that its line is over fewer families than ours: ours has the hardest of them in it. *Lost*:
            the part of the jobs of which a tool said nothing, which is an error of 100 %.


            """
        text += Self.head(["tool", "samples"] + Self.presentLengths(samples).map { "jobs of \($0.name)" })
        for line in Self.lines {
            let cells = Self.presentLengths(samples).map { cell(pooled(line, $0)) }
            guard cells.contains(where: { $0 != "-" }) else { continue }
            text += Self.row([Self.title(line), Self.sampling(of: line.tool)] + cells)
        }
        text += "\n### By family\n\nEach cell as above; a dash: nothing to go by.\n"
        for family in NoiseFamily.allCases where samples.keys.contains(where: { $0.family == family }) {
            text += "\n#### `\(family.rawValue)`: \(family.explanation)\n\n"
            text += Self.head(["tool"] + Self.presentLengths(samples).map { "jobs of \($0.name)" })
            for line in Self.lines {
                let cells = Self.presentLengths(samples).map { length in
                    samples[Key(family: family, length: length, line: line)].map { cell($0) } ?? "-"
                }
                guard cells.contains(where: { $0 != "-" }) else { continue }
                text += Self.row([Self.title(line)] + cells)
            }
        }
        text += "\n### Where ours is not the lowest\n\n"
        let losses = losses
        if losses.isEmpty {
            text += "Nowhere: in each family and length of jobs our median and our 95th percentile are the lowest.\n"
        } else {
            text += "Of \(comparisons) comparisons of a median or a 95th percentile, \(losses.count) are lost:\n\n"
            text += Self.head(["family", "jobs of", "tool", "statistic", "theirs", "ours"])
            for loss in losses {
                text += Self.row([
                    "`\(loss.key.family.rawValue)`", loss.key.length.name, Self.title(loss.key.line), loss.statistic,
                    DecimalText.percent(loss.theirs), DecimalText.percent(loss.ours),
                ])
            }
        }
        text += "\n### What another idea of the truth would change\n\n"
        text += """
            Dynamic energy by proportion (the truth used here) against a job's Shapley value over whole jobs, and against what would not
            have flowed without it: median / 95th percentile in percent, jobs of 30 s. It is no error of any tool: it is how much the
            question matters.


            """
        text += Self.head(["family", "Shapley value", "marginal energy"])
        for family in NoiseFamily.allCases {
            guard let others = otherTruths[family] else { continue }
            text += Self.row(["`\(family.rawValue)`", cell(others.shapley), cell(others.marginal)])
        }
        return text
    }

    private var comparisons: Int {
        2 * samples.count { key, sample in key.line.tool != Self.ours && !sample.errors.isEmpty }
    }

    private static func presentLengths(_ samples: [Key: ErrorSample]) -> [JobLength] {
        let present = Set(samples.keys.map(\.length))
        return lengths.filter(present.contains)
    }

    private static func title(_ line: Line) -> String {
        let name = line.tool == ours ? "**\(ours)**" : line.tool
        return line.isDynamicOnly ? "\(name), against dynamic energy" : name
    }

    private static func sampling(of tool: String) -> String {
        PeerTools.all.first { $0.name == tool }?.sampling ?? "10 Hz, 1 s, edges"
    }

    private func cell(_ sample: ErrorSample) -> String {
        guard !sample.errors.isEmpty else { return "-" }
        let figures = "\(DecimalText.percent(sample.median)) / \(DecimalText.percent(sample.percentile95))"
        let lost = Double(sample.silent) / Double(sample.errors.count)
        return lost >= 0.005 ? "\(figures) (\(DecimalText.fixed(lost * 100, 0)) % lost)" : figures
    }

    static func head(_ cells: [String]) -> String { row(cells) + row(cells.map { _ in "---" }) }

    static func row(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |\n" }
}
