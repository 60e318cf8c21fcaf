-- Knots of past days go once they are packed; what comes late for such a day makes its partition again.

-- Makes the daily partition that holds an instant, if it is missing, and moves what the default partition has of that day into it.
-- Callers that must not make others wait set lock_timeout.
CREATE OR REPLACE FUNCTION make_knot_partition(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day_start timestamptz := date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
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
        day_start, day_start + interval '1 day', partition);
    EXECUTE format('ALTER TABLE knot ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition, day_start, day_start + interval '1 day');
END $$;
