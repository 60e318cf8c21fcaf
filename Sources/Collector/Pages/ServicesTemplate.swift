enum ServicesTemplate {
    static let page = """
        {{>head}}
        <h2>Services, activities and teams</h2>
        <p class="pager">{{#periods}}<a href="/services?days={{days}}"{{#is_here}} aria-current="page"{{/is_here}}>{{name}}</a> {{/periods}}</p>
        {{#has_services}}
        <table>
        <thead><tr><th>Service</th><th>Activity</th><th>Team</th><th class="n">Jobs</th><th class="n">Energy</th><th class="n">CO2e</th><th class="n">Metered</th><th>Shares found by</th></tr></thead>
        <tbody>
        {{#services}}
        <tr>
        <td data-name="Service"><span>{{#query}}<a href="/jobs?{{query}}">{{service}}</a>{{/query}}{{^query}}{{service}}{{/query}}</span></td>
        <td data-name="Activity"><span>{{activity}}</span></td>
        <td data-name="Team"><span>{{team}}</span></td>
        <td class="n" data-name="Jobs"><span>{{jobs}}<small>{{jobs_note}}</small></span></td>
        <td class="n" data-name="Energy"><span>{{energy}}{{#is_modelled}} <em>{{modelled}}</em>{{/is_modelled}}{{#is_simulated}} <em>simulated</em>{{/is_simulated}}<small>{{limits}}</small></span></td>
        <td class="n" data-name="CO2e"><span>{{grams}}</span></td>
        <td class="n" data-name="Metered"><span>{{coverage}}</span></td>
        <td data-name="Shares found by" class="wide"><span><i class="bar">{{#methods}}<i class="{{name}}" style="width:{{percent}}%"></i>{{/methods}}</i><small>{{method_text}}</small></span></td>
        </tr>
        {{/services}}
        </tbody>
        </table>
        {{/has_services}}
        {{^has_services}}<p>No job has started in this time.</p>{{/has_services}}
        {{#is_cut}}<p class="complaint">Only the {{limit}} with the most energy are shown.</p>{{/is_cut}}
        {{#open}}<p>{{open}}</p>{{/open}}
        {{#set_aside}}<p>{{set_aside}}</p>{{/set_aside}}
        {{>foot}}
        """
}
