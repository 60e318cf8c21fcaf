enum JobsTemplate {
    /// Rows of jobs, as the overview and the list show them.
    static let table = """
        <table class="jobs">
        <thead><tr><th>Job</th><th>Ran on</th><th>Started</th><th class="n">Energy</th><th class="n">CO2e (location)</th><th>How</th></tr></thead>
        <tbody>
        {{#jobs}}
        <tr>
        <td data-name="Job"><span><a href="/jobs/{{id}}">{{name}}</a><small>{{belongs}}</small></span></td>
        <td data-name="Ran on"><span>{{#place_query}}<a class="quiet" href="/jobs?{{place_query}}">{{place}}</a>{{/place_query}}{{^place_query}}{{place}}{{/place_query}}<small>{{place_note}}</small></span></td>
        <td class="t" data-name="Started"><span>{{started}}<small>{{length}}</small></span></td>
        <td class="n" data-name="Energy"><span>{{energy}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}<small>{{energy_bounds}}</small></span></td>
        <td class="n" data-name="CO2e (location)"><span>{{co2e}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}<small>{{co2e_bounds}}</small></span></td>
        <td data-name="How"><span><b class="word {{state}}">{{state}}</b>{{#quality}} <b class="word">{{quality}}</b>{{/quality}}<small>{{share}}</small></span></td>
        </tr>
        {{/jobs}}
        </tbody>
        </table>

        """

    static let page = """
        {{>head}}
        <h2>Jobs</h2>
        <form method="get" action="/jobs" class="filter">
        {{#fields}}<label>{{label}}<input name="{{name}}" value="{{value}}" type="{{type}}" placeholder="{{hint}}"></label>
        {{/fields}}
        <label class="tick"><input type="checkbox" name="state" value="hostless"{{#is_hostless}} checked{{/is_hostless}}> only without a host</label>
        <span><button>Show</button> <a href="/jobs">all</a></span>
        </form>
        {{#complaint}}<p class="complaint">{{complaint}}</p>{{/complaint}}
        {{#has_jobs}}
        <p><small>{{window}}</small></p>
        {{>job-table}}
        {{/has_jobs}}
        {{#is_empty}}<p>No job here that you may see: {{window}}</p>{{/is_empty}}
        <p class="pager">{{#first}}<a href="{{first}}">newest</a> {{/first}}{{#next}}<a rel="next" href="{{next}}">older jobs</a>{{/next}}
        {{#json}}<a class="quiet" href="{{json}}">JSON</a> <a class="quiet" href="{{csv}}">CSV</a>{{/json}}</p>
        {{>foot}}
        """
}
