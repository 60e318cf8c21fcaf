import Energy
import Postgres
import Testing

@testable import Collector

/// No transaction ends with slices that do not add up to their host-hour, whatever it does on the way.
@Suite struct LedgerChecksTests {
    /// An accounted hour with a job.
    private static func settle(_ farm: Farm) async throws {
        let token = try await farm.token("a", host: "bremusa")
        var reporter = Reporter(host: "bremusa")
        _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
        try await farm.post(AccountsTests.job)
        farm.clock.now = at(3_700)
        try await farm.account()
        #expect(try await farm.count("slice") == 1)
    }

    @Test(arguments: [
        "TRUNCATE host_hour",
        "TRUNCATE TABLE_OF_SLICES",
        "TRUNCATE TABLE_OF_SLICES, host_hour",
        // The checks are made at once, and once more for what comes after.
        "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM TABLE_OF_SLICES; COMMIT",
        "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; DELETE FROM TABLE_OF_SLICES; COMMIT",
        "BEGIN; UPDATE host_hour SET flags = 0; SET CONSTRAINTS ALL IMMEDIATE; UPDATE TABLE_OF_SLICES SET dynamic_uj = dynamic_uj + 1; COMMIT",
        "BEGIN; UPDATE host_hour SET flags = 0; SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; DELETE FROM TABLE_OF_SLICES; COMMIT",
        "BEGIN; SAVEPOINT a; UPDATE host_hour SET flags = 0; RELEASE a; DELETE FROM TABLE_OF_SLICES; COMMIT",
        "BEGIN; SAVEPOINT a; UPDATE host_hour SET flags = 0; ROLLBACK TO a; DELETE FROM TABLE_OF_SLICES; COMMIT",
        "BEGIN; DELETE FROM TABLE_OF_SLICES; SAVEPOINT a; UPDATE host_hour SET flags = 0; ROLLBACK TO a; COMMIT",
    ])
    func nothingEvadesThem(sql: String) async throws {
        try await Farm.with { farm in
            try await Self.settle(farm)
            let before = try await farm.ledger()
            let sql = sql.replacing("TABLE_OF_SLICES", with: try await Self.tableOfSlices(farm))
            do {
                try await farm.connection.executeScript(sql)
                Issue.record("\(sql) was taken")
            } catch let error as PostgresError {
                #expect(error.isCheckViolation && error.constraintName == "slices_add_up", "\(error)")
            }
            try await farm.connection.executeScript("ROLLBACK")
            #expect(try await farm.ledger() == before)
        }
    }

    @Test(arguments: [
        // Both of an hour, within savepoints and in either order.
        "BEGIN; SAVEPOINT a; DELETE FROM host_hour; SAVEPOINT b; DELETE FROM TABLE_OF_SLICES; RELEASE b; RELEASE a; COMMIT",
        "BEGIN; DELETE FROM TABLE_OF_SLICES; SAVEPOINT a; DELETE FROM host_hour; COMMIT",
        """
        BEGIN; CREATE TEMP TABLE h ON COMMIT DROP AS SELECT * FROM host_hour; CREATE TEMP TABLE s ON COMMIT DROP AS SELECT * FROM TABLE_OF_SLICES;
        SAVEPOINT a; DELETE FROM host_hour; DELETE FROM TABLE_OF_SLICES; SAVEPOINT b; INSERT INTO host_hour SELECT * FROM h;
        SAVEPOINT c; INSERT INTO TABLE_OF_SLICES SELECT * FROM s; RELEASE c; COMMIT
        """,
        // What is undone is no change.
        "BEGIN; SAVEPOINT a; DELETE FROM TABLE_OF_SLICES; ROLLBACK TO a; COMMIT",
    ])
    func savepointsWithinATransactionThatKeepsTheSumsAreNoMatter(sql: String) async throws {
        try await Farm.with { farm in
            try await Self.settle(farm)
            try await farm.connection.executeScript(sql.replacing("TABLE_OF_SLICES", with: try await Self.tableOfSlices(farm)))
            #expect(try await farm.count("slice") == farm.count("host_hour"))
            #expect(try await farm.count("unchecked_hour") == 0)
        }
    }

    /// The table itself, whatever view is on it.
    static func tableOfSlices(_ farm: Farm) async throws -> String {
        try await farm.connection.query(
            Statement("table_of_slices", "SELECT coalesce(to_regclass('stored_slice'), 'slice'::regclass)::text AS name")
        ).only().string("name")
    }
}
