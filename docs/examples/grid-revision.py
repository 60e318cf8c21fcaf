#!/usr/bin/env python3
"""A job in Great Britain whose half hours have forecasts first and actual figures later, with the real collector.

    grid-revision.py [--keep DIR]

Starts a provider on loopback that speaks as carbonintensity.org.uk does, and a collector that asks it (`grid:`). A host draws 100 W; its job
takes an hour over three half hours. First the provider has only forecasts, then actual figures: the job's CO2e and its statement change.
--keep leaves the collector's files in DIR. Needs Python 3 and wattle-collector, nothing else. Exit 0: as computed by hand.
"""

import argparse
import datetime
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

MINUTE = datetime.timedelta(minutes=1)
HOUR = 60 * MINUTE
# g/kWh of the job's three half hours, of which it has 20, 30 and 10 minutes: 0.1 kWh come to 20 g, and to 14.5 g.
FORECAST, ACTUAL = (180, 200, 240), (120, 150, 180)
EXPECTED = {"forecast": 20.0, "actual": 14.5}

now = datetime.datetime.now(datetime.timezone.utc)
first = now.replace(minute=0, second=0, microsecond=0) - 3 * HOUR


def text(at, form="%Y-%m-%dT%H:%M:%SZ"):
    return at.strftime(form)


class Provider(http.server.BaseHTTPRequestHandler):
    """Half hours as `GET /intensity/{from}/{to}` has them; every other one than the job's three has the forecast's last value."""

    has_actual = False

    def do_GET(self):
        parts = self.path.strip("/").split("/")
        begin, end = (datetime.datetime.strptime(part, "%Y-%m-%dT%H:%MZ").replace(tzinfo=datetime.timezone.utc) for part in parts[1:3])
        begin -= MINUTE
        data = []
        while begin < end:
            place = (begin - first) // (30 * MINUTE)
            place = place if 0 <= place < 3 else 2
            data.append(
                {
                    "from": text(begin, "%Y-%m-%dT%H:%MZ"),
                    "to": text(begin + 30 * MINUTE, "%Y-%m-%dT%H:%MZ"),
                    "intensity": {"forecast": FORECAST[place], "actual": ACTUAL[place] if self.has_actual else None},
                }
            )
            begin += 30 * MINUTE
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def collector(*arguments):
    done = subprocess.run(["wattle-collector", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"wattle-collector {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
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


def play(folder):
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    provider.daemon_threads = True
    threading.Thread(target=provider.serve_forever, daemon=True).start()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    database = ["--embedded", str(folder / "postgres")]
    (folder / "collector.yaml").write_text(
        f"""grid:
  - zone: GB
    since: {text(first - HOUR)}
    forecast: false
    every_s: 3
    providers:
      - {{name: gb-carbon-intensity, url: "http://127.0.0.1:{provider.server_address[1]}"}}
"""
    )
    (folder / "hosts.csv").write_text("name,zone,pue,slots\nbw-01,GB,1,1\n")
    url = f"http://{address}"
    errors = open(folder / "collector.log", "wb")
    serving = subprocess.Popen(
        ["wattle-collector", "serve", *database, "--config", str(folder / "collector.yaml"), "--listen", address],
        stdout=errors,
        stderr=errors,
    )
    try:

        def ready():
            if serving.poll() is not None:
                sys.exit(f"the collector stopped:\n{(folder / 'collector.log').read_text()[-2000:]}")
            try:
                return urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200
            except (urllib.error.URLError, OSError):
                return False

        eventually("the collector", ready)
        collector("host", "import", str(folder / "hosts.csv"), *database)
        telemetry = collector("token", "create", "--scope", "telemetry", "--name", "meter", "--allow-host", "bw-01", *database)
        ci = collector("token", "create", "--scope", "ci", "--name", "my-farm", *database)
        reader = collector("token", "create", "--scope", "read", "--name", "me", *database)

        # 100 W: 6 kJ a minute, over two hours.
        points = [
            {"timeUnixNano": str(int((first + n * MINUTE).timestamp()) * 10**9), "asInt": str(1_000 + 6_000 * n)} for n in range(121)
        ]
        energy = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}
        send(
            f"{url}/v1/metrics",
            telemetry,
            {
                "resourceMetrics": [
                    {
                        "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "bw-01"}}]},
                        "scopeMetrics": [{"metrics": [{"name": "hw.host.energy", "unit": "J", "sum": energy}]}],
                    }
                ]
            },
        )
        posted = send(
            f"{url}/v1/spans",
            ci,
            {
                "id": "build-1",
                "host": "bw-01",
                "cpu_share": 1,
                "started_at": text(first + 10 * MINUTE),
                "finished_at": text(first + 70 * MINUTE),
            },
        )
        job = posted["accepted"][0]["id"]

        def seen(kind):
            found = send(f"{url}/v1/jobs/{job}", reader)
            is_there = found.get("statement") and (found.get("intensity") or {}).get("kind") == kind
            return found if is_there else None

        found = {"forecast": eventually("the forecasts", lambda: seen("forecast"))}
        Provider.has_actual = True
        found["actual"] = eventually("the actual figures", lambda: seen("actual"))
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(30)
        errors.close()
        provider.shutdown()

    for kind, one in found.items():
        grams = one["co2e"]["location_g"]["best"]
        print(f"{kind:8}  {one['energy']['best_kwh']:.3f} kWh  {grams:.1f} g  {one['statement'][:19]}")
        if abs(grams - EXPECTED[kind]) > 0.05:
            sys.exit(f"expected {EXPECTED[kind]} g by {kind} figures, found {grams}")
    if found["forecast"]["statement"] == found["actual"]["statement"]:
        sys.exit("expected another statement for other figures, found the same")
    print("the statement changed with the figures; the energy did not")


def remove(folder):
    """All of it: as root a collector's own Postgres lies in /var/lib/wattle, and `postgres/cluster` names it."""
    pointer = folder / "postgres" / "cluster"
    if pointer.exists() and os.geteuid() == 0:
        names = [line[3:] for line in pointer.read_text().splitlines() if line.startswith("id=")]
        shutil.rmtree(pathlib.Path("/var/lib/wattle") / names[0])
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
