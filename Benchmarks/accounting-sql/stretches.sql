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
INSERT INTO stretches_slice
WITH load AS (SELECT host_id, from_t, sum(w) AS ww, count(*) AS nn FROM part GROUP BY host_id, from_t)
SELECT p.host_id, x.hour, p.span_id, min(x.from_t), max(x.to_t), round(sum((watts - 40) * dt * w / greatest(ww, busy))),
    round(sum(40 * dt * w / greatest(1, ww))), round(sum(40 * dt * w / ww)), round(sum(40 * dt / nn))
FROM part p JOIN load l USING (host_id, from_t) JOIN stretch x USING (host_id, from_t)
GROUP BY p.host_id, x.hour, p.span_id;
