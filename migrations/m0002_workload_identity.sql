-- Whose a cgroup is: what it is known by, what a span is known by, and what was decided.

ALTER TABLE curve DROP CONSTRAINT curve_kind_check, ADD CONSTRAINT curve_kind_check
    CHECK (kind IN ('meter', 'host_busy', 'agent_cpu', 'workload_cpu', 'workload_memory'));
ALTER TABLE curve DROP CONSTRAINT curve_zone_check, ADD CONSTRAINT curve_zone_check
    CHECK (zone IN ('node', 'psys', 'module', 'package', 'core', 'uncore', 'dram', 'gpu', 'io'));
COMMENT ON COLUMN curve.epsilon IS 'in the curve''s unit: µJ of meters, µs of CPU time, byte-seconds of memory';

ALTER TABLE workload
    -- The systemd unit, the container (the runtime's full id) and the pod (namespace/name) that it is.
    ADD COLUMN unit text,
    ADD COLUMN container_id text,
    ADD COLUMN pod text,
    -- Of the container's labels those that name a job or a runner.
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
    -- Byte-seconds, and the largest memory seen.
    ADD COLUMN memory_curve_id int,
    ADD COLUMN memory_max_bytes bigint CHECK (memory_max_bytes >= 0),
    -- How the last CPU time is known.
    ADD COLUMN ending text CHECK (ending IN ('read', 'settled', 'last')),
    ADD FOREIGN KEY (host_id, memory_curve_id) REFERENCES curve;
CREATE INDEX workload_born ON workload (host_id, born_at);
CREATE INDEX workload_unit ON workload (host_id, unit) WHERE unit IS NOT NULL;
CREATE INDEX workload_pod ON workload (host_id, split_part(pod, '/', 2)) WHERE pod IS NOT NULL;
CREATE INDEX workload_job ON workload (host_id, (labels ->> 'com.gitlab.gitlab-runner.job.id'))
    WHERE labels ->> 'com.gitlab.gitlab-runner.job.id' IS NOT NULL;

ALTER TABLE span
    -- The runner that took the job, and every id under which its CI may know it.
    ADD COLUMN runner text,
    ADD COLUMN job_ids text[] NOT NULL DEFAULT '{}';
UPDATE span SET
    runner = nullif(left(coalesce(document ->> 'runner', document ->> 'runner_name'), 512), ''),
    job_ids = array_remove(
        ARRAY[workload_key, regexp_replace(workload_key, '^.*/', ''), document ->> 'job_id', document ->> 'external_id'], NULL);
-- By each of what may tell whose a cgroup is; GIN since a span has several ids.
CREATE INDEX span_workload_key ON span (host_id, workload_key, started_at);
CREATE INDEX span_workload ON span (host_id, workload, started_at) WHERE workload IS NOT NULL;
CREATE INDEX span_job_ids ON span USING gin (job_ids) WITH (fastupdate = off);
-- Spans whose edges are known worse than within 2 s: their cgroups are looked for further around.
CREATE INDEX span_coarse ON span (host_id, started_at) WHERE time_resolution_us > 2000000;
CREATE INDEX span_runner ON span (host_id, runner, started_at) WHERE runner IS NOT NULL;

-- Which cgroups a span was last accounted with: a rule, or the reason why there is none.
CREATE TABLE ownership (
    host_id     int NOT NULL REFERENCES host,
    span_id     bigint NOT NULL,
    rule        text CHECK (rule IN ('run', 'client', 'container', 'pod', 'unit', 'alone')),
    reason      text,
    curve_ids   int[] NOT NULL DEFAULT '{}',
    -- The span's edges as they were accounted; the posted ones stay in `span`.
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    decided_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, span_id),
    CHECK ((rule IS NULL) = (curve_ids = '{}')),
    CHECK ((rule IS NULL) = (reason IS NOT NULL))
);
