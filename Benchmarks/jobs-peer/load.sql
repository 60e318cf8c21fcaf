-- Finished jobs with two slices each, as the accounts leave them. Triggers are off: nothing here is checked, only found.
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO host (name, grid_zone, cpus, cpu_model) SELECT 'worker-' || i, 'FR', 32, 'bench' FROM generate_series(1, 20) AS i;
INSERT INTO curve (host_id, curve_id, name, kind, zone, sensor, quality, in_cover, epsilon, sample_period_us, p_max_uw, bound_low_ppm,
        bound_high_ppm, basis, origin)
    SELECT host_id, c, zone || c, 'meter', zone, 'powercap', 'measured', true, 1000000, 100000, 200000000, 1000000, 1000000, '', 0
    FROM host, (VALUES (1, 'package'), (2, 'dram')) AS z (c, zone);
INSERT INTO curve_tail (host_id, curve_id, t, value, complete_until) SELECT host_id, curve_id, now(), 1, 'infinity' FROM curve;
-- Each host has 60 jobs of a minute in each hour, a thousand hours at most; more jobs run beside one another.
CREATE TEMP TABLE job AS
    SELECT i, substr(md5(i::text), 1, 26) AS job_id, h.host_id, h.name AS host,
        date_trunc('hour', now(), 'UTC') - interval '30 days' + (i / 20 % 36000) * interval '1 minute' AS started_at
    FROM generate_series(1, :jobs) AS i JOIN (SELECT host_id, name, row_number() OVER (ORDER BY host_id) - 1 AS n FROM host) AS h ON h.n = i % 20;
INSERT INTO span (host_id, job_id, started_at, finished_at, time_resolution_us, cpus, workload_key, source, service, repository, runner, job_ids)
    SELECT host_id, job_id, started_at, started_at + interval '55 seconds', 1000000, 4, i::text, 'gh', 'opam-repo-ci',
        'github.com/ocaml/opam-repository', 'bw-' || host_id, ARRAY[i::text] FROM job;
INSERT INTO span_key (job_id, source, instance, id, attempt, registers, document, host_id, span_id, host_name, host_by, started_at,
        finished_at, service, repository, runner, is_public)
    SELECT j.job_id, 'gh', 'github.com', j.i::text, 1, '{}', jsonb_build_object('id', j.i::text, 'instance', 'https://github.com',
            'repository', 'github.com/ocaml/opam-repository', 'commit', '9f2c41d7a6b08e5534c1f0de77ab92c3e8d10b46', 'ref', 'main',
            'pipeline', 'opam-ci', 'job', 'build (ocaml.5.3, debian-12, amd64)', 'run_id', (j.i / 8)::text, 'job_id', j.i::text,
            'runner', j.host, 'runner_id', '7', 'labels', '["self-hosted", "linux", "x64"]'::jsonb, 'outcome', 'success',
            'service', 'opam-repo-ci', 'time_resolution_ms', 1000, 'queued_at', j.started_at - interval '8 s',
            'started_at', j.started_at, 'finished_at', j.started_at + interval '55 s'),
        j.host_id, s.span_id, j.host, 'runner_map', j.started_at, j.started_at + interval '55 seconds', 'opam-repo-ci',
        'github.com/ocaml/opam-repository', j.host, true
    FROM job j JOIN span s USING (host_id, job_id);
INSERT INTO ownership (host_id, span_id, reason, started_at, finished_at)
    SELECT host_id, span_id, 'no_cgroup', started_at, finished_at FROM span;
INSERT INTO accounted_hour (host_id, hour) SELECT DISTINCT host_id, date_trunc('hour', started_at, 'UTC') FROM job;
INSERT INTO host_hour (host_id, hour, component, metered_uj, metered_low_uj, metered_high_uj, job_dynamic_uj, system_uj, agent_uj, idle_uj,
        unknown_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, flags, quality, pue, intensity_id,
        co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug)
    SELECT host_id, hour, c, 1000000000, 1000000000, 1000000000, 700000000, 0, 0, 300000000, 0, 300000000, 300000000, 300000000, 0, 0, 0,
        'measured', 1.2, (SELECT min(intensity_id) FROM intensity WHERE zone = 'FR'), 14000, 9800, 0, 0, 4200, 0
    FROM accounted_hour, (VALUES ('cpu'), ('dram')) AS v (c);
INSERT INTO slice (host_id, hour, component, span_id, from_t, to_t, dynamic_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, drawn_low_uj,
        drawn_high_uj, floor_low_uj, floor_high_uj, floor_ratio_low, floor_ratio_high, unmetered_high_uj, metered_us, share_method,
        mean_share, quality)
    SELECT host_id, date_trunc('hour', started_at, 'UTC'), c, span_id, started_at, finished_at, 500000000 + span_id % 1000000, 120000000, 120000000,
        120000000, 499000000, 502000000, 0, 0, 1, 1, 0, 55000000, 'declared', 0.125, 'measured'
    FROM span, (VALUES ('cpu'), ('dram')) AS v (c);
VACUUM ANALYZE;
