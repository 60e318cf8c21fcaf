enum HostsTemplate {
    static let page = """
        {{>head}}
        {{#has_hosts}}
        {{#pools}}
        <h2>{{pool}} <small class="inline">{{count}}</small></h2>
        {{>host-table}}
        {{/pools}}
        {{/has_hosts}}
        {{^has_hosts}}<h2>Hosts</h2>
        <p>No host has reported yet. Start an agent: <code>wattle-agent run --collector {{base_url}} --token wtl_...</code></p>{{/has_hosts}}
        {{#out_of_service}}
        <details><summary>Retired <small class="inline">{{count}}</small></summary>
        {{>host-table}}
        </details>
        {{/out_of_service}}
        {{#is_cut}}<p class="complaint">Only the first {{limit}} hosts are shown.</p>{{/is_cut}}
        {{>foot}}
        """

    static let table = """
        <table>
        <thead><tr><th>Host</th><th class="n">Metered, 7 days</th><th class="n">On jobs</th><th class="n">Jobs</th><th>Runners</th><th>Zone, PUE, slots</th><th>Meters</th><th>Last seen</th></tr></thead>
        <tbody>
        {{#hosts}}
        <tr>
        <td data-name="Host"><span><a href="/jobs?host={{query}}">{{name}}</a><small>{{about}}</small></span></td>
        <td class="n" data-name="Metered, 7 days"><span>{{metered}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}</span></td>
        <td class="n" data-name="On jobs"><span>{{on_jobs}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}<small>{{on_jobs_part}}</small></span></td>
        <td class="n" data-name="Jobs"><span>{{jobs}}<small>{{last_job}}</small></span></td>
        <td data-name="Runners"><span>{{runners}}<small>{{runner_names}}</small></span></td>
        <td data-name="Zone, PUE, slots"><span>{{zone}}<small>{{site}}</small></span></td>
        <td data-name="Meters"><span><b class="word {{quality_class}}">{{quality}}</b></span></td>
        <td data-name="Last seen"><span>{{seen}}<small>{{retired}}</small></span></td>
        </tr>
        {{/hosts}}
        </tbody>
        </table>

        """
}
