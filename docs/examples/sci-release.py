#!/usr/bin/env python3
"""The Software Carbon Intensity of a release, with the real collector.

    sci-release.py [--keep DIR]

A host at a site in Great Britain (PUE 1.2, all electricity by contract) draws 100 W; making it emitted 1,400 kg over 4 years. Two jobs
of half an hour have half of it each, building and testing one release; a third one of it ran in a cloud, where nobody can meter it.
--keep leaves the collector's files in DIR. Needs Python 3, wattle and wattle-collector, nothing else. Exit 0: as computed by hand.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

MINUTE = datetime.timedelta(minutes=1)
RELEASE = "pkg:opam/dune@3.17.0"
# Two jobs: 100 W x 0.5 h x 0.5. The grid's yearly figure of the shipped tables, g/kWh of a life cycle.
KILOWATT_HOURS = 2 * 0.1 * 0.5 * 0.5
O = KILOWATT_HOURS * 1.2 * 237.589
M = 1_400_000 / (4 * 8760) * 2 * 0.5 * 0.5

now = datetime.datetime.now(datetime.timezone.utc)
first = now.replace(minute=0, second=0, microsecond=0) - 180 * MINUTE


def text(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def run(program, *arguments, **environment):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{program} {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout.strip()


def send(url, token, body=None):
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def eventually(what, look, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds} s for {what}")
        time.sleep(0.2)


def energy():
    """6 kJ a minute, over two hours, as an exporter of OTLP metrics sends it."""
    points = [{"timeUnixNano": str(int((first + n * MINUTE).timestamp()) * 10**9), "asInt": str(1_000 + 6_000 * n)} for n in range(121)]
    counter = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "bw-01"}}]},
                "scopeMetrics": [{"metrics": [{"name": "hw.host.energy", "unit": "J", "sum": counter}]}],
            }
        ]
    }


def job(name, relation, start, more):
    return {
        "id": name,
        "job": name,
        "release": [{"purl": RELEASE, "relation": relation}],
        "started_at": text(first + start * MINUTE),
        "finished_at": text(first + (start + 30) * MINUTE),
        **more,
    }


def play(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    url = f"http://{address}"
    database = ["--embedded", str(folder / "postgres")]
    (folder / "sites.yaml").write_text(
        "sites: [{site: lab, grid_zone: GB, pue: 1.2, contracts: [{share: 1, g_per_kwh: 0, instrument: REGO, source: an example}]}]\n"
    )
    (folder / "hosts.yaml").write_text(
        "hosts: [{name: bw-01, site: lab, slots: 2, embodied: {kg_co2e: 1400, low_kg_co2e: 1000, high_kg_co2e: 2000,"
        f" lifetime_years: 4, from: {text(first - 365 * 24 * 60 * MINUTE)[:10]}}}}}]\n"
    )
    log = open(folder / "collector.log", "wb")
    serving = subprocess.Popen(["wattle-collector", "serve", *database, "--listen", address], stdout=log, stderr=log)
    try:

        def ready():
            if serving.poll() is not None:
                sys.exit(f"the collector stopped:\n{(folder / 'collector.log').read_text()[-2000:]}")
            try:
                return urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200
            except (urllib.error.URLError, OSError):
                return False

        eventually("the collector", ready)
        run("wattle-collector", "site", "import", str(folder / "sites.yaml"), *database)
        run("wattle-collector", "host", "import", str(folder / "hosts.yaml"), *database)
        create = ["token", "create", *database]
        telemetry = run("wattle-collector", *create, "--scope", "telemetry", "--name", "meter", "--allow-host", "bw-01")
        ci = run("wattle-collector", *create, "--scope", "ci", "--name", "my-farm")
        reader = run("wattle-collector", *create, "--scope", "read", "--name", "me")
        send(f"{url}/v1/metrics", telemetry, energy())
        cloud = {"vendor": "aws", "region": "eu-west-2", "instance_type": "m5n.large"}
        jobs = [
            job("build", "build", 10, {"host": "bw-01", "cpu_share": 0.5}),
            job("test", "test", 50, {"host": "bw-01", "cpu_share": 0.5}),
            job("test in a cloud", "test", 50, {"cloud": cloud}),
        ]
        send(f"{url}/v1/spans", ci, jobs)
        window = [text(first), text(first + 120 * MINUTE)]
        query = urllib.parse.urlencode({"per": "release", "release": RELEASE, "from": window[0], "to": window[1]})

        def scored():
            found = send(f"{url}/v1/sci?{query}", reader)
            return found if found["sci"] and found["settled"] else None

        found = eventually("both hours", scored)
        command = ["report", "sci", "--per", "release", "--release", RELEASE, "--from", window[0], "--to", window[1]]
        print(run("wattle", *command, WATTLE_URL=url, WATTLE_TOKEN=reader))
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(30)
        log.close()

    for name, figure, expected in [("O", found["o_g"], O), ("M", found["m_g"], M), ("SCI", found["sci"], O + M)]:
        if abs(figure["best"] - expected) > 5e-3 * expected:  # No more digits are shown than the limits allow.
            sys.exit(f"expected {name} of {expected:.3f} g, found {figure['best']}")
    if found["market_based"]["o_g"]["best"] != 0 or found["exclusions"]["jobs_hosted"] != 1:
        sys.exit(f"expected 0 g by contracts beside it, and one job that nobody could meter, found {found}")


def remove(folder):
    """All of it: as root a collector's own Postgres lies in /var/lib/wattle, and `postgres/cluster` names it."""
    pointer = folder / "postgres" / "cluster"
    if pointer.exists() and os.geteuid() == 0:
        name = next(line[3:] for line in pointer.read_text().splitlines() if line.startswith("id="))
        shutil.rmtree(pathlib.Path("/var/lib/wattle") / name)
    shutil.rmtree(folder)


arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("--keep", metavar="DIR", type=pathlib.Path, help="leave the collector's files in DIR")
keep = arguments.parse_args().keep
folder = keep or pathlib.Path(tempfile.mkdtemp(prefix="wattle-"))
folder.mkdir(parents=True, exist_ok=True)
try:
    play(folder)
finally:
    if not keep:
        remove(folder)
