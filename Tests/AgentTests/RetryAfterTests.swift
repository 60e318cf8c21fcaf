import Energy
import HTTPClient
import Testing

@testable import Agent

struct RetryAfterTests {
    private let now = Timestamp(microseconds: 784_111_777_000_000)

    @Test(arguments: ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
    func theThreeFormsOfADateAreRead(text: String) {
        #expect(HTTPDate.time(parsing: text) == now)
    }

    @Test func datesAreCountedThroughLeapYears() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800), ("Fri, 31 Dec 2100 23:59:59 GMT", 4_133_980_799),
        ] as [(String, Int64)] {
            #expect(HTTPDate.time(parsing: text) == Timestamp(microseconds: seconds * 1_000_000))
        }
    }

    @Test(arguments: [
        "", "soon", "-5", "1.5", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 8:49 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1900 00:00:00 GMT", "Sun, 06 Nov 19941 08:49:37 GMT",
    ])
    func whatIsNeitherSecondsNorADateSaysNothing(text: String) {
        #expect(RetryAfter.delay(text, date: nil, now: now) == nil)
    }

    @Test func secondsAreTakenUpToAnHour() {
        for (text, seconds) in [("0", 0), ("120", 120), ("3600", 3_600), ("3601", 3_600), ("99999999999999999999999", 3_600)]
            as [(String, Int64)]
        {
            #expect(RetryAfter.delay(text, date: nil, now: now) == .seconds(seconds))
        }
    }

    @Test func aDateCountsByTheClockThatWroteIt() {
        let later = "Sun, 06 Nov 1994 08:51:37 GMT"
        #expect(RetryAfter.delay(later, date: nil, now: now) == .seconds(120))
        #expect(RetryAfter.delay(later, date: "Sun, 06 Nov 1994 08:51:00 GMT", now: now) == .seconds(37))
        // A board that believes it is 1970.
        #expect(RetryAfter.delay(later, date: "Sun, 06 Nov 1994 08:51:00 GMT", now: Timestamp(microseconds: 0)) == .seconds(37))
        #expect(RetryAfter.delay(later, date: nil, now: Timestamp(microseconds: 0)) == .seconds(3_600))
        #expect(RetryAfter.delay(later, date: nil, now: now + .hour) == .zero)
    }

    @Test func anAnswersHeadersAreRead() {
        let headers = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]
        let answer = UplinkAnswer(.success(HTTPResponse(status: 503, headers: headers, body: [])), receivedAt: Timestamp(microseconds: 0))
        #expect(answer.retryAfter == .seconds(30))
        #expect(answer.status == 503)
    }
}
