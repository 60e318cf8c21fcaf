-- The accounting engine: slices that end at every edge of the intensity feed, where each error comes from, what every host-hour was made
-- of, packed hours, learned idle floors, units, and which data are simulated.

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
ALTER TABLE host_hour DROP COLUMN intensity_id,
    ADD CONSTRAINT co2e_all_or_none CHECK (
        num_nulls(co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug) IN (0, 6));

ALTER TABLE slice
    ADD COLUMN intensity_id bigint REFERENCES intensity,
    -- Its own mean power over its time that was not metered; outside the accounts.
    ADD COLUMN estimated_uj bigint CHECK (estimated_uj >= 0),
    -- Standard deviations, by the keys of docs/methodology.md, "Uncertainty". The idle floor within its part of all energy.
    ADD COLUMN floor_uj double precision NOT NULL DEFAULT 0,
    ADD COLUMN start_error_uj double precision NOT NULL DEFAULT 0,
    ADD COLUMN end_error_uj double precision NOT NULL DEFAULT 0,
    ADD COLUMN gap_error_uj double precision NOT NULL DEFAULT 0;

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

ALTER TABLE span
    -- The job that this one says it runs within, and the CI's run that it belongs to.
    ADD COLUMN parent_job_id text,
    ADD COLUMN run_id text,
    -- GPU meters that the span has to itself.
    ADD COLUMN gpus text[] NOT NULL DEFAULT '{}';
-- Made up by the simulator: shown as such wherever it appears, and never published.
ALTER TABLE host ADD COLUMN is_simulated boolean NOT NULL DEFAULT false;

-- Slots: what a machine takes at a time, where its own record does not say. Runners say how many jobs each takes; an operator says it of
-- a pool's machines.
ALTER TABLE runner_host ADD COLUMN concurrent int CHECK (concurrent > 0);
CREATE TABLE pool_record (
    pool        text NOT NULL CHECK (pool <> ''),
    valid_from  timestamptz NOT NULL,
    slots       double precision NOT NULL CHECK (slots > 0),
    PRIMARY KEY (pool, valid_from)
);
-- The idle energy that a job reserved depends on them: hours that were accounted without are accounted anew.
CREATE FUNCTION mark_hours_of_runner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'runner' FROM accounted_hour a
    WHERE TG_OP <> 'INSERT' AND a.host_id = OLD.host_id AND a.hour < OLD.valid_to AND a.hour + interval '1 hour' > OLD.valid_from
        AND (TG_OP = 'DELETE' OR OLD.host_id <> NEW.host_id OR OLD.concurrent IS DISTINCT FROM NEW.concurrent
            OR a.hour < NEW.valid_from OR a.hour + interval '1 hour' > NEW.valid_to)
    UNION
    SELECT a.host_id, a.hour, 'runner' FROM accounted_hour a
    WHERE TG_OP <> 'DELETE' AND a.host_id = NEW.host_id AND a.hour < NEW.valid_to AND a.hour + interval '1 hour' > NEW.valid_from
        AND (TG_OP = 'INSERT' OR OLD.host_id <> NEW.host_id OR OLD.concurrent IS DISTINCT FROM NEW.concurrent
            OR a.hour < OLD.valid_from OR a.hour + interval '1 hour' > OLD.valid_to);
    RETURN NULL;
END $$;
CREATE TRIGGER runner_moved AFTER INSERT OR UPDATE OR DELETE ON runner_host FOR EACH ROW EXECUTE FUNCTION mark_hours_of_runner();
CREATE FUNCTION mark_hours_of_pool() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'pool' FROM host h JOIN accounted_hour a USING (host_id)
    WHERE h.pool = NEW.pool AND a.hour + interval '1 hour' > NEW.valid_from;
    RETURN NULL;
END $$;
CREATE TRIGGER pool_said AFTER INSERT OR UPDATE ON pool_record FOR EACH ROW EXECUTE FUNCTION mark_hours_of_pool();
