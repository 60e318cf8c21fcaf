-- Hosts with a package meter, their busy time and jobs of declared shares, as agents and CI would have left them: knots in the order in
-- which they came. Variables: hosts, hours, spans (each host's in an hour), knots (each curve's in an hour).
SET synchronous_commit = off;
SET work_mem = '512MB';
\set begin 'date_trunc(''hour'', now(), ''UTC'') - :hours * interval ''1 hour'''
INSERT INTO host (name, grid_zone, cpus, slots, cpu_model) SELECT 'worker-' || i, 'FR', 32, 16, 'bench' FROM generate_series(1, :hosts) AS i;
INSERT INTO curve (host_id, curve_id, name, kind, zone, sensor, quality, in_cover, epsilon, sample_period_us, p_max_uw, p_idle_uw,
        bound_low_ppm, bound_high_ppm, basis, origin)
    SELECT host_id, 1, 'powercap/intel-rapl:0', 'meter', 'package', 'powercap', 'measured', true, 1000000, 100000, 200000000, 40000000,
        1000000, 1000000, '', 0 FROM host
    UNION ALL
    SELECT host_id, 2, 'cpu/busy', 'host_busy', NULL, 'proc', 'measured', false, 50000, 100000, 0, NULL, 1000000, 1000000, '', 0 FROM host;
SELECT count(make_knot_partition(:begin + d * interval '1 day')) FROM generate_series(0, :hours / 24 + 1) AS d;
-- 87 W and 14 CPUs on average; a knot at each hour. Noise below a step keeps both counts rising.
INSERT INTO knot (host_id, curve_id, t, value, flags)
    SELECT host_id, curve_id, :begin + h * interval '1 hour' + CASE k WHEN 0 THEN 0 ELSE k * 3600.0 / :knots + noise / 1048576.0 END * interval '1 second',
        CASE curve_id WHEN 1 THEN n * (87e6 * 3600 / :knots)::bigint + noise * (20e6 * 3600 / :knots / 1048576)::bigint
            ELSE n * (14e6 * 3600 / :knots)::bigint + noise * (6e6 * 3600 / :knots / 1048576)::bigint END,
        CASE k WHEN 0 THEN 2 ELSE 0 END
    FROM (SELECT host_id, curve_id, h, k, h::bigint * :knots + k AS n, ((h::bigint * :knots + k) * 2654435761 + host_id * 40503 + curve_id * 977) & 1048575 AS noise
        FROM generate_series(0, :hours - 1) AS h, generate_series(0, :knots - 1) AS k, curve) AS g
    ORDER BY h, k / 4, host_id, curve_id, k;
INSERT INTO knot (host_id, curve_id, t, value, flags)
    SELECT host_id, curve_id, :begin + :hours * interval '1 hour',
        CASE curve_id WHEN 1 THEN :hours::bigint * :knots * (87e6 * 3600 / :knots)::bigint + (20e6 * 3600 / :knots)::bigint
            ELSE :hours::bigint * :knots * (14e6 * 3600 / :knots)::bigint + (6e6 * 3600 / :knots)::bigint END, 2 FROM curve;
INSERT INTO curve_tail (host_id, curve_id, t, value, complete_until, knot_t, knot_value)
    SELECT host_id, curve_id, t, value, t, t, value FROM curve JOIN knot USING (host_id, curve_id) WHERE t = :begin + :hours * interval '1 hour';
-- Jobs of half a minute to 16 minutes, anywhere in the hour.
INSERT INTO span (host_id, job_id, started_at, finished_at, time_resolution_us, cpu_share, workload_key, source, service, repository, runner, job_ids)
    SELECT host_id, substr(md5(host_id || '/' || h || '/' || i), 1, 26), started_at,
        least(started_at + (30 + (i * 7919 + h * 104729 + host_id * 31) % 930) * interval '1 second', :begin + :hours * interval '1 hour'),
        0, 0.02 + (i * 31 + h * 17 + host_id) % 10 * 0.02, i::text, 'gh', 'opam-repo-ci', 'github.com/ocaml/opam-repository',
        'worker-' || host_id, ARRAY[i::text]
    FROM (SELECT host_id, h, i, :begin + h * interval '1 hour' + ((i * 86028121::bigint + h * 15485863::bigint + host_id * 49979687::bigint) % 3599000) * interval '1 millisecond' AS started_at
        FROM generate_series(0, :hours - 1) AS h, host, generate_series(1, :spans) AS i) AS s
    ORDER BY started_at;
INSERT INTO dirty (host_id, hour, reason) SELECT host_id, :begin + h * interval '1 hour', 'benchmark' FROM host, generate_series(0, :hours - 1) AS h;
VACUUM ANALYZE;
