-- The spine: who measured what, who worked when, and whose the energy is.
--
-- Energy is bigint µJ, CO2e bigint µg, time timestamptz (µs), CPU time bigint µs. host_id leads every key of a table that grows with
-- the farm, so that the tables can be distributed by it. Numbers a host never exceeds: 9.2e18 µJ = 2.5 GWh.

CREATE TABLE token (
    token_id    int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    scope       text NOT NULL CHECK (scope IN ('agent', 'ci', 'read', 'admin')),
    -- SHA-256 of the whole token; the token itself is shown once and never stored.
    sha256      bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    -- The only host an agent may report for.
    host_name   text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz,
    CHECK (scope <> 'agent' OR host_name IS NOT NULL)
);

CREATE TABLE host (
    host_id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> ''),
    grid_zone   text,
    pue         double precision NOT NULL DEFAULT 1 CHECK (pue >= 1),
    slots       double precision CHECK (slots > 0),
    cpus        int NOT NULL DEFAULT 1 CHECK (cpus > 0),
    cpu_model   text NOT NULL DEFAULT '',
    arch        text NOT NULL DEFAULT '',
    os          text NOT NULL DEFAULT '',
    kernel      text NOT NULL DEFAULT '',
    memory_bytes bigint NOT NULL DEFAULT 0,
    agent_version text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    -- The collector's clock minus the agent's, as last measured by the agent.
    clock_offset_us bigint
);

-- A stream is what one incarnation of a spool sent in one boot; its cursor is the last batch that was committed.
-- Small and undistributed: rows are locked with SKIP LOCKED.
CREATE TABLE stream (
    stream_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_id    int NOT NULL REFERENCES token,
    host_id     int NOT NULL REFERENCES host,
    boot_id     text NOT NULL,
    incarnation text NOT NULL,
    cursor_seq  bigint NOT NULL DEFAULT 0,
    -- SHA-256 of the uncompressed body of batch cursor_seq.
    cursor_sha256 bytea,
    -- Added to every time of the stream: the agent's clock was off when it fixed its times.
    time_shift_us bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    UNIQUE (token_id, boot_id, incarnation)
);

-- Meters, host busy time, the agent and workloads alike: curve_id is one number per host.
CREATE TABLE curve (
    host_id     int NOT NULL REFERENCES host,
    curve_id    int NOT NULL,
    name        text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('meter', 'host_busy', 'agent_cpu', 'workload_cpu')),
    zone        text CHECK (zone IN ('node', 'psys', 'package', 'core', 'uncore', 'dram', 'gpu')),
    sensor      text NOT NULL,
    quality     text NOT NULL CHECK (quality IN ('measured', 'sampled', 'modelled', 'partial', 'unknown')),
    in_cover    boolean NOT NULL,
    -- In the curve's unit: µJ for meters, µs for CPU time.
    epsilon     bigint NOT NULL,
    sample_period_us bigint NOT NULL,
    p_max_uw    bigint NOT NULL,
    p_idle_uw   bigint,
    p_idle_low_uw bigint,
    p_idle_high_uw bigint,
    bound_low_ppm int NOT NULL,
    bound_high_ppm int NOT NULL,
    basis       text NOT NULL,
    -- The agent's count since `origin` plus `base` is the curve's value.
    origin      bigint NOT NULL,
    base        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (host_id, curve_id),
    UNIQUE (host_id, name),
    CHECK ((kind = 'meter') = (zone IS NOT NULL))
);

CREATE TABLE stream_curve (
    stream_id   int NOT NULL REFERENCES stream,
    ref         int NOT NULL,
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    PRIMARY KEY (stream_id, ref),
    FOREIGN KEY (host_id, curve_id) REFERENCES curve
);

-- `value` is the one column whose unit comes from its curve (µJ or µs). Partitions are made ahead, a day each; a knot outside them
-- goes to the default partition, so that no clock can make a batch fail.
CREATE TABLE knot (
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    t           timestamptz NOT NULL,
    value       bigint NOT NULL,
    flags       smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (host_id, curve_id, t)
) PARTITION BY RANGE (t);
CREATE TABLE knot_default PARTITION OF knot DEFAULT;

-- Makes the daily partition that holds an instant, if it is missing and the default partition holds nothing of it.
CREATE FUNCTION make_knot_partition(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day_start timestamptz := date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    partition text := 'knot_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF to_regclass(partition) IS NULL
        AND NOT EXISTS (SELECT FROM knot_default WHERE t >= day_start AND t < day_start + interval '1 day') THEN
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF knot FOR VALUES FROM (%L) TO (%L)',
            partition, day_start, day_start + interval '1 day');
    END IF;
END $$;

-- The latest sample of a curve, and the time before which nothing more will come; 'infinity' for a closed curve.
CREATE TABLE curve_tail (
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    t           timestamptz NOT NULL,
    value       bigint NOT NULL,
    complete_until timestamptz NOT NULL,
    -- The curve's last knot: what the next one must follow.
    knot_t      timestamptz,
    knot_value  bigint,
    PRIMARY KEY (host_id, curve_id),
    FOREIGN KEY (host_id, curve_id) REFERENCES curve
) WITH (fillfactor = 70);

-- Limits of a curve's increase over a time in which it was not measured, in the curve's unit.
CREATE TABLE gap (
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    from_t      timestamptz NOT NULL,
    to_t        timestamptz NOT NULL,
    low         bigint NOT NULL,
    high        bigint NOT NULL,
    cause       text NOT NULL,
    PRIMARY KEY (host_id, curve_id, from_t),
    FOREIGN KEY (host_id, curve_id) REFERENCES curve,
    CHECK (from_t < to_t AND low <= high)
);

CREATE TABLE workload (
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    cgroup      text NOT NULL,
    born_at     timestamptz NOT NULL,
    died_at     timestamptz,
    parent_curve_id int,
    span_key    text,
    PRIMARY KEY (host_id, curve_id),
    FOREIGN KEY (host_id, curve_id) REFERENCES curve
);
CREATE INDEX workload_cgroup ON workload (host_id, cgroup);
CREATE INDEX workload_span_key ON workload (host_id, span_key);

-- The directory: which host a job ran on. job_id is computed from the key, so an id survives a change of host; a span whose host is
-- not known yet lives here only.
CREATE TABLE span_key (
    job_id      text PRIMARY KEY CHECK (length(job_id) = 26),
    source      text NOT NULL,
    instance    text NOT NULL,
    id          text NOT NULL,
    attempt     int NOT NULL,
    host_name   text,
    host_id     int,
    span_id     bigint,
    -- Each field of the span with what it takes to decide which writer wins: {"field": {"v": value, "r": rank, "t": time, ...}}.
    registers   jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((host_id IS NULL) = (span_id IS NULL))
);
CREATE INDEX span_key_waiting ON span_key (host_name) WHERE host_id IS NULL;
CREATE INDEX span_key_waiting_received ON span_key (received_at, job_id) WHERE host_id IS NULL;

CREATE TABLE span (
    host_id     int NOT NULL REFERENCES host,
    span_id     bigint GENERATED ALWAYS AS IDENTITY,
    job_id      text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    queued_at   timestamptz,
    time_resolution_us bigint NOT NULL DEFAULT 0,
    cpu_share   double precision CHECK (cpu_share BETWEEN 0 AND 1),
    cpus        double precision CHECK (cpus > 0),
    weight      double precision CHECK (weight > 0),
    cpu_time_us bigint CHECK (cpu_time_us >= 0),
    workload    text,
    workload_key text NOT NULL,
    source      text NOT NULL,
    service     text,
    repository  text,
    -- What else was posted, as it was.
    document    jsonb NOT NULL,
    PRIMARY KEY (host_id, span_id),
    UNIQUE (host_id, job_id),
    CHECK (finished_at >= started_at)
);
CREATE INDEX span_time ON span (host_id, started_at);
CREATE INDEX span_recent ON span (started_at, job_id);
CREATE INDEX span_open ON span (host_id) WHERE finished_at IS NULL;

-- The work queue: append-only, without a unique key. A worker reads the ids, then the data, and deletes exactly those ids.
CREATE TABLE dirty (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host_id     int NOT NULL,
    hour        timestamptz NOT NULL,
    reason      text NOT NULL
);
CREATE INDEX dirty_hour ON dirty (host_id, hour);

-- A host-hour whose accounts could not be made; set aside with its error, so that it stops nobody else.
CREATE TABLE poisoned_hour (
    host_id     int NOT NULL,
    hour        timestamptz NOT NULL,
    error       text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, hour)
);

CREATE TABLE intensity (
    intensity_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone        text NOT NULL,
    from_t      timestamptz NOT NULL,
    to_t        timestamptz NOT NULL,
    g_per_kwh   double precision NOT NULL CHECK (g_per_kwh >= 0),
    low_g_per_kwh double precision NOT NULL,
    high_g_per_kwh double precision NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('actual', 'estimated', 'forecast', 'yearly')),
    basis       text NOT NULL,
    provider    text NOT NULL,
    version     text NOT NULL,
    fetched_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (zone, from_t, to_t, kind, basis, provider, version),
    CHECK (low_g_per_kwh <= g_per_kwh AND g_per_kwh <= high_g_per_kwh)
);

-- The ledger of a host: a row per hour and component; host figures are sums. Idle is before policy; what each policy moves stands
-- beside it, so that a policy is a sum of columns.
CREATE TABLE host_hour (
    host_id     int NOT NULL REFERENCES host,
    hour        timestamptz NOT NULL CHECK (extract(epoch FROM hour)::bigint % 3600 = 0),
    component   text NOT NULL CHECK (component IN ('cpu', 'dram', 'gpu', 'rest')),
    metered_uj  bigint NOT NULL,
    -- Hard limits of the metered energy: the meters' own. What was not metered comes on top (unmetered_max_uj).
    metered_low_uj bigint NOT NULL CHECK (metered_low_uj BETWEEN 0 AND metered_uj),
    metered_high_uj bigint NOT NULL CHECK (metered_high_uj >= metered_uj),
    job_dynamic_uj bigint NOT NULL CHECK (job_dynamic_uj >= 0),
    system_uj   bigint NOT NULL CHECK (system_uj >= 0),
    agent_uj    bigint NOT NULL CHECK (agent_uj >= 0),
    idle_uj     bigint NOT NULL CHECK (idle_uj >= 0),
    unknown_uj  bigint NOT NULL CHECK (unknown_uj >= 0),
    idle_reserved_uj bigint NOT NULL CHECK (idle_reserved_uj BETWEEN 0 AND idle_uj),
    idle_busy_uj bigint NOT NULL CHECK (idle_busy_uj BETWEEN 0 AND idle_uj),
    idle_equal_uj bigint NOT NULL CHECK (idle_equal_uj BETWEEN 0 AND idle_uj),
    unmetered_us bigint NOT NULL CHECK (unmetered_us >= 0),
    unmetered_max_uj bigint NOT NULL CHECK (unmetered_max_uj >= 0),
    flags       int NOT NULL,
    quality     text NOT NULL,
    pue         double precision NOT NULL,
    intensity_id bigint REFERENCES intensity,
    -- Facility energy (PUE included) x intensity; all null where no intensity is known.
    co2e_ug     bigint,
    co2e_job_dynamic_ug bigint,
    co2e_system_ug bigint,
    co2e_agent_ug bigint,
    co2e_idle_ug bigint,
    co2e_unknown_ug bigint,
    computed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, hour, component),
    CONSTRAINT conservation CHECK (metered_uj = job_dynamic_uj + system_uj + agent_uj + idle_uj + unknown_uj),
    CONSTRAINT co2e_all_or_none CHECK (
        num_nulls(intensity_id, co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug) IN (0, 7)),
    CONSTRAINT co2e_conservation CHECK (
        co2e_ug IS NULL
        OR co2e_ug = co2e_job_dynamic_ug + co2e_system_ug + co2e_agent_ug + co2e_idle_ug + co2e_unknown_ug)
);

-- An hour that has been accounted: also one without any meter has a row here.
CREATE TABLE accounted_hour (
    host_id     int NOT NULL REFERENCES host,
    hour        timestamptz NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, hour)
);

-- A span's part of a host-hour's component.
CREATE TABLE slice (
    host_id     int NOT NULL,
    hour        timestamptz NOT NULL,
    component   text NOT NULL,
    span_id     bigint NOT NULL,
    from_t      timestamptz NOT NULL,
    to_t        timestamptz NOT NULL,
    dynamic_uj  bigint NOT NULL CHECK (dynamic_uj >= 0),
    idle_reserved_uj bigint NOT NULL CHECK (idle_reserved_uj >= 0),
    idle_busy_uj bigint NOT NULL CHECK (idle_busy_uj >= 0),
    idle_equal_uj bigint NOT NULL CHECK (idle_equal_uj >= 0),
    -- What the hard limits under each policy are made of (docs/methodology.md, "Bounds").
    drawn_low_uj double precision NOT NULL,
    drawn_high_uj double precision NOT NULL,
    floor_low_uj double precision NOT NULL,
    floor_high_uj double precision NOT NULL,
    floor_ratio_low double precision NOT NULL,
    floor_ratio_high double precision NOT NULL,
    unmetered_high_uj double precision NOT NULL,
    metered_us  bigint NOT NULL,
    share_method text NOT NULL CHECK (share_method IN ('measured', 'measured_client', 'declared', 'equal')),
    mean_share  double precision NOT NULL,
    quality     text NOT NULL,
    PRIMARY KEY (host_id, hour, component, span_id, from_t),
    FOREIGN KEY (host_id, hour, component) REFERENCES host_hour ON DELETE CASCADE
);
CREATE INDEX slice_span ON slice (host_id, span_id);

-- The slices of a host-hour add up to its row, policy columns included. Checked at commit.
CREATE FUNCTION check_slices_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    row_host int := coalesce(NEW.host_id, OLD.host_id);
    row_hour timestamptz := coalesce(NEW.hour, OLD.hour);
    row_component text := coalesce(NEW.component, OLD.component);
    ledger host_hour%ROWTYPE;
    total record;
BEGIN
    SELECT * INTO ledger FROM host_hour WHERE host_id = row_host AND hour = row_hour AND component = row_component;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'slice' AND EXISTS (
        SELECT FROM host_hour
        WHERE host_id = row_host AND hour = row_hour AND component = row_component AND xmin = pg_current_xact_id()::xid) THEN
        -- The ledger's row was written in this transaction; its own check covers every slice of it, once.
        RETURN NULL;
    END IF;
    SELECT coalesce(sum(dynamic_uj), 0) AS dynamic, coalesce(sum(idle_reserved_uj), 0) AS reserved,
        coalesce(sum(idle_busy_uj), 0) AS busy, coalesce(sum(idle_equal_uj), 0) AS equal
    INTO total FROM slice WHERE host_id = row_host AND hour = row_hour AND component = row_component;
    IF total.dynamic <> ledger.job_dynamic_uj OR total.reserved <> ledger.idle_reserved_uj
        OR total.busy <> ledger.idle_busy_uj OR total.equal <> ledger.idle_equal_uj THEN
        RAISE EXCEPTION 'slices of host % at % (%) do not add up to its host_hour', row_host, row_hour, row_component
            USING ERRCODE = 'check_violation', CONSTRAINT = 'slices_add_up',
                DETAIL = format('slices: dynamic %s, reserved %s, busy %s, equal %s; host_hour: %s, %s, %s, %s', total.dynamic,
                    total.reserved, total.busy, total.equal, ledger.job_dynamic_uj, ledger.idle_reserved_uj, ledger.idle_busy_uj,
                    ledger.idle_equal_uj);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slices_add_up AFTER INSERT OR UPDATE ON host_hour
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_slices_add_up();
CREATE CONSTRAINT TRIGGER slices_add_up AFTER INSERT OR UPDATE OR DELETE ON slice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_slices_add_up();
