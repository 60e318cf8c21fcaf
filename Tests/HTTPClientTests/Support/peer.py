"""A server for the tests: prints its port, then serves until it is ended.

peer.py tls CERTIFICATE KEY [CLIENT_AUTHORITY]   answers over TLS, with the name in the client's certificate if it has one
peer.py plain                                    answers with the request's line and headers
peer.py proxy LOG [USER:PASSWORD]                forwards requests and tunnels; writes each request's line to LOG
"""

import base64
import http.client
import http.server
import select
import socket
import ssl
import sys
import threading
import urllib.parse


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text, headers=()):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Origin(Quiet):
    def do_GET(self):
        text = f"{self.requestline}\n{self.headers}"
        if isinstance(self.connection, ssl.SSLSocket):
            names = dict(pair for part in (self.connection.getpeercert() or {}).get("subject", ()) for pair in part)
            text = f"client {names.get('commonName', 'without a certificate')}"
        self.answer(200, text)


class Proxy(Quiet):
    log = ""
    expected = None

    def allowed(self):
        with open(self.log, "a") as log:
            log.write(self.requestline + "\n")
        if self.expected and self.headers.get("Proxy-Authorization") != self.expected:
            self.answer(407, "who are you?", [("Proxy-Authenticate", "Basic realm=proxy"), ("Connection", "close")])
            self.close_connection = True
            return False
        return True

    def do_GET(self):
        if not self.allowed():
            return
        url = urllib.parse.urlsplit(self.path)
        upstream = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=10)
        upstream.request("GET", url.path or "/", headers={"Via": "1.1 peer"})
        response = upstream.getresponse()
        self.answer(response.status, response.read().decode())

    def do_CONNECT(self):
        if not self.allowed():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as upstream:
            self.send_response(200, "Connection established")
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                ready, _, _ = select.select(list(ends), [], [], 10)
                if not ready:
                    break
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    ends[end].sendall(data)


class Server(http.server.ThreadingHTTPServer):
    """Handshakes on the connection's own thread, so that one that fails stops no other."""

    context = None

    def process_request_thread(self, request, address):
        try:
            if self.context:
                request.settimeout(10)
                request = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                request.do_handshake()
            super().process_request_thread(request, address)
        except ssl.SSLError:
            # Its alert is sent. Closing with bytes unread would reset the connection, and the alert could be lost.
            with socket.socket(fileno=request.detach()) as plain:
                plain.shutdown(socket.SHUT_WR)
                plain.settimeout(2)
                while plain.recv(65536):
                    pass
        except OSError:
            request.close()

    def handle_error(self, request, address):
        pass


def main():
    mode, arguments = sys.argv[1], sys.argv[2:]
    if mode == "proxy":
        Proxy.log = arguments[0]
        if len(arguments) > 1:
            Proxy.expected = "Basic " + base64.b64encode(arguments[1].encode()).decode()
    server = Server(("127.0.0.1", 0), Proxy if mode == "proxy" else Origin)
    if mode == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments[0], arguments[1])
        if len(arguments) > 2:
            context.load_verify_locations(arguments[2])
            context.verify_mode = ssl.CERT_REQUIRED
        server.context = context
    print(server.server_address[1], flush=True)
    # Whoever started this has the other end: without it there is nobody left to serve.
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()


main()
