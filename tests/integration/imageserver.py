# SPDX-License-Identifier: LGPL-2.1-or-later
"""A web server and a registry on loopback, for the tests of images: it can break off, stand still, and say what it should not."""

import base64
import hashlib
import http.server
import json
import re
import ssl
import subprocess
import threading


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.server.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        return body

    def knows_password(self):
        return self.headers.get("Authorization") == "Basic " + base64.b64encode(self.server.password.encode()).decode()

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        server.authorizations.append(self.headers.get("Authorization"))
        answers = server.answers.get(self.path)
        answer = answers.pop(0) if answers else None
        if answer:
            status, body, headers = answer(self) if callable(answer) else answer
            self.wfile.write(self.answer(status, body, **headers))
        elif server.password and not server.token and self.path.startswith("/v2/") and not self.knows_password():
            self.wfile.write(self.answer(401, WWW_Authenticate='Basic realm="test"'))
        elif self.path.startswith("/token?") and server.password and not self.knows_password():
            self.wfile.write(self.answer(401, b'{"errors": []}'))
        elif self.path.startswith("/token?"):
            self.wfile.write(self.answer(200, b'{"token": "secret"}'))
        elif server.token and self.path.startswith("/v2/") and self.headers.get("Authorization") != "Bearer secret":
            challenge = f'Bearer realm="{server.url}/token",service="test",scope="repository:vm:pull"'
            self.wfile.write(self.answer(401, WWW_Authenticate=challenge))
        elif self.path in server.redirects:
            self.answer(302, Location=server.redirects[self.path])
        elif self.path not in server.files:
            self.wfile.write(self.answer(404, b"nothing here"))
        else:
            self.send_file(server.files[self.path])

    def send_file(self, data):
        server = self.server
        etag = '"' + hashlib.md5(data).hexdigest() + '"' if server.etags else None
        headers = {"ETag": etag} if etag else {}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if etag and self.headers.get("If-None-Match") == etag:
            self.answer(304, **headers)
            return
        if wanted and server.ranges and condition in (None, etag):
            first = int(wanted[1])
            if first >= len(data):
                self.answer(416, Content_Range=f"bytes */{len(data)}", **headers)
                return
            body = self.answer(206, data[first:], Content_Range=f"bytes {first}-{len(data) - 1}/{len(data)}", **headers)
        else:
            body = self.answer(200, data, **headers)
        if server.cuts:
            self.wfile.write(body[: server.cuts.pop(0)])
            self.close_connection = True
            return
        if server.drips:
            self.drip(body, server.drips.pop(0))
            self.close_connection = True
            return
        if server.stand_still_after is not None:
            self.wfile.write(body[: server.stand_still_after])
            self.wfile.flush()
            server.go_on.wait()
            self.close_connection = True
            return
        self.wfile.write(body)

    def drip(self, body, at):
        """All but the last byte, which does not come; from a place on, slowly."""
        self.wfile.write(body[:at])
        for i in range(at, len(body) - 1):
            self.wfile.write(body[i : i + 1])
            self.wfile.flush()
            if self.server.go_on.wait(0.1):
                return


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, test, certificate=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.redirects, self.requests, self.authorizations = {}, {}, [], []
        self.answers = {}  # of a path, the next ones: (status, body, headers), or what makes that of the handler, or None for what is usual
        self.ranges = self.etags = True
        self.token = False
        self.password = None  # USER:PASSWORD, without which there is no token, or, if none is wanted, nothing
        self.cuts = []  # after how many bytes the next answers break off
        self.drips = []  # after how many bytes the next answers come at ten bytes a second
        self.lengths = True  # the answers say how long they are
        self.stand_still_after = None
        self.go_on = threading.Event()
        self.port = self.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        test.addCleanup(self.server_close)
        test.addCleanup(thread.join)
        test.addCleanup(self.shutdown)
        test.addCleanup(self.go_on.set)

    def handle_error(self, request, client_address):
        """A client that goes away is nothing to tell of."""

    def add_layer(self, data, repository="vm", tag="1", index=False, media_type="application/octet-stream"):
        """An image of a registry. Returns the manifest's digest."""
        layer = {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
        manifest = json.dumps({"schemaVersion": 2, "config": {}, "layers": [layer]}).encode()
        self.files[f"/v2/{repository}/blobs/{sha256(data)}"] = data
        self.files[f"/v2/{repository}/manifests/{sha256(manifest)}"] = manifest
        if index:
            others = [{"digest": "sha256:" + "0" * 64, "platform": {"architecture": "vax", "os": "linux"}}]
            machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(subprocess.check_output(["uname", "-m"], text=True).strip())
            others.append({"digest": sha256(manifest), "platform": {"architecture": machine, "os": "linux"}})
            self.files[f"/v2/{repository}/manifests/{tag}"] = json.dumps({"schemaVersion": 2, "manifests": others}).encode()
        else:
            self.files[f"/v2/{repository}/manifests/{tag}"] = manifest
        return sha256(manifest)
