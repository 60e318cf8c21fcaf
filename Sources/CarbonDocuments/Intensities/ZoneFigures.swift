public import Carbon
public import Energy

/// An intensity with what is told of where it came from.
public struct SourcedIntensity: Hashable, Sendable {
    public var intensity: Intensity
    /// What it is of; a yearly one of all times.
    public var interval: Interval
    /// The number of its row in a collector's database.
    public var id: Int64?
    /// The provider's own edition.
    public var edition: String?
    public var source: String?
    public var licence: String?
    public var fetchedAt: Timestamp?
    /// Whether its value may not be told: id, source and date may.
    public var isWithheld = false

    public init(_ intensity: Intensity, of interval: Interval) {
        self.intensity = intensity
        self.interval = interval
    }
}

/// What is known of the intensity in a zone over a time: pieces without holes, nil where nothing is known.
public struct ZoneFigures: Hashable, Sendable {
    public struct Piece: Hashable, Sendable {
        public var interval: Interval
        public var figure: SourcedIntensity?

        public init(_ interval: Interval, _ figure: SourcedIntensity?) {
            self.interval = interval
            self.figure = figure
        }
    }

    public let zone: String
    /// In order.
    public let pieces: [Piece]
    /// The last actual or estimated figure that began before it was asked; `LatestFigure` tells how old it is.
    public var latest: SourcedIntensity?
    /// How far this zone's forecasts were from what came; nil where none is kept beside what came.
    public var forecastError: ForecastError?
    /// Whether that may not be told: it tells of figures that may not be.
    public var isForecastErrorWithheld = false

    public init(zone: String, pieces: [Piece]) {
        self.zone = zone
        self.pieces = pieces.filter { !$0.interval.isEmpty }
    }

    /// Of several figures for an instant that of the best kind, among those the last edition, and among those the last in order.
    ///
    /// - Parameters:
    ///   - figures: of this zone and one basis; others are passed over, another basis than the first one's too.
    public init(zone: String, choosingFrom figures: [SourcedIntensity], over interval: Interval) {
        let basis = figures.first { $0.intensity.zone == zone }?.intensity.basis
        let fitting = figures.filter {
            $0.intensity.zone == zone && $0.intensity.basis == basis && $0.interval.intersection(interval) != nil
        }
        var edges: Set<Timestamp> = [interval.start, interval.end]
        for figure in fitting {
            edges.formUnion([figure.interval.start, figure.interval.end].filter { interval.start < $0 && $0 < interval.end })
        }
        let sorted = edges.sorted()
        let begin = fitting.enumerated().sorted { ($0.element.interval.start, $0.offset) < ($1.element.interval.start, $1.offset) }
        var next = 0
        var open: [(offset: Int, element: SourcedIntensity)] = []
        var pieces: [Piece] = []
        for (from, to) in zip(sorted, sorted.dropFirst()) {
            while next < begin.count, begin[next].element.interval.start <= from {
                open.append((begin[next].offset, begin[next].element))
                next += 1
            }
            open.removeAll { $0.element.interval.end <= from }
            let best = open.max { Self.rank($0.element, $0.offset) < Self.rank($1.element, $1.offset) }?.element
            if let last = pieces.last, last.figure == best {
                pieces[pieces.count - 1].interval = Interval(last.interval.start, to)
            } else {
                pieces.append(Piece(Interval(from, to), best))
            }
        }
        self.init(zone: zone, pieces: pieces)
    }

    private static func rank(_ figure: SourcedIntensity, _ offset: Int) -> (Int, String, Int) {
        let kind = Intensity.Kind.allCases.firstIndex(of: figure.intensity.kind) ?? Intensity.Kind.allCases.count
        return (-kind, figure.edition ?? "", offset)
    }

    /// What counts at an instant.
    public func piece(at time: Timestamp) -> Piece? { pieces.first { $0.interval.contains(time) } }

    /// Every basis there is, that which counts first: of figures of single hours before yearly ones, then what covers more of the time.
    public var bases: [Intensity.Basis] {
        var time: [Intensity.Basis: (fine: Int64, all: Int64)] = [:]
        for piece in pieces {
            guard let intensity = piece.figure?.intensity else { continue }
            let length = piece.interval.duration.count
            time[intensity.basis, default: (0, 0)].all += length
            if intensity.kind != .yearly { time[intensity.basis, default: (0, 0)].fine += length }
        }
        return time.sorted { ($1.value.fine, $1.value.all, $0.key.description) < ($0.value.fine, $0.value.all, $1.key.description) }
            .map(\.key)
    }

    /// Figures of one basis; what is of another is not known in it. Values that may not be told are in it: it is for computing.
    public func curve(of basis: Intensity.Basis) throws(IntensityCurve.Fault) -> IntensityCurve {
        try IntensityCurve(
            pieces.compactMap { piece in
                piece.figure.flatMap { $0.intensity.basis == basis ? IntensityCurve.Piece(piece.interval, $0.intensity) : nil }
            }
        )
    }

    /// Whether any value is one that may not be told.
    public var holdsWithheld: Bool { pieces.contains { $0.figure?.isWithheld == true } }

    /// Whether there is any figure at all.
    public var isKnown: Bool { pieces.contains { $0.figure != nil } }

    /// Whether every figure is a yearly one: waiting changes nothing.
    public var isYearlyOnly: Bool { isKnown && pieces.allSatisfy { $0.figure.map { $0.intensity.kind == .yearly } ?? true } }
}

/// How old the last figure of a zone is.
public struct LatestFigure: Hashable, Sendable {
    public let figure: SourcedIntensity
    public let age: Microseconds
    /// The next one should be there: two of its steps have gone by since its end.
    public let isStale: Bool

    public init(_ figure: SourcedIntensity, now: Timestamp) {
        self.figure = figure
        age = max(.zero, now - figure.interval.end)
        let (step, isEndless) = figure.interval.end.microseconds.subtractingReportingOverflow(figure.interval.start.microseconds)
        isStale = !isEndless && age.count / 2 > step
    }
}
