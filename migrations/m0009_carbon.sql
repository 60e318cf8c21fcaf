-- Carbon: sites with their grid zones, buildings and contracts; which basis counts in a zone; the feeds of grid intensities; and the part of
-- each machine that its jobs reserved.

-- What an operator says of a site, from an instant on until the next record of it: grid_zone, pue, wue_l_per_kwh, contracts and so on.
-- A host's own record comes before its site's.
-- Names are found in upper and lower case of the 26 letters alike, whatever the server's locale says of others.
CREATE FUNCTION site_key(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(name COLLATE "C") COLLATE "default" $$;
CREATE TABLE site_record (
    site        text NOT NULL CHECK (site <> '' AND site = site_key(site)),
    valid_from  timestamptz NOT NULL,
    record      jsonb NOT NULL,
    PRIMARY KEY (site, valid_from)
);

-- What counts of a host at an instant: its own record, and where that says no zone or PUE, its site's; of a host on another one that
-- one's where it says neither. Null before any record.
CREATE FUNCTION described_host(host int, at timestamptz) RETURNS jsonb LANGUAGE sql STABLE AS $$
    WITH own AS (
        SELECT o.depth, r.record FROM (
            SELECT described_host.host AS host_id, 0::bigint AS depth
            UNION ALL
            SELECT a.host_id, a.depth FROM hosts_around(described_host.host) WITH ORDINALITY AS a (host_id, depth)
        ) o CROSS JOIN LATERAL (
            SELECT record FROM host_record WHERE host_id = o.host_id AND valid_from <= at ORDER BY valid_from DESC LIMIT 1
        ) r
    ), said AS (
        SELECT depth, record, (SELECT s.record FROM site_record s WHERE s.site = site_key(own.record ->> 'site') AND s.valid_from <= at
            ORDER BY s.valid_from DESC LIMIT 1) AS site
        FROM own
    )
    SELECT jsonb_strip_nulls(jsonb_build_object(
            'grid_zone', (SELECT coalesce(record -> 'grid_zone', site -> 'grid_zone') FROM said
                WHERE coalesce(record -> 'grid_zone', site -> 'grid_zone') IS NOT NULL ORDER BY depth LIMIT 1),
            'pue', (SELECT coalesce(record -> 'pue', site -> 'pue') FROM said
                WHERE coalesce(record -> 'pue', site -> 'pue') IS NOT NULL ORDER BY depth LIMIT 1))) || record
    FROM said WHERE depth = 0
$$;
-- The zone that its energy comes from; null where nobody said.
CREATE FUNCTION grid_zone_of(host int, at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(described_host(h.host_id, at) ->> 'grid_zone', h.grid_zone) FROM host h WHERE h.host_id = grid_zone_of.host
$$;

-- Zone and PUE are in the accounts of the hosts of a site; its water and contracts are put to them when they are read.
CREATE FUNCTION mark_hours_of_site() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said site_record := coalesce(NEW, OLD);
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.record -> 'grid_zone' IS NOT DISTINCT FROM NEW.record -> 'grid_zone'
        AND OLD.record -> 'pue' IS NOT DISTINCT FROM NEW.record -> 'pue' AND OLD.site = NEW.site AND OLD.valid_from = NEW.valid_from THEN
        RETURN NULL;
    END IF;
    -- Hosts on those hosts stand where they do.
    INSERT INTO dirty (host_id, hour, reason)
    SELECT DISTINCT a.host_id, a.hour, 'site' FROM host_record r
        JOIN host g ON g.host_id = r.host_id OR g.parent_host_id IS NOT NULL AND r.host_id IN (SELECT hosts_around(g.host_id))
        JOIN markable_hour a ON a.host_id = g.host_id
    WHERE site_key(r.record ->> 'site') = said.site AND a.hour + interval '1 hour' > said.valid_from AND a.hour <= coalesce(
        (SELECT min(valid_from) FROM site_record o WHERE o.site = said.site AND o.valid_from > said.valid_from), 'infinity');
    RETURN NULL;
END $$;
CREATE TRIGGER site_said AFTER INSERT OR UPDATE OR DELETE ON site_record FOR EACH ROW EXECUTE FUNCTION mark_hours_of_site();

-- Which basis (`direct/average/consumption`) counts in a zone, from an instant on. Figures of another one are kept and never put in its
-- place. A zone without a row has its best figures' basis.
CREATE TABLE zone_basis (
    zone        text NOT NULL,
    valid_from  timestamptz NOT NULL,
    basis       text NOT NULL,
    -- Of figures of one kind the first provider's count.
    providers   text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (zone, valid_from)
);
CREATE FUNCTION mark_hours_of_basis() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said zone_basis := coalesce(NEW, OLD);
BEGIN
    INSERT INTO dirty (host_id, hour, reason)
    SELECT a.host_id, a.hour, 'basis' FROM markable_hour a
    WHERE a.hour + interval '1 hour' > said.valid_from AND a.hour <= coalesce(
            (SELECT min(valid_from) FROM zone_basis o WHERE o.zone = said.zone AND o.valid_from > said.valid_from), 'infinity')
        AND grid_zone_of(a.host_id, a.hour) = said.zone;
    RETURN NULL;
END $$;
CREATE TRIGGER basis_said AFTER INSERT OR UPDATE OR DELETE ON zone_basis FOR EACH ROW EXECUTE FUNCTION mark_hours_of_basis();

-- What counts in a recent hour is looked for among figures of years.
CREATE INDEX intensity_by_end ON intensity (zone, to_t);

-- Who published intensities, and whether we may hand them on: where not, public data have a figure's id, source and date, and no value.
CREATE TABLE grid_provider (
    provider    text PRIMARY KEY,
    source      text NOT NULL,
    licence     text NOT NULL,
    may_be_redistributed boolean NOT NULL
);

-- What is asked of a provider for a zone, and how far that got. Any collector may ask; `claimed_until` keeps two from asking at once.
CREATE TABLE grid_feed (
    provider    text NOT NULL,
    zone        text NOT NULL,
    -- History is wanted from here on, and was asked for up to there.
    since_t     timestamptz NOT NULL,
    filled_to   timestamptz,
    asked_at    timestamptz,
    -- When the recent past was last read again for revisions, and the forecast.
    revised_at  timestamptz,
    forecast_at timestamptz,
    -- History that was refused is not asked for again before this.
    refill_at   timestamptz NOT NULL DEFAULT '-infinity',
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    retry_at    timestamptz NOT NULL DEFAULT '-infinity',
    failures    int NOT NULL DEFAULT 0,
    failure     text,
    -- Of the last answer: values that were no intensity.
    findings    text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (provider, zone)
);

-- How long a slice's span had the whole of its machine reserved to it: its reservation over max(1, all reservations), summed over time. With
-- the first of the components; 0 with others, so that it adds up. Null where nobody kept it.
ALTER TABLE stored_slice ADD COLUMN reserved_us double precision;
CREATE OR REPLACE VIEW slice AS
SELECT host_id, hour, component, span_id, from_t, to_t, dynamic_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, drawn_low_uj,
    drawn_high_uj, coalesce(floor_low_uj, 0) AS floor_low_uj, coalesce(floor_high_uj, 0) AS floor_high_uj,
    coalesce(floor_ratio_low, 1) AS floor_ratio_low, coalesce(floor_ratio_high, 1) AS floor_ratio_high,
    coalesce(unmetered_high_uj, 0) AS unmetered_high_uj,
    CASE WHEN busy_idle_high_uj IS NOT NULL THEN coalesce(busy_idle_low_uj, 0) END AS busy_idle_low_uj, busy_idle_high_uj,
    coalesce(metered_us, (extract(epoch FROM to_t - from_t) * 1000000)::bigint) AS metered_us,
    coalesce(share_method, 'declared') AS share_method, mean_share, coalesce(quality, 'measured') AS quality,
    CASE WHEN metered_us IS NULL THEN 0 ELSE estimated_uj END AS estimated_uj,
    coalesce(floor_uj, 0) AS floor_uj, coalesce(start_error_uj, 0) AS start_error_uj, coalesce(end_error_uj, 0) AS end_error_uj,
    coalesce(gap_error_uj, 0) AS gap_error_uj, intensity_id, reserved_us
FROM stored_slice;
-- What jobs reserved comes with the next accounts.
INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'upgrade' FROM accounted_hour a
WHERE NOT EXISTS (SELECT FROM dirty d WHERE d.host_id = a.host_id AND d.hour = a.hour AND d.reason = 'upgrade');
