enum JobTemplate {
    static let page = """
        {{>head}}
        <h2>{{name}}</h2>
        <p><b class="word {{state}}">{{state}}</b>{{#words}} <b class="word">{{.}}</b>{{/words}} <small class="inline">{{belongs}}</small></p>
        <div class="figures">
        <div><small>Energy</small><strong>{{energy}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}</strong><small>{{energy_bounds}}</small></div>
        <div><small>CO2e, location-based</small><strong>{{co2e}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}</strong><small>{{co2e_bounds}}</small></div>
        <div><small>Share of the machine</small><strong>{{share}}</strong><small>{{share_note}}</small></div>
        <div><small>Time</small><strong>{{length}}</strong><small>{{started}} to {{finished}}</small></div>
        </div>
        <div class="columns">
        {{#sections}}
        <section><h3>{{heading}}</h3>
        <dl>
        {{#rows}}
        <div><dt>{{name}}</dt><dd>{{#href}}<a href="{{href}}">{{value}}</a>{{/href}}{{^href}}{{value}}{{/href}}{{#is_modelled}} <em>modelled</em>{{/is_modelled}}{{#note}}<small>{{note}}</small>{{/note}}</dd></div>
        {{/rows}}
        </dl></section>
        {{/sections}}
        </div>
        <p class="pager"><a href="/v1/jobs/{{id}}">JSON</a>{{#explain}} <a href="{{explain}}">every step</a>{{/explain}} <a href="/jobs">all jobs</a></p>
        {{>foot}}
        """
}
