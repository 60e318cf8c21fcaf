import Carbon
import Documents
import Energy
import Store

/// A machine that nobody can meter, put together from what a job says of it, its host's record and its class, in this order.
struct HostedMachine: Sendable {
    /// What one of them says.
    struct Word: Sendable {
        var cloud: CloudPlacement?
        var gridZone: String?
        var pue: Double?
        /// Of a host's site.
        var water: WUE?

        init(cloud: CloudPlacement? = nil, gridZone: String? = nil, pue: Double? = nil, water: WUE? = nil) {
            self.cloud = cloud
            self.gridZone = gridZone
            self.pue = pue
            self.water = water
        }
    }

    /// The energy's model.
    enum Kind: Sendable {
        case cloud(CloudPlacement)
        case watts(HostClass.Watts)
    }

    /// Why something is not known, by the word that answers have for it.
    enum Missing: String, Error {
        case classUnknown = "host_class_unknown"
        case vendorUnknown = "cloud_vendor_unknown"
        case typeUnknown = "cloud_type_unknown"
        case regionUnknown = "cloud_region_unknown"
        case noZone = "no_zone"
        case noPUE = "no_pue"
        case noWater = "no_wue"
        case noEmbodied = "no_embodied_figure"
    }

    /// `github/ubuntu-24.04-x64`, `cloud/aws/m5n.large`.
    let name: String
    let kind: Result<Kind, Missing>
    /// The part of the vCPUs' time that a job is taken to use when it does not say, 0...1.
    let utilisation: Double
    /// The job's part of the machine, 0...1.
    let share: Double
    let zone: Result<String, Missing>
    /// The country that the region's zone is a part of, where it is one: a coarser factor, for want of a finer one.
    let country: String?
    let pue: Result<Double, Missing>
    let water: Result<WUE, Missing>
    /// As it was named, for the answer.
    let region: String?

    /// - Parameters:
    ///   - words: what is said of the machine, the nearest to the job first.
    ///   - hostClass: the class of that name; nil where nobody described it.
    init(name: String, words: [Word], hostClass: HostClass?, share: Double = 1, _ regions: CloudRegions) {
        self.name = name
        self.share = share
        let all = words + (hostClass.map { [Word(cloud: $0.cloud, gridZone: $0.gridZone, pue: $0.pue)] } ?? [])
        if let cloud = all.lazy.compactMap(\.cloud).first(where: { $0.instanceType != nil }) {
            kind = .success(.cloud(cloud))
        } else {
            kind = hostClass?.watts.map { .success(.watts($0)) } ?? .failure(.classUnknown)
        }
        utilisation = hostClass?.utilisation ?? HostClass.assumedUtilisation
        // Whoever says a place first says it all: the building of another one is not its building.
        let place = all.first { $0.gridZone != nil || $0.cloud?.region != nil }
        let named = place?.cloud?.region
        region = named
        var found: Result<CloudRegion, Missing> = .failure(.noZone)
        if let place, let name = named {
            found = regions.region(name, of: place.cloud?.vendor ?? "").map { .success($0) } ?? .failure(.regionUnknown)
        }
        zone = place?.gridZone.map { .success($0) } ?? found.map(\.zone.key)
        if place?.gridZone == nil, case .success(let region) = found, region.country != region.zone {
            country = region.country.key
        } else {
            country = nil
        }
        let stated = all.lazy.compactMap(\.pue).first
        pue = stated.map { .success($0) } ?? found.map(\.pue.ratio).mapError { $0 == .noZone ? .noPUE : $0 }
        if let water = place?.water ?? all.lazy.compactMap(\.water).first {
            self.water = .success(water)
        } else {
            water = found.mapError { $0 == .noZone ? .noWater : $0 }.flatMap { $0.wue.map { .success($0) } ?? .failure(.noWater) }
        }
    }

    /// What a job's own fields say; nothing where they say nothing, or what no writer is let in with.
    static func word(of fields: [String: JSONValue]) -> Word {
        Word(
            cloud: fields["cloud"].flatMap(Self.cloud),
            gridZone: fields["grid_zone"]?.string.flatMap { GridZone($0)?.key },
            pue: fields["pue"]?.double.flatMap { PUE($0)?.ratio }
        )
    }

    static func cloud(_ value: JSONValue) -> CloudPlacement? {
        do throws(CloudPlacement.Fault) { return try CloudPlacement(value) } catch { return nil }
    }

    /// What a job that names its machine's type itself is listed under; nil for any other.
    static func className(of fields: [String: JSONValue]) -> String? {
        fields["cloud"].flatMap(cloud).flatMap(className)
    }

    static func className(of cloud: CloudPlacement) -> String? {
        guard let vendor = cloud.vendor, let type = cloud.instanceType else { return nil }
        return "\(prefix)\(vendor)/\(type.lowercased().replacing(" ", with: "_"))"
    }

    /// Of such names.
    static let prefix = "cloud/"
}
