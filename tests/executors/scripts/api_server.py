"""What kubectl needs of an API server to create, list and delete: discovery, and an answer to each request.

    python api_server.py FOLDER

Prints its port; writes each object that is posted to FOLDER/KIND.json, and each request to FOLDER/requests.txt.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

FOLDER = Path(sys.argv[1])
GROUPS = {
    "v1": [("services", "Service"), ("configmaps", "ConfigMap"), ("pods", "Pod")],
    "batch/v1": [("jobs", "Job")],
    "trainer.kubeflow.org/v1alpha1": [("trainjobs", "TrainJob")],
}
VERBS = ["create", "delete", "get", "list"]


def resources(version):
    every = [
        {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": VERBS}
        for name, kind in GROUPS[version]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": every}


def answer(path):
    """What a GET gives, or None."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [version for version in GROUPS if "/" in version]
        entries = [
            (name.split("/")[0], {"groupVersion": name, "version": name.split("/")[1]}) for name in groups
        ]
        every = [{"name": name, "versions": [each], "preferredVersion": each} for name, each in entries]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": every}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    return resources(version) if version in GROUPS else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def note(self):
        with (FOLDER / "requests.txt").open("a") as stream:
            stream.write(f"{self.command} {self.path}\n")

    def send(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.note()
        found = answer(urlsplit(self.path).path)
        if found is None:
            self.send(
                404,
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "code": 404,
                    "reason": "NotFound",
                },
            )
        else:
            self.send(200, found)

    def do_POST(self):
        self.note()
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (FOLDER / f"{given['kind']}.json").write_text(json.dumps(given))
        self.send(201, given)

    def do_DELETE(self):
        self.note()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def log_message(self, *words):
        pass


with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
