extension MeterRules {
    /// The text of `config/meters.yaml`, which the collector carries.
    public static let shippedText = String(decoding: PackageResources.meters_yaml, as: UTF8.self)
}
