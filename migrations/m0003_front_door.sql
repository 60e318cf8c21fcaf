-- The CI front door: who may say what, events as they came, who is who, and where a job is found.

-- What a writer may claim: {"instances": [...], "repositories": [...], "hosts": [...], "pools": [...], "visibility": "public"|"private",
-- "rate_per_s": n}; patterns with `*`; a missing list allows everything, an empty one nothing.
ALTER TABLE token DROP CONSTRAINT token_scope_check, ADD CONSTRAINT token_scope_check
    CHECK (scope IN ('agent', 'enrol', 'ci', 'read', 'admin'));
ALTER TABLE token
    ADD COLUMN claims jsonb NOT NULL DEFAULT '{}',
    -- The source under whose name a ci token files its spans; its own name where null.
    ADD COLUMN source text,
    -- The repositories that a read token sees: OWNER/* patterns; all where null.
    ADD COLUMN read_repositories text[],
    -- The pool that an enrol token's hosts join, and how many it may still enrol.
    ADD COLUMN pool text,
    ADD COLUMN uses_left int CHECK (uses_left >= 0),
    -- An agent's token that was traded for an enrol token: which one.
    ADD COLUMN enrolled_by int REFERENCES token,
    ADD COLUMN last_used_at timestamptz,
    ADD CHECK (scope <> 'enrol' OR pool IS NOT NULL);

CREATE TABLE source (
    source_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> ''),
    -- A CI system's kind (`github`), or `oidc`.
    kind        text NOT NULL,
    claims      jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    first_event_at timestamptz,
    last_event_at timestamptz,
    -- Where and with what to ask for what the webhooks missed; what an OIDC issuer may sign for.
    settings    jsonb NOT NULL DEFAULT '{}',
    api_token   text,
    reconciled_at timestamptz,
    -- Where the history walk stands.
    reconcile_state jsonb NOT NULL DEFAULT '{}',
    reconcile_error text
);

-- Kept as they are, because a signature needs them; two live ones while rotating.
CREATE TABLE source_secret (
    source_secret_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   int NOT NULL REFERENCES source,
    secret      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX source_secret_source ON source_secret (source_id);

-- A verified event as it came in.
CREATE TABLE ci_event (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   int NOT NULL REFERENCES source,
    -- What stays the same when the same event is delivered again.
    event_key   text NOT NULL,
    name        text NOT NULL,
    headers     jsonb NOT NULL,
    body        bytea NOT NULL,
    -- Of the raw body, as it was signed.
    sha256      bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    outcome     text CHECK (outcome IN ('jobs', 'run', 'ignored', 'unreadable', 'refused', 'failed')),
    detail      text,
    attempts    int NOT NULL DEFAULT 0,
    -- Not before then: the last attempt failed.
    retry_at    timestamptz,
    UNIQUE (source_id, event_key, sha256)
);
CREATE INDEX ci_event_open ON ci_event (event_id) WHERE processed_at IS NULL;
CREATE INDEX ci_event_received ON ci_event (received_at);
CREATE INDEX ci_event_source ON ci_event (source_id, event_id);

-- Every change of configuration, and every refused claim.
CREATE TABLE audit (
    audit_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    who         text NOT NULL,
    action      text NOT NULL,
    subject     text NOT NULL,
    before      jsonb,
    after       jsonb
);
CREATE INDEX audit_at ON audit (at);

ALTER TABLE host
    ADD COLUMN pool text,
    -- The machine that this one runs on: a VM or pod within a host.
    ADD COLUMN parent_host_id int REFERENCES host,
    -- Enrolled by pool: it retires once it has been silent for a day.
    ADD COLUMN is_ephemeral boolean NOT NULL DEFAULT false,
    ADD COLUMN machine_id_sha256 bytea,
    ADD COLUMN retired_at timestamptz,
    ADD COLUMN retired_because text,
    ADD COLUMN merged_into int REFERENCES host,
    ADD CHECK (parent_host_id <> host_id), ADD CHECK (merged_into <> host_id);

-- Other names of a host, in lower case; its own name is no alias.
CREATE TABLE host_alias (
    alias       text PRIMARY KEY CHECK (alias = lower(alias)),
    host_id     int NOT NULL REFERENCES host,
    origin      text NOT NULL CHECK (origin IN ('agent', 'operator', 'import', 'rename', 'merge')),
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX host_alias_host ON host_alias (host_id);
CREATE INDEX host_lower_name ON host (lower(name));

-- What an operator says of a host, from a day on: site, grid zone, PUE, slots and so on. The last one that begins before an instant counts.
CREATE TABLE host_record (
    host_id     int NOT NULL REFERENCES host,
    valid_from  timestamptz NOT NULL,
    record      jsonb NOT NULL,
    PRIMARY KEY (host_id, valid_from)
);

-- Which host a runner ran on, and when: a runner is no host.
CREATE TABLE runner_host (
    runner_host_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The runner's name at its CI, in lower case; where two CIs use one name, `instance` (lower case, no scheme) tells them apart.
    runner      text NOT NULL CHECK (runner = lower(runner)),
    instance    text NOT NULL DEFAULT '',
    host_id     int NOT NULL REFERENCES host,
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz NOT NULL DEFAULT 'infinity',
    origin      text NOT NULL CHECK (origin IN ('agent', 'operator', 'import', 'hook')),
    CHECK (valid_from < valid_to)
);
CREATE INDEX runner_host_runner ON runner_host (runner, valid_from);
CREATE INDEX runner_host_host ON runner_host (host_id);

-- Machines that nobody can meter, by class and from a day on: power is modelled.
CREATE TABLE host_class (
    name        text NOT NULL,
    valid_from  timestamptz NOT NULL,
    record      jsonb NOT NULL,
    PRIMARY KEY (name, valid_from)
);

-- Rules from host, cgroup, unit, repository, job... to service, activity, team: a whole file counts from a day on.
CREATE TABLE rule_set (
    kind        text NOT NULL CHECK (kind IN ('services')),
    valid_from  timestamptz NOT NULL,
    document    jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The walk that puts the set's labels on the spans of its time: when it began, the last span it has passed, when all were passed.
    walk_began_at timestamptz,
    walked_to_t timestamptz,
    walked_to_job text,
    walked_at   timestamptz,
    -- All were passed once, but so soon that some may have been placed by the rules from before just then.
    needs_second_walk boolean NOT NULL DEFAULT false,
    PRIMARY KEY (kind, valid_from)
);

-- How far the cgroups of a host were looked at for spans of their own: all curves up to one, under one version of the rules; and
-- until when what was decided of posted spans was looked at.
CREATE TABLE resident_sweep (
    host_id     int PRIMARY KEY REFERENCES host,
    rules_version text NOT NULL,
    curve_id    int NOT NULL,
    decided_at  timestamptz NOT NULL
);
CREATE INDEX span_resident ON span (host_id, started_at) WHERE source = 'resident';
CREATE INDEX ownership_decided ON ownership (host_id, decided_at);

-- What a forge last said of a repository: one turned private vanishes at once.
CREATE TABLE repository (
    name        text PRIMARY KEY,
    is_private  boolean NOT NULL,
    stated_at   timestamptz NOT NULL,
    source      text NOT NULL
);

-- The directory knows what jobs are looked up by; host-bound tables know how they are accounted.
ALTER TABLE span_key
    -- Of a job and of a hook's record that may be the same work: same source, instance, run and runner.
    ADD COLUMN run_key text,
    -- Another job_id that this one is: its energy is counted there.
    ADD COLUMN alias_of text,
    ADD COLUMN alias_cause text CHECK (alias_cause IN ('hook', 'carried_over')),
    -- Every name, in lower case, under which its host may appear.
    ADD COLUMN host_names text[] NOT NULL DEFAULT '{}',
    -- How the host was found.
    ADD COLUMN host_by text,
    ADD COLUMN host_class text,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN finished_at timestamptz,
    ADD COLUMN service text,
    ADD COLUMN activity text,
    ADD COLUMN team text,
    -- As all sources share it: github.com/ocaml/dune.
    ADD COLUMN repository text,
    ADD COLUMN runner text,
    ADD COLUMN pool text,
    ADD COLUMN is_deleted boolean NOT NULL DEFAULT false,
    ADD COLUMN is_public boolean NOT NULL DEFAULT false,
    ADD COLUMN rule text,
    ADD COLUMN flags text[] NOT NULL DEFAULT '{}',
    -- The winning fields, and what the rules added.
    ADD COLUMN document jsonb NOT NULL DEFAULT '{}',
    ADD CHECK ((alias_of IS NULL) = (alias_cause IS NULL));
UPDATE span_key SET document = (SELECT coalesce(jsonb_object_agg(name, register -> 'v'), '{}') FROM jsonb_each(registers) AS e (name, register));
ALTER TABLE span DROP COLUMN document;
UPDATE span_key SET started_at = (registers -> 'started_at' ->> 'v')::timestamptz,
    finished_at = (registers -> 'finished_at' ->> 'v')::timestamptz, service = registers -> 'service' ->> 'v',
    repository = registers -> 'repository' ->> 'v', is_deleted = registers ? 'deleted',
    host_names = CASE WHEN host_name IS NULL THEN '{}' ELSE ARRAY[lower(host_name)] END;
DROP INDEX span_key_waiting;
DROP INDEX span_key_waiting_received;
CREATE INDEX span_key_waiting ON span_key USING gin (host_names) WITH (fastupdate = off)
    WHERE host_id IS NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_run ON span_key (run_key) WHERE run_key IS NOT NULL;
CREATE INDEX span_key_alias ON span_key (alias_of) WHERE alias_of IS NOT NULL;
-- Lists are newest first; a job that never started, was deleted or is another one is no job of a list.
CREATE INDEX span_key_started ON span_key (started_at DESC, job_id DESC) WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_service ON span_key (service, started_at DESC, job_id DESC)
    WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_repository ON span_key (repository, started_at DESC, job_id DESC)
    WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_host ON span_key (host_id, started_at DESC, job_id DESC)
    WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_source ON span_key (source, started_at DESC, job_id DESC)
    WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_public ON span_key (started_at DESC, job_id DESC)
    WHERE is_public AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;
CREATE INDEX span_key_no_host ON span_key (started_at DESC, job_id DESC)
    WHERE host_id IS NULL AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted;

-- Names that have appeared: spans that wait for one of them are tried again, twice. The second pass begins when every transaction has
-- ended that may have looked before the name was there.
CREATE TABLE host_news (
    news_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    -- The last span that the pass has tried.
    after_job_id text NOT NULL DEFAULT '',
    -- Set when the first pass is through.
    horizon     xid8
);
-- What its agent calls it; the names that another host holds are no aliases of it.
ALTER TABLE host ADD COLUMN agent_names text[] NOT NULL DEFAULT '{}';
-- The runners that its agent names, each after its instance and a space; those of another host are not on the map as its own.
ALTER TABLE host ADD COLUMN agent_runners text[] NOT NULL DEFAULT '{}';
CREATE INDEX host_short_name ON host (split_part(lower(name), '.', 1));
CREATE INDEX host_alias_short ON host_alias (split_part(alias, '.', 1));

-- A name and its first label: a span may know a machine by either.
CREATE FUNCTION announce_host_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text := CASE TG_TABLE_NAME
        WHEN 'host' THEN lower(to_jsonb(NEW) ->> 'name')
        WHEN 'host_alias' THEN to_jsonb(NEW) ->> 'alias'
        ELSE to_jsonb(NEW) ->> 'runner' END;
BEGIN
    INSERT INTO host_news (name) SELECT DISTINCT n FROM unnest(ARRAY[name, split_part(name, '.', 1)]) AS n WHERE n <> '';
    RETURN NULL;
END $$;
CREATE TRIGGER host_named AFTER INSERT OR UPDATE OF name, retired_at ON host FOR EACH ROW EXECUTE FUNCTION announce_host_name();
CREATE TRIGGER host_named AFTER INSERT OR UPDATE OF host_id ON host_alias FOR EACH ROW EXECUTE FUNCTION announce_host_name();
CREATE TRIGGER host_named AFTER INSERT OR UPDATE OF host_id, valid_from, valid_to, instance ON runner_host
    FOR EACH ROW EXECUTE FUNCTION announce_host_name();
-- Names count in either case from now on.
INSERT INTO host_news (name) SELECT DISTINCT lower(name) FROM host;

-- Whether a host's own meters know anything of the hour that holds an instant.
CREATE FUNCTION host_is_metered(host int, at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM host_hour l WHERE l.host_id = host AND l.hour = date_trunc('hour', at, 'UTC') AND l.metered_uj > 0)
        OR EXISTS (
            SELECT FROM curve c JOIN knot k USING (host_id, curve_id)
            WHERE c.host_id = host AND c.kind = 'meter' AND k.t >= date_trunc('hour', at, 'UTC')
                AND k.t < date_trunc('hour', at, 'UTC') + interval '1 hour')
        OR EXISTS (
            SELECT FROM curve c JOIN curve_tail t USING (host_id, curve_id)
            WHERE c.host_id = host AND c.kind = 'meter' AND t.t >= date_trunc('hour', at, 'UTC')
                AND t.knot_t < date_trunc('hour', at, 'UTC') + interval '1 hour')
$$;
-- Until when a host's cover is complete is asked with every job; a host has few meters and thousands of workloads.
CREATE INDEX curve_cover ON curve (host_id, curve_id) WHERE kind = 'meter' AND in_cover;
