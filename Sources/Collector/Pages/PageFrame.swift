/// What all pages begin and end with.
enum PageFrame {
    static let head = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{{title}}</title>
        <link rel="icon" href="data:,">
        <style>/*style*/</style>
        </head>
        <body>
        <header><h1><a href="/">Wattle</a></h1>
        <nav>{{#nav}}<a href="{{href}}"{{#is_here}} aria-current="page"{{/is_here}}>{{name}}</a>{{/nav}}</nav>
        <p>What each job cost, in kWh and CO2e, with hard bounds</p></header>

        """

    static let foot = """
        <footer>Times are UTC. Policy: reserved. Limits are hard: the true figure lies within them if the stated figures do.
        {{#footnote}}{{footnote}}{{/footnote}}</footer>
        </body>
        </html>

        """

    static let message = """
        {{>head}}
        <h2>{{heading}}</h2>
        <p>{{message}}</p>
        {{>foot}}
        """

    /// The pages that the header leads to.
    static func navigation(at path: String, viewer: Viewer?) -> [[String: Any]] {
        var pages = [("/", "Overview"), ("/jobs", "Jobs")]
        if viewer?.seesHosts ?? false { pages += [("/hosts", "Hosts"), ("/services", "Services")] }
        if viewer == nil || viewer == .anonymous { pages.append(("/sign-in", "Sign in")) }
        return pages.map { ["href": $0.0, "name": $0.1, "is_here": $0.0 == path] }
    }
}
