"""Passes HTTP on to a collector and records what was posted and taken: recorder.py PORT UPSTREAM_PORT FILE

A line per accepted POST: path, media type, body in base64, decompressed. When the collector is away it answers 502.
"""
import base64
import gzip
import http.client
import http.server
import sys
import threading

port, upstream, record = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "expect")}
        try:
            connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=20)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            status, fields, text = answer.status, answer.getheaders(), answer.read()
            connection.close()
        except OSError:
            status, fields, text = 502, [], b"{}"
        if self.command == "POST" and status in (200, 202):
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            with lock, open(record, "a") as file:
                file.write(f"{self.path} {self.headers['Content-Type']} {base64.b64encode(body).decode()}\n")
        self.send_response(status)
        for name, value in fields:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = pass_on

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Recorder).serve_forever()
