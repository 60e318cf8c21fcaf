import Factors
import Testing

@Suite("A CSV table")
struct CSVTableTests {
    @Test("a field is found by row and column name, and an unknown column is nil")
    func fieldByName() throws {
        let table = try CSVTable(parsing: "zone,year\nGB,2023\nFR,\n")
        #expect(table.header == ["zone", "year"])
        #expect(table.rows == [["GB", "2023"], ["FR", ""]])
        #expect(table[0, "year"] == "2023")
        #expect(table[1, "year"] == "")
        #expect(table[1, "name"] == nil)
    }

    @Test("commas, doubled quotes and line ends inside quotes belong to the field")
    func quoting() throws {
        let table = try CSVTable(parsing: "a,b\n\"x, \"\"y\"\"\",\"one\r\ntwo\"\n\"\",é\n")
        #expect(table.rows == [["x, \"y\"", "one\r\ntwo"], ["", "é"]])
        #expect(table.lines == [2, 4])
    }

    @Test(
        "LF, CRLF, a missing last line end and a byte order mark all read alike",
        arguments: ["a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\n1,2", "\u{FEFF}a,b\n1,2"]
    )
    func lineEnds(text: String) throws {
        let table = try CSVTable(parsing: text)
        #expect(table.header == ["a", "b"])
        #expect(table.rows == [["1", "2"]])
    }

    @Test("a trailing comma is an empty last field, also without a line end")
    func trailingComma() throws {
        #expect(try CSVTable(parsing: "a,b\n1,").rows == [["1", ""]])
        #expect(try CSVTable(parsing: "a,b\n1,\n").rows == [["1", ""]])
    }

    @Test(
        "a fault names its line",
        arguments: [
            ("", CSVError.noHeader),
            ("a,b,a\n", .columnTwice(name: "a")),
            ("a,b\n1,2\n1,2,3\n", .fieldCount(line: 3, expected: 2, found: 3)),
            ("a,b\n\"1\n\",2\n1\n", .fieldCount(line: 4, expected: 2, found: 1)),
            ("a,b\n\n", .fieldCount(line: 2, expected: 2, found: 1)),
            ("a,b\n1\"2,3\n", .quoteInsideField(line: 2)),
            ("a,b\n\"1\"2,3\n", .textAfterQuote(line: 2)),
            ("a,b\n1,\"2\n", .quoteNotClosed(line: 2)),
        ]
    )
    func fault(text: String, expected: CSVError) {
        #expect(throws: expected) { try CSVTable(parsing: text) }
    }
}
