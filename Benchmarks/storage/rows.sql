-- What knots, packed hours and their keys take, and what each key is for. In an empty database, with psql:
--
--   psql -d scratch -f Benchmarks/storage/rows.sql
--
-- 40 hosts with 12 curves for a day, a knot every 30 s: 1.4 million rows, in the order in which batches bring them.
\set ON_ERROR_STOP 1
\pset footer off
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE TABLE knot (host_id int NOT NULL, curve_id int NOT NULL, t timestamptz NOT NULL, value bigint NOT NULL,
    flags smallint NOT NULL DEFAULT 0, PRIMARY KEY (host_id, curve_id, t));
INSERT INTO knot
SELECT h, c, timestamptz '2026-09-01Z' + n * interval '30 s' + (h * 7919 + c * 104729) % 30000000 * interval '1 us', n * 2000000::bigint, 0
FROM generate_series(0, 2879) n, generate_series(1, 40) h, generate_series(1, 12) c;
VACUUM ANALYZE knot;
\echo a knot as a row, and its key
SELECT count(*) AS rows, round(pg_table_size('knot') / count(*)::numeric, 1) AS row_bytes,
    round(pg_indexes_size('knot') / count(*)::numeric, 1) AS key_bytes FROM knot;

\echo an hour of one host, with the key
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY on, BUFFERS)
SELECT curve_id, t, value, flags FROM knot
WHERE host_id = 17 AND curve_id = ANY ('{1,2,3,4,5,6,7,8,9,10,11,12}') AND t >= '2026-09-01 12:00Z' AND t <= '2026-09-01 13:00Z';

\echo the last knot before an instant, with the key
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY on, BUFFERS)
SELECT t, value, flags FROM knot WHERE host_id = 17 AND curve_id = 3 AND t < '2026-09-01 12:00Z' ORDER BY t DESC LIMIT 1;

BEGIN;
ALTER TABLE knot DROP CONSTRAINT knot_pkey;
\echo the same hour, without a key
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY on, BUFFERS)
SELECT curve_id, t, value, flags FROM knot
WHERE host_id = 17 AND curve_id = ANY ('{1,2,3,4,5,6,7,8,9,10,11,12}') AND t >= '2026-09-01 12:00Z' AND t <= '2026-09-01 13:00Z';

\echo a BRIN index over t and host in place of the key
CREATE INDEX knot_brin ON knot USING brin (t, host_id) WITH (pages_per_range = 16);
SELECT round(pg_relation_size('knot_brin') / count(*)::numeric, 3) AS brin_bytes_a_row FROM knot;
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY on, BUFFERS)
SELECT curve_id, t, value, flags FROM knot
WHERE host_id = 17 AND curve_id = ANY ('{1,2,3,4,5,6,7,8,9,10,11,12}') AND t >= '2026-09-01 12:00Z' AND t <= '2026-09-01 13:00Z';
\echo the last knot before an instant, with BRIN
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY on, BUFFERS)
SELECT t, value, flags FROM knot WHERE host_id = 17 AND curve_id = 3 AND t < '2026-09-01 12:00Z' ORDER BY t DESC LIMIT 1;
ROLLBACK;

-- The same knots packed: 120 a row, at 7.7 bytes each.
CREATE TABLE curve_hour (host_id int NOT NULL, curve_id int NOT NULL, hour timestamptz NOT NULL, version int NOT NULL, knots bytea NOT NULL,
    sha256 bytea NOT NULL, PRIMARY KEY (host_id, curve_id, hour, version));
INSERT INTO curve_hour
SELECT h, c, timestamptz '2026-09-01Z' + n * interval '1 hour', 1,
    substr(decode(string_agg(md5(h::text || c || n || k), ''), 'hex'), 1, 924), sha256((h::text || c || n)::bytea)
FROM generate_series(0, 23) n, generate_series(1, 40) h, generate_series(1, 12) c, generate_series(1, 58) k GROUP BY h, c, n;
VACUUM ANALYZE curve_hour;
\echo a packed hour of 120 knots, all of it and its key
SELECT count(*) AS hours, round(pg_table_size('curve_hour') / count(*)::numeric) AS row_bytes,
    round(pg_indexes_size('curve_hour') / count(*)::numeric) AS key_bytes,
    round(pg_total_relation_size('curve_hour') / (120.0 * count(*)), 2) AS bytes_a_knot FROM curve_hour;

\echo deleting a day of packed knots, an hour of a host at a time, and dropping it
CREATE TABLE timing (at timestamptz);
INSERT INTO timing SELECT clock_timestamp();
DO $$ BEGIN FOR h IN 1..40 LOOP FOR n IN 0..23 LOOP
    DELETE FROM knot WHERE host_id = h AND curve_id = ANY ('{1,2,3,4,5,6,7,8,9,10,11,12}')
        AND t >= timestamptz '2026-09-01Z' + n * interval '1 hour' AND t < timestamptz '2026-09-01Z' + (n + 1) * interval '1 hour';
END LOOP; END LOOP; END $$;
SELECT round(extract(epoch FROM clock_timestamp() - at)::numeric, 2) AS delete_s FROM timing;
\timing on
VACUUM (TRUNCATE true) knot;
\timing off
SELECT pg_relation_size('knot') AS bytes_left;
