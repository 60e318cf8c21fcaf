/// A numbered step of the schema. Append-only: a released step is never edited, a new one follows it.
public struct Migration: Sendable {
    public let number: Int
    public let name: String
    public let sql: String
}

/// The schema's steps in order, embedded from the SQL files beside this one.
public enum Migrations {
    public static let all: [Migration] = [
        Migration(number: 1, name: "spine", sql: String(decoding: PackageResources.m0001_spine_sql, as: UTF8.self)),
        Migration(
            number: 2,
            name: "workload_identity",
            sql: String(decoding: PackageResources.m0002_workload_identity_sql, as: UTF8.self)
        ),
        Migration(number: 3, name: "front_door", sql: String(decoding: PackageResources.m0003_front_door_sql, as: UTF8.self)),
        Migration(number: 4, name: "accounting", sql: String(decoding: PackageResources.m0004_accounting_sql, as: UTF8.self)),
        Migration(number: 5, name: "telemetry", sql: String(decoding: PackageResources.m0005_telemetry_sql, as: UTF8.self)),
        Migration(number: 6, name: "storage", sql: String(decoding: PackageResources.m0006_storage_sql, as: UTF8.self)),
        Migration(number: 7, name: "ingest", sql: String(decoding: PackageResources.m0007_ingest_sql, as: UTF8.self)),
        Migration(number: 8, name: "days", sql: String(decoding: PackageResources.m0008_days_sql, as: UTF8.self)),
        Migration(number: 9, name: "carbon", sql: String(decoding: PackageResources.m0009_carbon_sql, as: UTF8.self)),
    ]
}
