"""The real traces at 10 Hz, as long as a machine's hour: the same samples for both sides, and the look at what was stored of them.

A trace (`t_s,socket,domain,energy_j`, every 5 ms, 10 to 19 s) gives for each meter a count that is read every 100 ms, as an exporter or an
agent reads it: the latest reading at or before that instant. A recording is traces in random order, one after another, until there is an
hour of it; since traces are not multiples of 100 ms long, the same trace is read at other instants each time. Counts are whole 100 uJ,
what the traces resolve.
"""

import bisect
import random

PERIOD_US = 100_000
UNIT_UJ = 100
# What `wattle-collector load` adds for host n (LoadHost): another phase of its timer and another count at the start.
PHASE_STEP_MS, PHASE_PERIOD_MS, BASE_STEP_UJ = 37, 100, 12_345_600_000


def phase_us(host):
    return host * PHASE_STEP_MS % PHASE_PERIOD_MS * 1000


def base_uj(host):
    return host * BASE_STEP_UJ


class Trace:
    """One measured run: for each meter the instants of its readings in us, and its count after each in UNIT_UJ."""

    def __init__(self, path):
        self.meters = {}
        with open(path, encoding="ascii") as lines:
            next(lines)
            for number, line in enumerate(lines, 2):
                fields = line.split(",")
                if len(fields) != 4:
                    raise ValueError(f"{path}, line {number}: expected t_s,socket,domain,energy_j, found {line.strip()}")
                times, counts = self.meters.setdefault(f"{fields[2]}-{fields[1]}", ([], [0]))
                times.append(round(float(fields[0]) * 1e6))
                counts.append(counts[-1] + round(float(fields[3]) * 1e6 / UNIT_UJ))
        self.length_us = max(times[-1] for times, _ in self.meters.values())


class Recording:
    """`times` in us from its start, and `counts` in UNIT_UJ of each meter, by the order of `names`."""

    def __init__(self, traces, seed, seconds):
        chance = random.Random(seed)
        self.names = sorted(traces[0].meters)
        end = seconds * 1_000_000
        self.times = list(range(0, end, PERIOD_US))
        self.counts = [[] for _ in self.names]
        at, before = 0, [0] * len(self.names)
        while at < end:
            trace = chance.choice(traces)
            first = -(-at // PERIOD_US) * PERIOD_US
            instants = range(first - at, min(at + trace.length_us, end) - at, PERIOD_US)
            for meter, name in enumerate(self.names):
                times, counts = trace.meters[name]
                start = before[meter]
                self.counts[meter].extend(start + counts[bisect.bisect_right(times, instant)] for instant in instants)
                before[meter] += counts[-1]
            at += trace.length_us
        assert all(len(counts) == len(self.times) for counts in self.counts)

    def write(self, path):
        """As `wattle-collector load --traces` reads it."""
        with open(path, "w", encoding="ascii") as file:
            file.write("t_us," + ",".join(self.names) + "\n")
            for sample, time in enumerate(self.times):
                file.write(f"{time}," + ",".join(str(counts[sample] * UNIT_UJ) for counts in self.counts) + "\n")


def read(folder, count, seconds):
    traces = [Trace(path) for path in sorted(folder.glob("*.csv"))]
    return [Recording(traces, seed, seconds) for seed in range(count)]


def largest_error_uj(recording, meter, host, start_us, knots):
    """Of every sample against the straight line between the knots on either side of it; `knots` are (us, uJ) in order of time."""
    shift, base, counts, times = start_us + phase_us(host), base_uj(host), recording.counts[meter], recording.times
    if knots[0][0] > shift or knots[-1][0] < shift + times[-1]:
        raise ValueError(f"host {host}, meter {meter}: expected knots around every sample, found {knots[0]} to {knots[-1]}")
    worst, sample, last = 0.0, 0, len(times)
    for (from_t, from_value), (to_t, to_value) in zip(knots, knots[1:]):
        slope = (to_value - from_value) / (to_t - from_t)
        # Differences first: they are small enough for a double to hold.
        t, value = shift - from_t, base - from_value
        while sample < last and times[sample] + shift <= to_t:
            error = counts[sample] * UNIT_UJ + value - slope * (times[sample] + t)
            worst = max(worst, error, -error)
            sample += 1
    return worst


def unpack(data):
    """The knots of a packed hour (`curve_hour.knots`), those beside it too; a reader of its own, by decision 0016."""
    position = 0

    def variable():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed():
        value = variable()
        return value >> 1 ^ -(value & 1)

    if variable() != 1:
        raise ValueError("expected a packed hour of format 1")
    time, value, knots = signed() * 3_600_000_000, 0, []
    head = variable()
    for place in range((head >> 2) + (head >> 1 & 1) + (head & 1)):
        first, second = (data[position] >> 4) + 1, (data[position] & 15) + 1
        size = (first + second + 1) // 2
        nibbles = int.from_bytes(data[position + 1:position + 1 + size], "little")
        position += 1 + size
        step, rise = nibbles & (1 << 4 * first) - 1, nibbles >> 4 * first
        if place == 0:
            step, rise = step >> 1 ^ -(step & 1), rise >> 1 ^ -(rise & 1)
        time, value = time + step, value + rise
        knots.append((time, value))
    return knots
