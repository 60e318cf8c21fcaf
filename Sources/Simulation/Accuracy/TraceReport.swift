/// What the replay of recordings says, as Markdown.
public enum TraceReport {
    public static func markdown(recordings: [TraceWindows], windowsPerZone: Int = 200) -> String {
        var text = """
            \(recordings.count) recordings of RAPL's registers at about 5 ms, through the agent's unwrapping (each register turns over once)
            and thinning (epsilon 1 J) at 10 Hz; \(windowsPerZone) windows at random per zone and length. *Edges read*: the agent was told
            of the window and read at both ends, as it does for a job's cgroup. Where the page was made with the recordings of
            github.com/lukalt/icpe-2024-rapl-validation (ICPE 2024, GPL-3.0; not part of this project), they are of a 2-socket Broadwell-EP,
            eight workloads of 10 to 19 s. What was recorded is taken to flow evenly between two rows.


            """
        text += AccuracyTable.head([
            "window", "edges", "windows", "median %", "95th percentile %", "median J", "95th percentile J", "largest J",
        ])
        for (seconds, name) in [(0.5, "0.5 s"), (2, "2 s"), (5, "5 s")] {
            for readEdges in [true, false] {
                var all = TraceWindows.Result()
                for (index, recording) in recordings.enumerated() {
                    all += recording.errors(
                        seconds: seconds,
                        readEdges: readEdges,
                        count: windowsPerZone,
                        seed: UInt64(index * 10) + (readEdges ? 1 : 2)
                    )
                }
                guard let largest = all.joules.last else { continue }
                let middle = all.joules[all.joules.count / 2]
                let high = all.joules[min(all.joules.count - 1, all.joules.count * 95 / 100)]
                text += AccuracyTable.row([
                    name, readEdges ? "read" : "not read", "\(all.joules.count)", DecimalText.percent(all.relative.median),
                    DecimalText.percent(all.relative.percentile95), DecimalText.fixed(middle, 3), DecimalText.fixed(high, 3),
                    DecimalText.fixed(largest, 3),
                ])
            }
        }
        return text
    }
}
