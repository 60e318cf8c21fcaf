-- The plain case (one meter, busy time known, shares declared) as the best set-based SQL that we could think of: no join of spans and
-- stretches, but running sums over each host's breakpoints, of which every span takes two and their difference. Of the breakpoints only
-- edges of spans and hours are kept.
CREATE TEMP TABLE mark ON COMMIT DROP AS
WITH point AS (
    SELECT host_id, t, value AS e, NULL::bigint AS b, 0::float8 AS w, 0 AS n, flags = 2 AS edge FROM knot WHERE curve_id = 1
    UNION ALL SELECT host_id, t, NULL, value, 0, 0, false FROM knot WHERE curve_id = 2
    UNION ALL SELECT host_id, started_at, NULL, NULL, cpu_share, 1, true FROM span
    UNION ALL SELECT host_id, finished_at, NULL, NULL, -cpu_share, -1, true FROM span),
merged AS (
    SELECT host_id, t, max(e) AS e, max(b) AS b, sum(w) AS w, sum(n) AS n, bool_or(edge) AS edge FROM point GROUP BY host_id, t),
before AS (
    -- Counts never fall: the largest so far is the last.
    SELECT *, max(e) OVER past AS e0, max(b) OVER past AS b0, max(CASE WHEN e IS NOT NULL THEN t END) OVER past AS te0,
        max(CASE WHEN b IS NOT NULL THEN t END) OVER past AS tb0, sum(w) OVER past AS ww, sum(n) OVER past AS nn
    FROM merged WINDOW past AS (PARTITION BY host_id ORDER BY t)),
around AS (
    SELECT *, min(e) OVER future AS e1, min(b) OVER future AS b1, min(CASE WHEN e IS NOT NULL THEN t END) OVER future AS te1,
        min(CASE WHEN b IS NOT NULL THEN t END) OVER future AS tb1
    FROM before WINDOW future AS (PARTITION BY host_id ORDER BY t DESC)),
line AS (
    SELECT host_id, t, ww, nn, edge, e IS NOT NULL AS is_read,
        e0 + CASE WHEN te1 > te0 THEN extract(epoch FROM t - te0)::float8 / extract(epoch FROM te1 - te0)::float8 * (e1 - e0) ELSE 0 END AS e,
        b0 + CASE WHEN tb1 > tb0 THEN extract(epoch FROM t - tb0)::float8 / extract(epoch FROM tb1 - tb0)::float8 * (b1 - b0) ELSE 0 END AS b
    FROM around),
stretch AS (
    SELECT host_id, t, edge, is_read, e, CASE WHEN nn > 0 THEN ww ELSE 0 END AS ww, nn,
        extract(epoch FROM lead(t) OVER later - t)::float8 * 1e6 AS dt, lead(e) OVER later - e AS de, lead(b) OVER later - b AS db
    FROM line WINDOW later AS (PARTITION BY host_id ORDER BY t)),
share AS (SELECT *, least(1, db / nullif(dt * 32, 0)) AS busy, 40 * dt AS i, de - 40 * dt AS d FROM stretch),
summed AS (
    SELECT host_id, t, edge, is_read, e,
        sum(CASE WHEN nn > 0 THEN de / greatest(ww, busy) END) OVER done AS drawn,
        sum(CASE WHEN nn > 0 THEN i / greatest(ww, busy) END) OVER done AS floor,
        sum(CASE WHEN nn > 0 THEN i / greatest(1, ww) END) OVER done AS reserved,
        sum(CASE WHEN nn > 0 THEN i / ww END) OVER done AS busy,
        sum(CASE WHEN nn > 0 THEN i / nn END) OVER done AS equal,
        sum(CASE WHEN d < 0 THEN de END) OVER done AS low,
        sum(CASE WHEN d < 0 THEN i END) OVER done AS low_floor,
        sum(CASE WHEN d >= 0 THEN de END) OVER done AS high,
        sum(CASE WHEN d >= 0 THEN i END) OVER done AS high_floor,
        sum(i) OVER done AS idle,
        sum(CASE WHEN nn > 0 THEN dt * busy / greatest(ww, busy) END) OVER done AS used,
        sum(CASE WHEN busy > 0 THEN d * greatest(0, busy - ww) / busy END) OVER done AS system
    FROM share WINDOW done AS (PARTITION BY host_id ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
SELECT host_id, t, is_read, e, coalesce(drawn, 0) AS drawn, coalesce(floor, 0) AS floor, coalesce(reserved, 0) AS reserved,
    coalesce(busy, 0) AS busy, coalesce(equal, 0) AS equal, coalesce(low, 0) AS low, coalesce(low_floor, 0) AS low_floor,
    coalesce(high, 0) AS high, coalesce(high_floor, 0) AS high_floor, coalesce(idle, 0) AS idle, coalesce(used, 0) AS used,
    coalesce(system, 0) AS system
FROM summed WHERE edge;
ANALYZE mark;
INSERT INTO prefix_slice (host_id, hour, component, span_id, from_t, to_t, dynamic_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj,
    drawn_low_uj, drawn_high_uj, floor_low_uj, floor_high_uj, busy_idle_high_uj, mean_share, floor_uj, start_error_uj, end_error_uj,
    intensity_id)
SELECT host_id, hour, 'cpu', span_id, from_t, to_t, round(drawn - floor), round(reserved), round(busy), round(equal),
    low - 1 - starts - ends, high + 1 + starts + ends, nullif(low_floor, 0), nullif(high_floor, 0), greatest(round(busy), idle), share, floor,
    nullif(part * starts, 0) * :error, nullif(part * ends, 0) * :error, :intensity
FROM (
    SELECT s.host_id, h.hour, s.span_id, h.from_t, h.to_t, w * (z.drawn - a.drawn) AS drawn, w * (z.floor - a.floor) AS floor,
        w * (z.reserved - a.reserved) AS reserved, w * (z.busy - a.busy) AS busy, z.equal - a.equal AS equal, z.low - a.low AS low,
        z.low_floor - a.low_floor AS low_floor, z.high - a.high AS high, z.high_floor - a.high_floor AS high_floor, z.idle - a.idle AS idle,
        w * (z.used - a.used) / (extract(epoch FROM h.to_t - h.from_t)::float8 * 1e6) AS share,
        CASE WHEN s.started_at >= h.hour AND NOT a.is_read THEN :limit ELSE 0 END AS starts,
        CASE WHEN s.finished_at <= h.hour + interval '1 hour' AND NOT z.is_read THEN :limit ELSE 0 END AS ends,
        least(1, greatest(0, w * (z.drawn - a.drawn - z.floor + a.floor + z.reserved - a.reserved) / (z.e - a.e))) AS part
    FROM (SELECT *, cpu_share AS w FROM span) AS s CROSS JOIN LATERAL (
        SELECT hour, greatest(s.started_at, hour) AS from_t, least(s.finished_at, hour + interval '1 hour') AS to_t
        FROM generate_series(date_trunc('hour', s.started_at, 'UTC'), date_trunc('hour', s.finished_at - interval '1 microsecond', 'UTC'), interval '1 hour') AS hour) AS h
    JOIN mark a ON a.host_id = s.host_id AND a.t = h.from_t JOIN mark z ON z.host_id = s.host_id AND z.t = h.to_t) AS figure;
INSERT INTO prefix_host_hour (host_id, hour, component, metered_uj, metered_low_uj, metered_high_uj, job_dynamic_uj, system_uj, agent_uj,
    idle_uj, unknown_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, flags, quality, pue,
    meter_error_ratio, intensity_ids, co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug)
SELECT host_id, hour, 'cpu', metered, metered, metered, dynamic, system, 0, metered - dynamic - system, 0, least(reserved, metered - dynamic - system),
    least(busy, metered - dynamic - system), least(equal, metered - dynamic - system),
    0, 0, 0, 'measured', 1, :meter, ARRAY[:intensity], round(metered * :grams), round(dynamic * :grams), round(system * :grams), 0,
    round(metered * :grams) - round(dynamic * :grams) - round(system * :grams), 0
FROM (
    SELECT a.host_id, a.t AS hour, round(z.e)::bigint - round(a.e)::bigint AS metered, round(z.system - a.system) AS system
    FROM mark a JOIN mark z ON z.host_id = a.host_id AND z.t = a.t + interval '1 hour' WHERE date_trunc('hour', a.t, 'UTC') = a.t) AS h
JOIN (
    SELECT host_id, hour, sum(dynamic_uj)::bigint AS dynamic, sum(idle_reserved_uj) AS reserved, sum(idle_busy_uj) AS busy,
        sum(idle_equal_uj) AS equal FROM prefix_slice GROUP BY host_id, hour) AS s USING (host_id, hour);
