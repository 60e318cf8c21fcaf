"""The question of GET /v1/jobs/{id} answered by FastAPI and asyncpg, for comparison: the same token, statements and figures."""

import datetime
import hashlib
import math
import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, HTTPException, Request

TOKEN = """
SELECT token_id, name, scope, host_name, claims, source, read_repositories FROM token
WHERE sha256 = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
JOB = """
SELECT k.job_id, k.source, k.instance, k.id, k.attempt, k.document, k.host_id, k.span_id, k.started_at, k.finished_at, k.flags
FROM span_key k
WHERE k.job_id = coalesce((SELECT a.alias_of FROM span_key a WHERE a.job_id = $1), $1) AND k.started_at IS NOT NULL
    AND k.alias_of IS NULL AND NOT k.is_deleted
"""
SETTLED = """
WITH one AS (
    SELECT o.host_id, o.span_id, o.rule, o.reason, o.curve_ids, o.started_at AS owned_from, o.finished_at AS owned_to,
        date_trunc('hour', o.started_at, 'UTC') AS first_hour,
        date_trunc('hour', o.finished_at - interval '1 microsecond', 'UTC') AS last_hour,
        CASE WHEN o.rule IS NOT NULL THEN greatest(s.finished_at, o.finished_at)
            ELSE s.finished_at + least(greatest(s.time_resolution_us, 0), 300000000) * interval '1 microsecond'
        END AS settled_at
    FROM span s JOIN ownership o USING (host_id, span_id)
    WHERE s.host_id = $1 AND s.span_id = $2 AND s.finished_at IS NOT NULL AND o.started_at < o.finished_at
)
SELECT one.*, h.name AS host_name, h.cpus, h.pue AS host_pue, sl.component, sl.from_t, sl.to_t, sl.dynamic_uj, sl.idle_reserved_uj,
    sl.drawn_low_uj, sl.drawn_high_uj, sl.floor_low_uj, sl.floor_high_uj, sl.floor_ratio_low, sl.floor_ratio_high, sl.unmetered_high_uj,
    sl.metered_us, sl.mean_share, sl.share_method, sl.quality, hh.pue, i.zone AS i_zone, i.g_per_kwh, i.low_g_per_kwh, i.high_g_per_kwh,
    i.kind AS i_kind, i.basis AS i_basis, i.provider AS i_provider, i.version AS i_version
FROM one JOIN host h USING (host_id)
LEFT JOIN slice sl ON sl.host_id = one.host_id AND sl.span_id = one.span_id AND sl.hour BETWEEN one.first_hour AND one.last_hour
LEFT JOIN host_hour hh ON hh.host_id = sl.host_id AND hh.hour = sl.hour AND hh.component = sl.component
LEFT JOIN intensity i USING (intensity_id)
WHERE one.last_hour + interval '1 hour' <= $3
    AND (SELECT count(*) FROM accounted_hour a WHERE a.host_id = $1 AND a.hour BETWEEN one.first_hour AND one.last_hour)
        = extract(epoch FROM one.last_hour - one.first_hour)::int8 / 3600 + 1
    AND NOT EXISTS (SELECT FROM dirty d WHERE d.host_id = $1 AND d.hour BETWEEN one.first_hour AND one.last_hour)
    AND (SELECT min(t.complete_until) FROM curve c JOIN curve_tail t USING (host_id, curve_id)
        WHERE c.host_id = $1 AND c.kind = 'meter' AND c.in_cover) >= one.settled_at
    AND NOT EXISTS (SELECT FROM curve_tail t
        WHERE t.host_id = $1 AND t.curve_id = ANY(one.curve_ids) AND t.complete_until < one.settled_at)
ORDER BY sl.hour, sl.component
"""


async def prepare(connection):
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=None, decoder=__import__("json").loads)


@asynccontextmanager
async def lifespan(application):
    application.state.pool = await asyncpg.create_pool(
        database=os.environ["DATABASE"], host=os.environ["PGHOST"], user=os.environ["PGUSER"], min_size=2,
        max_size=int(os.environ["POOL"]), init=prepare,
    )
    yield
    await application.state.pool.close()


application = FastAPI(lifespan=lifespan)


@application.get("/healthz")
async def healthz():
    return {"status": "ok"}


def rounded(value, low, high):
    """No more digits than the limits allow."""
    width = (high - low) / 2
    if value == 0 or width <= 0:
        return value
    digits = max(1, math.ceil(math.log10(abs(value) / width)) + 2) if width < abs(value) else 1
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


@application.get("/v1/jobs/{job_id}")
async def job(job_id: str, request: Request):
    header = request.headers.get("authorization", "")
    if not header.lower().startswith("bearer "):
        raise HTTPException(401)
    async with request.app.state.pool.acquire() as connection:
        grant = await connection.fetchrow(TOKEN, hashlib.sha256(header[7:].encode()).digest())
        if grant is None or grant["scope"] not in ("read", "admin"):
            raise HTTPException(401)
        row = await connection.fetchrow(JOB, job_id)
        if row is None or row["host_id"] is None:
            raise HTTPException(404)
        slices = await connection.fetch(SETTLED, row["host_id"], row["span_id"], datetime.datetime.now(datetime.timezone.utc))
    if not slices:
        raise HTTPException(404)
    first, document = slices[0], row["document"]
    dynamic = idle = low = high = grams = grams_low = grams_high = seconds = 0
    components = {"cpu": None, "dram": None, "gpu": None, "rest": None}
    metered = {}
    for slice in slices:
        own = slice["dynamic_uj"] + slice["idle_reserved_uj"]
        dynamic += slice["dynamic_uj"]
        idle += slice["idle_reserved_uj"]
        moved = slice["idle_reserved_uj"]
        slice_low = min(own, slice["drawn_low_uj"] - slice["floor_high_uj"] + moved * slice["floor_ratio_low"])
        slice_high = max(own, slice["drawn_high_uj"] - slice["floor_low_uj"] + moved * slice["floor_ratio_high"] + slice["unmetered_high_uj"])
        low += slice_low
        high += slice_high
        components[slice["component"]] = (components[slice["component"]] or 0) + own
        metered[slice["component"]] = metered.get(slice["component"], 0) + slice["metered_us"]
        if slice["component"] == first["component"]:
            seconds += slice["mean_share"] * (slice["to_t"] - slice["from_t"]).total_seconds()
        grams += own * slice["pue"] * slice["g_per_kwh"] / 3.6e12
        grams_low += slice_low * slice["pue"] * slice["low_g_per_kwh"] / 3.6e12
        grams_high += slice_high * slice["pue"] * slice["high_g_per_kwh"] / 3.6e12
    duration = (first["owned_to"] - first["owned_from"]).total_seconds()
    total = dynamic + idle

    def kwh(microjoules):
        return None if microjoules is None else rounded(microjoules / 3.6e12, low / 3.6e12, high / 3.6e12)

    answer = {name: document.get(name) for name in (
        "service", "activity", "team", "repository", "commit", "ref", "pipeline", "job", "outcome", "pool", "release", "runner")}
    answer |= {
        "id": row["job_id"], "key": f"{row['source']}/{row['instance']}/{row['id']}/{row['attempt']}", "state": "final",
        "policy": "reserved", "host": first["host_name"], "host_class": None, "flags": row["flags"], "started_at": row["started_at"],
        "finished_at": row["finished_at"], "pue": first["pue"], "statement": None, "attribution_mode": "monitor_only",
        "links": {"self": f"/v1/jobs/{row['job_id']}"},
        "energy": {
            "best_kwh": kwh(total), "low_kwh": kwh(low), "high_kwh": kwh(high), "bound_low_kwh": kwh(low), "bound_high_kwh": kwh(high),
            "uj": str(total), "dynamic_uj": str(dynamic), "idle_uj": str(idle), "dynamic_kwh": kwh(dynamic), "idle_kwh": kwh(idle),
            "quality": first["quality"], "coverage": min(1, min(metered.values()) / 1e6 / duration), "estimated_kwh": 0,
            "components_kwh": {name: kwh(value) for name, value in components.items()},
        },
        "co2e": {
            "location_g": {
                "best": rounded(grams, grams_low, grams_high), "low": rounded(grams_low, grams_low, grams_high),
                "high": rounded(grams_high, grams_low, grams_high),
            },
            "market_g": None, "embodied_g": None,
        },
        "intensity": {
            "zone": first["i_zone"], "g_per_kwh": first["g_per_kwh"], "low_g_per_kwh": first["low_g_per_kwh"],
            "high_g_per_kwh": first["high_g_per_kwh"], "kind": first["i_kind"], "basis": first["i_basis"], "provider": first["i_provider"],
            "version": first["i_version"],
        },
        "share": {"method": first["share_method"], "mean": seconds / duration, "workload": None},
        "usage": {"cpu_seconds": None, "memory_max_bytes": None, "allocation_ratio": seconds / duration},
        "missing": [{"field": name, "reason": "not_computed"} for name in ("co2e.market_g", "co2e.embodied_g", "statement")],
    }
    return answer
