-- Days are 24 hours of UTC, whatever the server's time zone and its changes to summer time and back.
CREATE OR REPLACE FUNCTION make_knot_partition(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day_start timestamptz := date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    day_end timestamptz := day_start + interval '24 hours';
    partition text := 'knot_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    -- The whole before its parts, as those who write lock them.
    LOCK TABLE ONLY knot IN ACCESS EXCLUSIVE MODE;
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE knot INCLUDING DEFAULTS INCLUDING INDEXES)', partition);
    EXECUTE format(
        'WITH moved AS (DELETE FROM knot_default WHERE t >= %L AND t < %L RETURNING host_id, curve_id, t, value, flags)
        INSERT INTO %I (host_id, curve_id, t, value, flags) SELECT * FROM moved',
        day_start, day_end, partition);
    EXECUTE format('ALTER TABLE knot ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, day_start, day_end);
END $$;

-- A host's hours before this are never accounted anew: the curves that they were made from are kept no more.
ALTER TABLE host ADD COLUMN curves_since timestamptz NOT NULL DEFAULT '-infinity';
