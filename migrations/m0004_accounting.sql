-- The accounting engine: slices that end at every edge of the intensity feed, where each error comes from, what every host-hour was made
-- of, packed hours, learned idle floors, units, and which data are simulated.

-- The old checks wait for the end of a transaction, and would look at tables that have changed by then.
DROP TRIGGER slices_add_up ON slice;
DROP TRIGGER slices_add_up ON host_hour;
DROP FUNCTION check_slices_add_up();

-- The inputs of a host-hour's accounts, named by their digest. Each change of it is a version; a statement names its hours by it.
ALTER TABLE accounted_hour
    ADD COLUMN version int NOT NULL DEFAULT 1,
    -- SHA-256 of the canonical form of all inputs (docs/methodology.md, "Statements"); null for an hour accounted before there were any.
    ADD COLUMN inputs_sha256 bytea CHECK (octet_length(inputs_sha256) = 32),
    ADD COLUMN software text NOT NULL DEFAULT '';
CREATE TABLE accounted_version (
    host_id     int NOT NULL REFERENCES host,
    hour        timestamptz NOT NULL,
    version     int NOT NULL,
    inputs_sha256 bytea NOT NULL,
    software    text NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, hour, version)
);

ALTER TABLE host_hour
    -- The intensities of its pieces, in order of time.
    ADD COLUMN intensity_ids bigint[] NOT NULL DEFAULT '{}',
    -- Standard deviations of the meters' own error and of the idle floor, as parts of the energy and of the floor.
    ADD COLUMN meter_error_ratio double precision NOT NULL DEFAULT 0,
    ADD COLUMN floor_error_ratio double precision NOT NULL DEFAULT 0,
    DROP CONSTRAINT co2e_all_or_none;
UPDATE host_hour SET intensity_ids = ARRAY[intensity_id] WHERE intensity_id IS NOT NULL;

-- Slices are most of what is written and kept. In the table what most of them have in common is null, columns stand where they need no
-- padding, and one index serves hours and spans; the view has every column of every slice.
CREATE TABLE stored_slice (
    hour        timestamptz NOT NULL,
    span_id     bigint NOT NULL,
    from_t      timestamptz NOT NULL,
    to_t        timestamptz NOT NULL,
    dynamic_uj  bigint NOT NULL CHECK (dynamic_uj >= 0),
    idle_reserved_uj bigint NOT NULL CHECK (idle_reserved_uj >= 0),
    idle_busy_uj bigint NOT NULL CHECK (idle_busy_uj >= 0),
    idle_equal_uj bigint NOT NULL CHECK (idle_equal_uj >= 0),
    mean_share  double precision NOT NULL,
    -- What the hard limits under each policy are made of (docs/methodology.md, "Bounds"). The floor's: null for 0.
    drawn_low_uj double precision NOT NULL,
    drawn_high_uj double precision NOT NULL,
    floor_low_uj double precision,
    floor_high_uj double precision,
    -- Null for 1.
    floor_ratio_low double precision,
    floor_ratio_high double precision,
    -- Null for 0.
    unmetered_high_uj double precision,
    -- Limits of the idle that the policy busy moves: it goes by shares, which may be in doubt. Both null where nobody kept them; the low one
    -- alone is null for 0.
    busy_idle_low_uj double precision,
    busy_idle_high_uj double precision,
    -- Standard deviations, by the keys of docs/methodology.md, "Uncertainty". The idle floor within its part of all energy. Null for 0.
    floor_uj    double precision,
    start_error_uj double precision,
    end_error_uj double precision,
    gap_error_uj double precision,
    -- Null where all of the slice's time was metered.
    metered_us  bigint,
    -- Its own mean power over its time that was not metered; outside the accounts.
    estimated_uj bigint CHECK (estimated_uj >= 0),
    intensity_id bigint,
    host_id     int NOT NULL,
    component   text NOT NULL,
    -- Null for `declared`.
    share_method text CHECK (share_method IN ('measured', 'measured_client', 'equal')),
    -- Null for `measured`.
    quality     text
);
INSERT INTO stored_slice
SELECT hour, span_id, from_t, to_t, dynamic_uj, s.idle_reserved_uj, s.idle_busy_uj, s.idle_equal_uj, mean_share, drawn_low_uj, drawn_high_uj,
    nullif(floor_low_uj, 0), nullif(floor_high_uj, 0), nullif(floor_ratio_low, 1), nullif(floor_ratio_high, 1), nullif(unmetered_high_uj, 0),
    NULL, NULL, NULL, NULL, NULL, NULL, nullif(metered_us, (extract(epoch FROM to_t - from_t) * 1000000)::bigint), NULL, h.intensity_id,
    host_id, component, nullif(share_method, 'declared'), nullif(s.quality, 'measured')
FROM slice s JOIN host_hour h USING (host_id, hour, component);
DROP TABLE slice;
-- Hours are the index's second column, so whoever asks for a span says in which hours. A slice that is there twice does not add up.
CREATE INDEX stored_slice_hour ON stored_slice (host_id, hour, span_id);
CREATE VIEW slice AS
SELECT host_id, hour, component, span_id, from_t, to_t, dynamic_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, drawn_low_uj,
    drawn_high_uj, coalesce(floor_low_uj, 0) AS floor_low_uj, coalesce(floor_high_uj, 0) AS floor_high_uj,
    coalesce(floor_ratio_low, 1) AS floor_ratio_low, coalesce(floor_ratio_high, 1) AS floor_ratio_high,
    coalesce(unmetered_high_uj, 0) AS unmetered_high_uj,
    CASE WHEN busy_idle_high_uj IS NOT NULL THEN coalesce(busy_idle_low_uj, 0) END AS busy_idle_low_uj, busy_idle_high_uj,
    coalesce(metered_us, (extract(epoch FROM to_t - from_t) * 1000000)::bigint) AS metered_us,
    coalesce(share_method, 'declared') AS share_method, mean_share, coalesce(quality, 'measured') AS quality,
    CASE WHEN metered_us IS NULL THEN 0 ELSE estimated_uj END AS estimated_uj,
    coalesce(floor_uj, 0) AS floor_uj, coalesce(start_error_uj, 0) AS start_error_uj, coalesce(end_error_uj, 0) AS end_error_uj,
    coalesce(gap_error_uj, 0) AS gap_error_uj, intensity_id
FROM stored_slice;
-- A mark of what has just come (a late knot, a span), which somebody may be waiting for; one of many made at once is none.
ALTER TABLE dirty ADD COLUMN is_fresh boolean NOT NULL DEFAULT false;
CREATE INDEX dirty_fresh ON dirty (id) WHERE is_fresh;
-- Digests, learned floors and errors come with the next accounts.
INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'upgrade' FROM accounted_hour;
ALTER TABLE host_hour DROP COLUMN intensity_id,
    ADD CONSTRAINT co2e_all_or_none CHECK (
        num_nulls(co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug) IN (0, 6));

-- Nothing is recorded any more of the spans of a host without cgroups: they are accounted by their own edges.
DELETE FROM ownership o WHERE reason = 'no_cgroup' AND NOT EXISTS (SELECT FROM workload w WHERE w.host_id = o.host_id);

-- Slices are written by the hundred thousand, so what holds them to the ledger looks at statements, not at each of them. The guarantee is
-- the same: no transaction ends with slices that do not add up to their host_hour, or that have none, or that name an intensity which is
-- not there. A statement that changes slices or host-hours leaves the keys of what it changed here, and each is compared at the end of the
-- transaction; where SET CONSTRAINTS asks for that, at the end of every statement. No row outlives its transaction.
CREATE UNLOGGED TABLE unchecked_hour (
    host_id     int NOT NULL,
    hour        timestamptz NOT NULL,
    component   text NOT NULL,
    PRIMARY KEY (host_id, hour, component)
);

CREATE FUNCTION compare_slices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ledger record;
    total record;
BEGIN
    DELETE FROM unchecked_hour WHERE host_id = NEW.host_id AND hour = NEW.hour AND component = NEW.component;
    SELECT job_dynamic_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj INTO ledger FROM host_hour
    WHERE host_id = NEW.host_id AND hour = NEW.hour AND component = NEW.component;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM stored_slice WHERE host_id = NEW.host_id AND hour = NEW.hour AND component = NEW.component) THEN
            RAISE EXCEPTION 'slices of host % at % (%) have no host_hour', NEW.host_id, NEW.hour, NEW.component
                USING ERRCODE = 'check_violation', CONSTRAINT = 'slices_add_up', TABLE = 'stored_slice',
                    HINT = 'Write or delete a host_hour and its slices in one transaction.';
        END IF;
        RETURN NULL;
    END IF;
    SELECT coalesce(sum(dynamic_uj), 0) AS dynamic, coalesce(sum(idle_reserved_uj), 0) AS reserved,
        coalesce(sum(idle_busy_uj), 0) AS busy, coalesce(sum(idle_equal_uj), 0) AS equal
    INTO total FROM stored_slice WHERE host_id = NEW.host_id AND hour = NEW.hour AND component = NEW.component;
    IF total.dynamic <> ledger.job_dynamic_uj OR total.reserved <> ledger.idle_reserved_uj
        OR total.busy <> ledger.idle_busy_uj OR total.equal <> ledger.idle_equal_uj THEN
        RAISE EXCEPTION 'slices of host % at % (%) do not add up to its host_hour', NEW.host_id, NEW.hour, NEW.component
            USING ERRCODE = 'check_violation', CONSTRAINT = 'slices_add_up', TABLE = 'stored_slice',
                DETAIL = format('slices: dynamic %s, reserved %s, busy %s, equal %s; host_hour: %s, %s, %s, %s', total.dynamic,
                    total.reserved, total.busy, total.equal, ledger.job_dynamic_uj, ledger.idle_reserved_uj, ledger.idle_busy_uj,
                    ledger.idle_equal_uj);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slices_add_up AFTER INSERT ON unchecked_hour
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION compare_slices();

CREATE FUNCTION note_unchecked_hours() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing bigint;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO unchecked_hour SELECT DISTINCT host_id, hour, component FROM before_change ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO unchecked_hour SELECT DISTINCT host_id, hour, component FROM after_change ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
        IF TG_TABLE_NAME = 'stored_slice' THEN
            SELECT s.intensity_id INTO missing FROM (SELECT DISTINCT intensity_id FROM after_change WHERE intensity_id IS NOT NULL) s
                LEFT JOIN intensity i USING (intensity_id)
            WHERE i.intensity_id IS NULL LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'a slice names intensity %, which is not there', missing
                    USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'slice_intensity', TABLE = 'stored_slice';
            END IF;
        END IF;
    END IF;
    RETURN NULL;
END $$;
-- A trigger with transition tables is of one event.
CREATE TRIGGER inserted_slices_add_up AFTER INSERT ON stored_slice REFERENCING NEW TABLE AS after_change
    FOR EACH STATEMENT EXECUTE FUNCTION note_unchecked_hours();
CREATE TRIGGER changed_slices_add_up AFTER UPDATE ON stored_slice REFERENCING OLD TABLE AS before_change NEW TABLE AS after_change
    FOR EACH STATEMENT EXECUTE FUNCTION note_unchecked_hours();
CREATE TRIGGER deleted_slices_add_up AFTER DELETE ON stored_slice REFERENCING OLD TABLE AS before_change
    FOR EACH STATEMENT EXECUTE FUNCTION note_unchecked_hours();
CREATE TRIGGER inserted_slices_add_up AFTER INSERT ON host_hour REFERENCING NEW TABLE AS after_change
    FOR EACH STATEMENT EXECUTE FUNCTION note_unchecked_hours();
CREATE TRIGGER changed_slices_add_up AFTER UPDATE ON host_hour REFERENCING OLD TABLE AS before_change NEW TABLE AS after_change
    FOR EACH STATEMENT EXECUTE FUNCTION note_unchecked_hours();
CREATE TRIGGER deleted_slices_add_up AFTER DELETE ON host_hour REFERENCING OLD TABLE AS before_change
    FOR EACH STATEMENT EXECUTE FUNCTION note_unchecked_hours();

-- What is truncated is seen by none of these.
CREATE FUNCTION refuse_truncation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger''s table % is not truncated: nothing would hold what is left to it', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = 'slices_add_up', TABLE = TG_TABLE_NAME,
            HINT = 'Delete host-hours and their slices in one transaction.';
END $$;
CREATE TRIGGER slices_add_up BEFORE TRUNCATE ON stored_slice FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncation();
CREATE TRIGGER slices_add_up BEFORE TRUNCATE ON host_hour FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncation();

CREATE FUNCTION keep_intensities() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'intensities are kept: a revision is a row of its own' USING ERRCODE = 'check_violation', CONSTRAINT = 'intensity_is_kept';
END $$;
CREATE TRIGGER intensity_is_kept BEFORE DELETE OR UPDATE OF intensity_id OR TRUNCATE ON intensity
    FOR EACH STATEMENT EXECUTE FUNCTION keep_intensities();

-- A settled hour of a curve, with the nearest knot on either side: it stands alone. Late data make a new version.
CREATE TABLE curve_hour (
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    hour        timestamptz NOT NULL,
    version     int NOT NULL,
    knots       bytea NOT NULL,
    sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32),
    PRIMARY KEY (host_id, curve_id, hour, version),
    FOREIGN KEY (host_id, curve_id) REFERENCES curve
);

-- Mean power of whole minutes in which nothing ran, as an hour's accounts saw them.
CREATE TABLE idle_minutes (
    host_id     int NOT NULL REFERENCES host,
    hour        timestamptz NOT NULL,
    component   text NOT NULL CHECK (component IN ('cpu', 'dram', 'gpu', 'rest')),
    mean_uw     bigint[] NOT NULL CHECK (mean_uw <> '{}'),
    PRIMARY KEY (host_id, hour, component)
);
-- The idle floor of a UTC day: the median of the idle minutes of the seven days before it, or of the last thirty where those are fewer.
-- Made when an hour of the day is first accounted, dropped when a minute that it is made of changes.
CREATE TABLE idle_floor (
    host_id     int NOT NULL REFERENCES host,
    component   text NOT NULL CHECK (component IN ('cpu', 'dram', 'gpu', 'rest')),
    day         timestamptz NOT NULL,
    -- The first instant whose minutes count; any before it do not.
    since_t     timestamptz NOT NULL,
    -- Null where too few minutes are known.
    p_idle_uw   bigint CHECK (p_idle_uw >= 0),
    p_idle_low_uw bigint CHECK (p_idle_low_uw <= p_idle_uw),
    p_idle_high_uw bigint CHECK (p_idle_high_uw >= p_idle_uw),
    minutes     int NOT NULL,
    PRIMARY KEY (host_id, component, day),
    CHECK (num_nulls(p_idle_uw, p_idle_low_uw, p_idle_high_uw) IN (0, 3))
);

-- What a service made: packages served, updates made.
CREATE TABLE units (
    units_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The source under whose name it was posted; with `id` what makes a second post the same one.
    source      text NOT NULL,
    id          text NOT NULL,
    service     text NOT NULL,
    activity    text,
    unit        text NOT NULL,
    count       double precision NOT NULL CHECK (count >= 0),
    from_t      timestamptz NOT NULL,
    to_t        timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source, id),
    CHECK (from_t < to_t)
);
CREATE INDEX units_service ON units (service, from_t);

-- Spans that ended long before a stretch of time are passed over.
CREATE INDEX span_end ON span (host_id, finished_at);
ALTER TABLE span
    -- The job that this one says it runs within, and the CI's run that it belongs to.
    ADD COLUMN parent_job_id text,
    ADD COLUMN run_id text,
    -- GPU meters that the span has to itself.
    ADD COLUMN gpus text[] NOT NULL DEFAULT '{}';
-- Made up by the simulator: shown as such wherever it appears, and never published.
ALTER TABLE host ADD COLUMN is_simulated boolean NOT NULL DEFAULT false;
CREATE FUNCTION flag_simulated_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM host WHERE host_id = NEW.host_id AND is_simulated) THEN
        IF NOT 'simulated' = ANY(NEW.flags) THEN NEW.flags := array_append(NEW.flags, 'simulated'); END IF;
        NEW.is_public := false;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER job_is_simulated BEFORE INSERT OR UPDATE OF host_id, flags, is_public ON span_key FOR EACH ROW
    WHEN (NEW.host_id IS NOT NULL) EXECUTE FUNCTION flag_simulated_job();
-- Jobs that were there before their host said what it is.
CREATE FUNCTION flag_jobs_of_simulated_host() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE span_key SET flags = flags WHERE host_id = NEW.host_id;
    RETURN NULL;
END $$;
CREATE TRIGGER host_is_simulated AFTER UPDATE OF is_simulated ON host FOR EACH ROW
    WHEN (NEW.is_simulated AND NOT OLD.is_simulated) EXECUTE FUNCTION flag_jobs_of_simulated_host();

-- Slots: what a machine takes at a time, where its own record does not say. Runners say how many jobs each takes; an operator says it of
-- a pool's machines.
ALTER TABLE runner_host ADD COLUMN concurrent int CHECK (concurrent > 0);
CREATE TABLE pool_record (
    pool        text NOT NULL CHECK (pool <> ''),
    valid_from  timestamptz NOT NULL,
    slots       double precision NOT NULL CHECK (slots > 0),
    PRIMARY KEY (pool, valid_from)
);
-- Hours that what changes may be in: accounted ones, and those that a worker may just be accounting without it.
CREATE VIEW markable_hour AS SELECT host_id, hour FROM accounted_hour UNION SELECT host_id, hour FROM dirty;
-- The idle energy that a job reserved depends on slots: hours that were accounted without are accounted anew.
CREATE FUNCTION mark_hours_of_runner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'runner' FROM markable_hour a
    WHERE TG_OP <> 'INSERT' AND a.host_id = OLD.host_id AND a.hour < OLD.valid_to AND a.hour + interval '1 hour' > OLD.valid_from
        AND (TG_OP = 'DELETE' OR OLD.host_id <> NEW.host_id OR OLD.concurrent IS DISTINCT FROM NEW.concurrent
            OR a.hour < NEW.valid_from OR a.hour + interval '1 hour' > NEW.valid_to)
    UNION
    SELECT a.host_id, a.hour, 'runner' FROM markable_hour a
    WHERE TG_OP <> 'DELETE' AND a.host_id = NEW.host_id AND a.hour < NEW.valid_to AND a.hour + interval '1 hour' > NEW.valid_from
        AND (TG_OP = 'INSERT' OR OLD.host_id <> NEW.host_id OR OLD.concurrent IS DISTINCT FROM NEW.concurrent
            OR a.hour < OLD.valid_from OR a.hour + interval '1 hour' > OLD.valid_to);
    RETURN NULL;
END $$;
CREATE TRIGGER runner_moved AFTER INSERT OR UPDATE OR DELETE ON runner_host FOR EACH ROW EXECUTE FUNCTION mark_hours_of_runner();
CREATE FUNCTION mark_hours_of_pool() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said pool_record := coalesce(NEW, OLD);
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'pool' FROM host h JOIN markable_hour a USING (host_id)
    WHERE h.pool = said.pool AND a.hour + interval '1 hour' > said.valid_from AND a.hour <= coalesce(
        (SELECT min(valid_from) FROM pool_record r WHERE r.pool = said.pool AND r.valid_from > said.valid_from), 'infinity');
    RETURN NULL;
END $$;
CREATE TRIGGER pool_said AFTER INSERT OR UPDATE OR DELETE ON pool_record FOR EACH ROW EXECUTE FUNCTION mark_hours_of_pool();
-- Where a host stands says whose energy it is and how much of it there is to share out.
CREATE FUNCTION mark_hours_of_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'place' FROM markable_hour a
    WHERE a.host_id IN (NEW.host_id, OLD.parent_host_id, NEW.parent_host_id)
        -- One that retires is gone from then on.
        AND (OLD.pool IS DISTINCT FROM NEW.pool OR OLD.parent_host_id IS DISTINCT FROM NEW.parent_host_id
            OR a.hour + interval '1 hour' > least(OLD.retired_at, NEW.retired_at));
    RETURN NULL;
END $$;
CREATE TRIGGER host_moved AFTER UPDATE OF pool, parent_host_id, retired_at ON host FOR EACH ROW
    WHEN (OLD.pool IS DISTINCT FROM NEW.pool OR OLD.parent_host_id IS DISTINCT FROM NEW.parent_host_id
        OR OLD.retired_at IS DISTINCT FROM NEW.retired_at AND NEW.parent_host_id IS NOT NULL)
    EXECUTE FUNCTION mark_hours_of_place();

-- The name that a host came with: the accounts go by it, so that another name changes none of them.
ALTER TABLE host ADD COLUMN original_name text;
UPDATE host SET original_name = name;
ALTER TABLE host ALTER COLUMN original_name SET NOT NULL;
CREATE FUNCTION keep_original_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.original_name := CASE TG_OP WHEN 'INSERT' THEN NEW.name ELSE OLD.original_name END;
    RETURN NEW;
END $$;
CREATE TRIGGER host_keeps_original_name BEFORE INSERT OR UPDATE OF original_name ON host
    FOR EACH ROW EXECUTE FUNCTION keep_original_name();

-- A guest is known by its cgroup on its machine, which is called as it came or as it is called now.
CREATE FUNCTION mark_hours_of_cgroup() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'name' FROM markable_hour a
    WHERE a.host_id = NEW.parent_host_id AND EXISTS (
        SELECT FROM workload w CROSS JOIN unnest(ARRAY[OLD.name, NEW.name]) AS n (name)
        WHERE w.host_id = a.host_id AND w.born_at < a.hour + interval '1 hour' AND coalesce(w.died_at, 'infinity') > a.hour
            AND n.name <> NEW.original_name AND strpos(w.cgroup, replace(n.name, '-', '\x2d')) > 0);
    RETURN NULL;
END $$;
CREATE TRIGGER guest_renamed AFTER UPDATE OF name ON host FOR EACH ROW
    WHEN (NEW.parent_host_id IS NOT NULL AND NEW.name <> OLD.name) EXECUTE FUNCTION mark_hours_of_cgroup();

-- Hosts within hosts: the outermost one has the meters.
CREATE INDEX host_parent ON host (parent_host_id) WHERE parent_host_id IS NOT NULL;
-- The hosts that one runs on, the one directly around it first.
CREATE FUNCTION hosts_around(host int) RETURNS SETOF int LANGUAGE sql STABLE AS $$
    WITH RECURSIVE around (host_id, depth) AS (
        SELECT parent_host_id, 1 FROM host h WHERE h.host_id = hosts_around.host AND parent_host_id IS NOT NULL
        UNION ALL
        SELECT p.parent_host_id, depth + 1 FROM around a JOIN host p ON p.host_id = a.host_id
        WHERE depth < 16 AND p.parent_host_id IS NOT NULL
    )
    SELECT host_id FROM around ORDER BY depth
$$;
CREATE FUNCTION metering_host(host int) RETURNS int LANGUAGE sql STABLE AS $$
    WITH RECURSIVE around (host_id, parent_host_id, depth) AS (
        SELECT host_id, parent_host_id, 0 FROM host h WHERE h.host_id = metering_host.host
        UNION ALL
        SELECT p.host_id, p.parent_host_id, depth + 1 FROM around a JOIN host p ON p.host_id = a.parent_host_id WHERE depth < 16
    )
    SELECT coalesce((SELECT host_id FROM around ORDER BY depth DESC LIMIT 1), metering_host.host)
$$;
