-- The same by another road: each span is joined with every stretch between two of its host's breakpoints that it runs in, and its parts
-- are added up.
CREATE TEMP TABLE rate ON COMMIT DROP AS
-- µJ and CPU-µs a µs, from one knot to the next.
SELECT host_id, curve_id, t AS from_t, (lead(value) OVER k - value) / (extract(epoch FROM lead(t) OVER k - t)::float8 * 1e6) AS slope
FROM knot WINDOW k AS (PARTITION BY host_id, curve_id ORDER BY t);
CREATE UNIQUE INDEX ON rate (host_id, curve_id, from_t) INCLUDE (slope);
ANALYZE rate;
CREATE TEMP TABLE stretch ON COMMIT DROP AS
WITH edge AS (
    SELECT host_id, t FROM knot UNION SELECT host_id, started_at FROM span UNION SELECT host_id, finished_at FROM span),
piece AS (SELECT host_id, t AS from_t, lead(t) OVER (PARTITION BY host_id ORDER BY t) AS to_t FROM edge)
SELECT p.host_id, date_trunc('hour', p.from_t, 'UTC') AS hour, p.from_t, p.to_t, extract(epoch FROM p.to_t - p.from_t)::float8 * 1e6 AS dt,
    e.slope AS watts, least(1, b.slope / 32) AS busy
FROM piece p
CROSS JOIN LATERAL (SELECT slope FROM rate r WHERE r.host_id = p.host_id AND r.curve_id = 1 AND r.from_t <= p.from_t
    ORDER BY r.host_id, r.curve_id, r.from_t DESC LIMIT 1) AS e
CROSS JOIN LATERAL (SELECT slope FROM rate r WHERE r.host_id = p.host_id AND r.curve_id = 2 AND r.from_t <= p.from_t
    ORDER BY r.host_id, r.curve_id, r.from_t DESC LIMIT 1) AS b
WHERE p.to_t IS NOT NULL;
CREATE INDEX ON stretch (host_id, from_t);
ANALYZE stretch;
CREATE TEMP TABLE part ON COMMIT DROP AS
SELECT s.host_id, s.span_id, s.cpu_share AS w, x.from_t
FROM span s CROSS JOIN LATERAL (
    SELECT from_t FROM stretch x WHERE x.host_id = s.host_id AND x.from_t >= s.started_at AND x.from_t < s.finished_at OFFSET 0) AS x;
ANALYZE part;
CREATE TEMP TABLE load ON COMMIT DROP AS SELECT host_id, from_t, sum(w) AS ww, count(*) AS nn FROM part GROUP BY host_id, from_t;
ANALYZE load;
INSERT INTO stretches_slice (host_id, hour, component, span_id, from_t, to_t, dynamic_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj,
    drawn_low_uj, drawn_high_uj, floor_low_uj, floor_high_uj, busy_idle_high_uj, mean_share, floor_uj, start_error_uj, end_error_uj,
    intensity_id)
SELECT host_id, hour, 'cpu', span_id, from_t, to_t, round(drawn - floor), round(reserved), round(busy), round(equal),
    low - 1 - starts - ends, high + 1 + starts + ends, low_floor, high_floor, greatest(round(busy), idle), used / time, floor,
    nullif(part * starts, 0) * :error, nullif(part * ends, 0) * :error, :intensity
FROM (
    SELECT q.*, least(1, greatest(0, (drawn - floor + reserved) / energy)) AS part,
        CASE WHEN s.started_at = from_t AND NOT EXISTS (SELECT FROM knot k WHERE k.host_id = q.host_id AND k.curve_id = 1 AND k.t = from_t)
            THEN :limit ELSE 0 END AS starts,
        CASE WHEN s.finished_at = to_t AND NOT EXISTS (SELECT FROM knot k WHERE k.host_id = q.host_id AND k.curve_id = 1 AND k.t = to_t)
            THEN :limit ELSE 0 END AS ends
    FROM (
        SELECT p.host_id, x.hour, p.span_id, min(x.from_t) AS from_t, max(x.to_t) AS to_t, sum(watts * dt * w / greatest(ww, busy)) AS drawn,
            sum(40 * dt * w / greatest(ww, busy)) AS floor, sum(40 * dt * w / greatest(1, ww)) AS reserved, sum(40 * dt * w / ww) AS busy,
            sum(40 * dt / nn) AS equal, coalesce(sum(watts * dt) FILTER (WHERE watts < 40), 0) AS low,
            sum(40 * dt) FILTER (WHERE watts < 40) AS low_floor, coalesce(sum(watts * dt) FILTER (WHERE watts >= 40), 0) AS high,
            sum(40 * dt) FILTER (WHERE watts >= 40) AS high_floor, sum(40 * dt) AS idle, sum(watts * dt) AS energy,
            sum(busy * dt * w / greatest(ww, busy)) AS used, sum(dt) AS time
        FROM part p JOIN load l USING (host_id, from_t) JOIN stretch x USING (host_id, from_t)
        GROUP BY p.host_id, x.hour, p.span_id) AS q
    JOIN span s ON s.host_id = q.host_id AND s.span_id = q.span_id) AS figure;
INSERT INTO stretches_host_hour (host_id, hour, component, metered_uj, metered_low_uj, metered_high_uj, job_dynamic_uj, system_uj, agent_uj,
    idle_uj, unknown_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, flags, quality, pue,
    meter_error_ratio, intensity_ids, co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug)
SELECT host_id, hour, 'cpu', metered, metered, metered, dynamic, system, 0, metered - dynamic - system, 0, least(reserved, metered - dynamic - system),
    least(busy, metered - dynamic - system), least(equal, metered - dynamic - system),
    0, 0, 0, 'measured', 1, :meter, ARRAY[:intensity], round(metered * :grams), round(dynamic * :grams), round(system * :grams), 0,
    round(metered * :grams) - round(dynamic * :grams) - round(system * :grams), 0
FROM (
    SELECT host_id, hour, round(sum(watts * dt))::bigint AS metered,
        round(sum(CASE WHEN x.busy > 0 THEN (watts - 40) * dt * greatest(0, x.busy - coalesce(ww, 0)) / x.busy END))::bigint AS system
    FROM stretch x LEFT JOIN load USING (host_id, from_t) GROUP BY host_id, hour) AS h
JOIN (
    SELECT host_id, hour, sum(dynamic_uj)::bigint AS dynamic, sum(idle_reserved_uj) AS reserved, sum(idle_busy_uj) AS busy,
        sum(idle_equal_uj) AS equal FROM stretches_slice GROUP BY host_id, hour) AS s USING (host_id, hour);
