-- Meters that are fed by other exporters' series.

ALTER TABLE token DROP CONSTRAINT token_scope_check, ADD CONSTRAINT token_scope_check
    CHECK (scope IN ('agent', 'enrol', 'ci', 'telemetry', 'read', 'admin'));

-- A row beside the curve of each such meter. What is needed to go on with it is written in the transaction that writes its knots, under
-- the lock of the host's row: so any number of collectors and restarts agree, and what is sent twice counts once.
CREATE TABLE telemetry_meter (
    host_id     int NOT NULL,
    curve_id    int NOT NULL,
    -- Where it stands among the host's meters.
    package     int,
    die         int,
    inside      text,
    -- By which way its series come now.
    source      text NOT NULL,
    -- The last raw values and the door, as Sources/Telemetry/Curves/MeterCurveState.swift writes them.
    state       jsonb NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, curve_id),
    FOREIGN KEY (host_id, curve_id) REFERENCES curve
) WITH (fillfactor = 70);
-- No index on updated_at: it would make every scrape write it, and the silent ones are looked for once a minute.

-- Series that look like energy and became no meter: for doctor. A few hundred names, whatever is sent.
CREATE TABLE telemetry_unmapped (
    name        text NOT NULL,
    -- As SeriesOutcome.Reason says it.
    reason      text NOT NULL,
    -- The labels of the last of them.
    example     jsonb NOT NULL,
    -- Times that one was left out.
    n           bigint NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (name, reason)
);
