"""A forge for the tests: GitHub's and GitLab's lists of repositories, runs and jobs over loopback, in their documented shapes.

forge.py SCENARIO [stay]    SCENARIO is JSON; prints its port, then serves until standard input ends, or until it is ended

  token          what every request must carry, as the kind of forge wants it
  repositories   how many; runs: how many of each; jobs: how many of each run
  page           the longest page of repositories and of GitLab's jobs
  first          when the first run was made, s since 1970; step: seconds from run to run
  cap            results of one query for runs (1000)
  faults         by number of the request, from 1: {"3": {"status": 502, "headers": {}, "message": ""}}
  deletions      by number of the request: {"40": "run" or "repository"}: the newest run, or the first repository, is gone from there on
  gone           names of repositories whose jobs and runs answer with this status: {"acme/r2": 404}
  numbered       GitLab before 15.9: no keyset pagination
  base           a URL that the forge calls itself in links, instead of where it is

GET /_jobs tells every job that ran, GET /_requests the paths so far.
"""

import datetime
import http.server
import json
import signal
import sys
import threading
import urllib.parse

scenario = json.loads(sys.argv[1])
lock = threading.Lock()
requests = []


def instant(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def make():
    repositories = []
    number = 0
    for r in range(scenario.get("repositories", 1)):
        name = f"acme/r{r}"
        runs = []
        for k in range(scenario.get("runs", 1)):
            number += 1
            made = scenario["first"] + k * scenario.get("step", 60)
            # Every third run was skipped as a whole, every fifth was run again.
            skipped = number % 3 == 0
            attempts = 2 if number % 5 == 0 and not skipped else 1
            jobs = []
            for attempt in range(1, attempts + 1):
                for j in range(scenario.get("jobs", 1)):
                    jobs.append(
                        {
                            "id": number * 1000 + attempt * 100 + j,
                            "run_id": number,
                            "run_attempt": attempt,
                            "head_sha": f"{number:040x}",
                            "head_branch": "main",
                            "status": "completed",
                            "conclusion": "skipped" if skipped else "success",
                            "created_at": instant(made),
                            "started_at": instant(made + 2),
                            "completed_at": instant(made + 30),
                            "name": f"build {j}",
                            "workflow_name": "ci",
                            "steps": [],
                            "labels": ["self-hosted"],
                            "html_url": f"https://github.com/{name}/actions/runs/{number}/job/{number * 1000 + attempt * 100 + j}",
                            "runner_id": None if skipped else 7,
                            "runner_name": None if skipped else "bw-07",
                            "runner_group_id": None if skipped else 1,
                            "runner_group_name": None if skipped else "default",
                        }
                    )
            runs.append(
                {
                    "id": number,
                    "run_attempt": attempts,
                    "status": "completed",
                    "conclusion": "skipped" if skipped else "success",
                    "created_at": instant(made),
                    "updated_at": instant(made + 40),
                    "jobs": jobs,
                }
            )
        repositories.append({"id": r + 1, "full_name": name, "private": r % 2 == 1, "runs": runs})
    return repositories


repositories = make()


def ran():
    return [
        [repository["full_name"], str(job["id"]), job["run_attempt"]]
        for repository in repositories
        for run in repository["runs"]
        for job in run["jobs"]
        if job["runner_id"]
    ]


everything = ran()


def of_gitlab(repository, run, job):
    return {
        "id": job["id"],
        "name": job["name"],
        "stage": "build",
        "status": "skipped" if job["runner_id"] is None else "success",
        "ref": "main",
        "tag": False,
        "created_at": job["created_at"].replace("Z", ".250Z"),
        "started_at": None if job["runner_id"] is None else job["started_at"].replace("Z", ".500Z"),
        "finished_at": None if job["runner_id"] is None else job["completed_at"].replace("Z", ".750Z"),
        "commit": {"id": job["head_sha"]},
        "pipeline": {"id": run["id"], "project_id": repository["id"], "sha": job["head_sha"], "ref": "main", "status": "success"},
        "tag_list": ["linux"],
        "web_url": f"https://gitlab.example.org/{repository['full_name']}/-/jobs/{job['id']}",
        "runner": None if job["runner_id"] is None else {"id": 31, "description": "bw-07", "runner_type": "instance_type"},
        "user": {"id": 12, "username": "mira"},
    }


class Forge(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one piece: two would wait for each other on a connection that stays open.
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def answer(self, value, status=200, headers=()):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def page(self, items, length, wrap=lambda page: page):
        """One page of a list by its number, with a link to the next."""
        number = int(self.query.get("page", "1"))
        headers = []
        if len(items) > number * length:
            query = dict(self.query, page=str(number + 1))
            base = scenario.get("base", f"http://{self.headers['Host']}")
            target = f"{base}{self.url.path}?{urllib.parse.urlencode(query)}"
            headers = [("Link", f'<{base}{self.url.path}?page=1>; rel="first", <{target}>; rel="next"')]
        self.answer(wrap(items[(number - 1) * length : number * length]), headers=headers)

    def do_GET(self):
        self.url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(self.url.query))
        with lock:
            if self.url.path == "/_jobs":
                return self.answer(everything)
            if self.url.path == "/_requests":
                return self.answer(requests)
            requests.append(self.path)
            number = str(len(requests))
            gone = scenario.get("deletions", {}).get(number)
            if gone == "run":
                repositories[0]["runs"].pop()
            elif gone == "repository":
                repositories.pop(0)
        fault = scenario.get("faults", {}).get(number)
        if fault:
            headers = list(fault.get("headers", {}).items())
            return self.answer({"message": fault.get("message", "")}, fault["status"], headers)
        if self.url.path.startswith("/api/v4/"):
            if scenario.get("token") and self.headers["PRIVATE-TOKEN"] != scenario["token"]:
                return self.answer({"message": f"401 Unauthorized {self.headers['PRIVATE-TOKEN']}"}, 401)
            return self.gitlab(self.url.path[len("/api/v4/") :].split("/"))
        if scenario.get("token") and self.headers["Authorization"] != f"Bearer {scenario['token']}":
            return self.answer({"message": f"Bad credentials {self.headers['Authorization']}"}, 401)
        if not self.headers["X-GitHub-Api-Version"]:
            return self.answer({"message": "no version"}, 400)
        return self.github(self.url.path[1:].split("/"))

    def github(self, parts):
        length = min(int(self.query.get("per_page", "30")), 100)
        if parts[0] == "orgs" or parts[0] == "users":
            if parts[1] != ("acme" if parts[0] == "orgs" else "mira"):
                return self.answer({"message": "Not Found"}, 404)
            listed = [{key: value for key, value in one.items() if key != "runs"} for one in repositories]
            return self.page(listed, min(length, scenario.get("page", 100)))
        name = "/".join(parts[1:3])
        found = [one for one in repositories if one["full_name"] == name]
        if not found:
            return self.answer({"message": "Not Found"}, 404)
        if len(parts) == 3:
            return self.answer({key: value for key, value in found[0].items() if key != "runs"})
        status = scenario.get("gone", {}).get(name)
        if status:
            return self.answer({"message": "Not here"}, status)
        if parts[-1] == "runs":
            first, last = self.query["created"].split("..")
            runs = [run for run in found[0]["runs"] if first <= run["created_at"] <= last]
            runs = sorted(runs, key=lambda run: -run["id"])
            listed = [{key: value for key, value in run.items() if key != "jobs"} for run in runs[: scenario.get("cap", 1000)]]
            return self.page(listed, length, lambda page: {"total_count": len(runs), "workflow_runs": page})
        jobs = [job for run in found[0]["runs"] if run["id"] == int(parts[-2]) for job in run["jobs"]]
        if not jobs:
            return self.answer({"message": "Not Found"}, 404)
        if self.query.get("filter") != "all":
            jobs = [job for job in jobs if job["run_attempt"] == jobs[-1]["run_attempt"]]
        self.page(jobs, min(length, scenario.get("page", 100)), lambda page: {"total_count": len(jobs), "jobs": page})

    def gitlab(self, parts):
        length = min(int(self.query.get("per_page", "20")), scenario.get("page", 100))
        if parts[0] in ("groups", "users"):
            if parts[1] != ("acme" if parts[0] == "groups" else "mira"):
                return self.answer({"message": "404 Group Not Found"}, 404)
            return self.page([self.project(one) for one in repositories], length)
        wanted = urllib.parse.unquote(parts[1])
        found = [one for one in repositories if wanted in (str(one["id"]), one["full_name"])]
        if not found:
            return self.answer({"message": "404 Project Not Found"}, 404)
        if len(parts) == 2:
            return self.answer(self.project(found[0]))
        status = scenario.get("gone", {}).get(found[0]["full_name"])
        if status:
            return self.answer({"message": "403 Forbidden"}, status)
        pipeline = int(parts[3]) if parts[2] == "pipelines" else None
        jobs = [of_gitlab(found[0], run, job) for run in found[0]["runs"] if pipeline in (None, run["id"]) for job in run["jobs"]]
        jobs = sorted(jobs, key=lambda job: -job["id"])
        if pipeline is None and self.query.get("pagination") == "keyset":
            if scenario.get("numbered"):
                return self.answer({"error": "Keyset pagination is not yet available for this type of request"}, 405)
            cursor = int(self.query.get("cursor", "0")) or 1 << 60
            rest = [job for job in jobs if job["id"] < cursor]
            headers = []
            if len(rest) > length:
                query = dict(self.query, cursor=str(rest[length - 1]["id"]))
                base = scenario.get("base", f"http://{self.headers['Host']}")
                headers = [("Link", f'<{base}{self.url.path}?{urllib.parse.urlencode(query)}>; rel="next"')]
            return self.answer(rest[:length], headers=headers)
        self.page(jobs, length)

    def project(self, one):
        return {"id": one["id"], "path_with_namespace": one["full_name"], "visibility": "private" if one["private"] else "public"}


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
if sys.argv[2:] == ["stay"]:
    signal.pause()
sys.stdin.read()
