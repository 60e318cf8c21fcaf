-- The plain case (one meter, busy time known, shares declared) as the best set-based SQL that we could think of: no join of spans and
-- stretches, but running sums over each host's breakpoints, of which every span takes two and their difference.
CREATE TEMP TABLE mark ON COMMIT DROP AS
WITH point AS (
    SELECT host_id, t, value AS e, NULL::bigint AS b, 0::float8 AS w, 0 AS n FROM knot WHERE curve_id = 1
    UNION ALL SELECT host_id, t, NULL, value, 0, 0 FROM knot WHERE curve_id = 2
    UNION ALL SELECT host_id, started_at, NULL, NULL, cpu_share, 1 FROM span
    UNION ALL SELECT host_id, finished_at, NULL, NULL, -cpu_share, -1 FROM span),
merged AS (SELECT host_id, t, max(e) AS e, max(b) AS b, sum(w) AS w, sum(n) AS n FROM point GROUP BY host_id, t),
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
    SELECT host_id, t, ww, nn,
        e0 + CASE WHEN te1 > te0 THEN extract(epoch FROM t - te0)::float8 / extract(epoch FROM te1 - te0)::float8 * (e1 - e0) ELSE 0 END AS e,
        b0 + CASE WHEN tb1 > tb0 THEN extract(epoch FROM t - tb0)::float8 / extract(epoch FROM tb1 - tb0)::float8 * (b1 - b0) ELSE 0 END AS b
    FROM around),
stretch AS (
    SELECT host_id, t, greatest(ww, 0) AS ww, nn, extract(epoch FROM lead(t) OVER later - t)::float8 * 1e6 AS dt, lead(e) OVER later - e AS de,
        lead(b) OVER later - b AS db
    FROM line WINDOW later AS (PARTITION BY host_id ORDER BY t)),
share AS (SELECT *, least(1, db / nullif(dt * 32, 0)) AS busy, 40 * dt AS i, de - 40 * dt AS d FROM stretch)
SELECT host_id, t,
    coalesce(sum(CASE WHEN nn > 0 THEN d / greatest(ww, busy) END) OVER done, 0) AS u_dynamic,
    coalesce(sum(CASE WHEN nn > 0 THEN i / greatest(1, ww) END) OVER done, 0) AS u_reserved,
    coalesce(sum(CASE WHEN nn > 0 THEN i / ww END) OVER done, 0) AS u_busy,
    coalesce(sum(CASE WHEN nn > 0 THEN i / nn END) OVER done, 0) AS u_equal
FROM share WINDOW done AS (PARTITION BY host_id ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
ANALYZE mark;
INSERT INTO prefix_slice
SELECT s.host_id, h.hour, s.span_id, h.from_t, h.to_t, round(s.cpu_share * (z.u_dynamic - a.u_dynamic)), round(s.cpu_share * (z.u_reserved - a.u_reserved)),
    round(s.cpu_share * (z.u_busy - a.u_busy)), round(z.u_equal - a.u_equal)
FROM span s CROSS JOIN LATERAL (
    SELECT hour, greatest(s.started_at, hour) AS from_t, least(s.finished_at, hour + interval '1 hour') AS to_t
    FROM generate_series(date_trunc('hour', s.started_at, 'UTC'), date_trunc('hour', s.finished_at - interval '1 microsecond', 'UTC'), interval '1 hour') AS hour) AS h
JOIN mark a ON a.host_id = s.host_id AND a.t = h.from_t JOIN mark z ON z.host_id = s.host_id AND z.t = h.to_t;
