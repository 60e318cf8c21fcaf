-- Two machines that report as one host are told apart by the order of its streams.
CREATE INDEX stream_host ON stream (host_id, stream_id);

-- A row for each host that a second machine has reported as: whose batches are taken, and whose were refused last.
CREATE TABLE host_rival (
    host_id     int PRIMARY KEY REFERENCES host,
    kept_boot_id text NOT NULL,
    refused_boot_id text NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    refused_batches bigint NOT NULL DEFAULT 1
);
