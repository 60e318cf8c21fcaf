"""A provider on loopback that gives recorded answers.

recorded.py SCENARIO    SCENARIO is JSON; prints its port, then serves until standard input ends

  answers   a list; the first whose `path` the request's path (with its query) begins with answers: {"path", "body" or "file", "status",
            "headers", "times": how often, for ever by default, "with": {header: value} that the request must carry, else 401}

GET /_requests tells the requests so far: [path, headers].
"""

import http.server
import json
import pathlib
import sys
import threading

scenario = json.loads(sys.argv[1])
requests, lock = [], threading.Lock()


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/_requests":
            return self.answer(200, {}, json.dumps(requests).encode())
        with lock:
            requests.append([self.path, {name.lower(): value for name, value in self.headers.items()}])
            for answer in scenario["answers"]:
                if not self.path.startswith(answer["path"]) or answer.get("times", 1) == 0:
                    continue
                if "times" in answer:
                    answer["times"] -= 1
                break
            else:
                return self.answer(404, {}, b"no such answer")
        if any(self.headers.get(name) != value for name, value in answer.get("with", {}).items()):
            return self.answer(401, {}, b"who is there?")
        etag = answer.get("headers", {}).get("ETag")
        if etag and self.headers.get("If-None-Match") == etag:
            return self.answer(304, answer["headers"], b"")
        body = pathlib.Path(answer["file"]).read_bytes() if "file" in answer else answer.get("body", "").encode()
        return self.answer(answer.get("status", 200), answer.get("headers", {}), body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
