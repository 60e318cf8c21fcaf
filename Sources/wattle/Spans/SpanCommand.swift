import ArgumentParser

/// `wattle span`: spans by hand and from job hooks.
struct Span: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Begin, end, post or delete spans: for job hooks and for spans that something else measured.",
        discussion: """
            EXAMPLES
              ACTIONS_RUNNER_HOOK_JOB_STARTED: a script with `wattle span start --github-hook`
              ACTIONS_RUNNER_HOOK_JOB_COMPLETED: a script with `wattle span finish --github-hook`
              wattle span post spans.ndjson
              wattle span delete 01j7xk2m4nq8rv5tw9yz3abcde
            """,
        subcommands: [SpanStart.self, SpanFinish.self, SpanPostFile.self, SpanDelete.self]
    )
}
