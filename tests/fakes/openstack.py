#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""OpenStack as far as a provider needs it: the metadata service, Keystone (tokens of application credentials and passwords, with a catalog) and
Nova (one server at a time: show, actions, metadata). Codes and forms are those of the API references; which action is allowed in which state is
that of nova/compute/api.py. A server's task ends after it was looked at a few times, and is seen only after "hidden" looks."""

import fnmatch
import json
import re
import time

import fake

SERVER = "9d8f5a0e-3c4b-4b0e-9a43-6f0c8d3c5a11"
OTHER = "1bea47ed-f6a9-463b-b423-14b9cca9ad27"

STATE = {
    "documents": {},
    "keystone": {"id": "423f19a4ac1e4f48bbb4180756e6eb6c", "secret": "rEaqvJka48mpv", "user": "admin", "password": "devstacker", "project": "demo",
                 "token_seconds": 3600, "generation": 0, "roles": ["member"], "access_rules": None, "regions": ["RegionOne"], "compute": None},
    "denied": [],
    "servers": {
        SERVER: {"name": "worker-1", "vm_state": "active", "task": None, "zone": "nova", "flavor": {"id": "m1.small"}, "metadata": {"owner": "alice"},
                 "locked": False, "hidden": 0},
        OTHER: {"name": "worker-2", "vm_state": "stopped", "task": None, "zone": "nova", "flavor": {"id": "m1.small"}, "metadata": {}, "locked": False,
                "hidden": 0},
    },
}

# action: states from which, task, state at its end
ACTIONS = {
    "os-stop": ("stop", ("active", "rescued", "error"), "powering-off", "stopped"),
    "suspend": ("suspend", ("active", "rescued"), "suspending", "suspended"),
    "shelve": ("shelve", ("active", "stopped", "paused", "suspended"), "shelving", "shelved_offloaded"),
    "os-start": ("start", ("stopped",), "powering-on", "active"),
    "resume": ("resume", ("suspended",), "resuming", "active"),
    "unshelve": ("unshelve", ("shelved", "shelved_offloaded"), "unshelving", "active"),
}
STATUS = {"active": "ACTIVE", "stopped": "SHUTOFF", "suspended": "SUSPENDED", "shelved": "SHELVED", "shelved_offloaded": "SHELVED_OFFLOADED",
          "paused": "PAUSED", "rescued": "RESCUE", "error": "ERROR", "building": "BUILD", "deleted": "DELETED"}
LOOKS = 3


class Refusal(Exception):
    def __init__(self, status, name, message):
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


def no_token():
    return Refusal(401, "error", "The request you have made requires authentication.")


class Openstack(fake.Fake):
    def __init__(self):
        super().__init__(STATE)
        self.tokens = {}

    def respond(self, request):
        with self.lock:
            try:
                if request.path.startswith("/openstack/"):
                    return self.metadata(request)
                if request.path.startswith("/v3"):
                    return self.keystone(request)
                if request.path.startswith("/compute/v2.1"):
                    return self.nova(request, request.path.removeprefix("/compute/v2.1"))
                return fake.Answer(404)
            except Refusal as refusal:
                fault = {"code": refusal.status, "message": refusal.message}
                if refusal.name == "error":
                    fault["title"] = "Unauthorized"
                return fake.as_json({refusal.name: fault}, refusal.status)

    def metadata(self, request):
        if request.path in self.state["documents"]:
            return fake.Answer(200, self.state["documents"][request.path])
        if request.path != "/openstack/latest/meta_data.json":
            return fake.Answer(404)
        server = self.state["servers"][SERVER]
        return fake.as_json({"uuid": SERVER, "name": server["name"], "hostname": server["name"] + ".novalocal", "availability_zone": server["zone"],
                             "project_id": "6f70656e737461636b20342065766572", "launch_index": 0, "meta": server["metadata"], "devices": []})

    # Keystone

    def keystone(self, request):
        if request.method == "GET" and request.path in ("/v3", "/v3/"):
            return fake.as_json({"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self.url + "/v3/"}]}})
        if request.method != "POST" or request.path != "/v3/auth/tokens":
            raise Refusal(404, "error", "Not Found")
        known = self.state["keystone"]
        auth = json.loads(request.body)["auth"]
        identity = auth["identity"]
        if identity["methods"] == ["application_credential"]:
            given = identity["application_credential"]
            if (given.get("id"), given.get("secret")) != (known["id"], known["secret"]) or "scope" in auth:
                raise no_token()
        else:
            user = identity["password"]["user"]
            if (user.get("name"), user.get("password")) != (known["user"], known["password"]) or user.get("domain") != {"id": "default"}:
                raise no_token()
            if auth["scope"]["project"] != {"name": known["project"], "domain": {"id": "default"}}:
                raise no_token()
        return self.make_token(identity["methods"])

    def make_token(self, methods):
        known = self.state["keystone"]
        value = f"gAAAAABfNH{known['generation']}-{len(self.tokens)}"
        until = time.time() + known["token_seconds"]
        self.tokens[value] = (known["generation"], until)
        token = {"methods": methods, "expires_at": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(until)),
                 "issued_at": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()), "user": {"id": "u", "name": known["user"]},
                 "project": {"id": "p", "name": known["project"], "domain": {"id": "default", "name": "Default"}},
                 "roles": [{"id": str(i), "name": name} for i, name in enumerate(known["roles"])], "catalog": self.catalog()}
        if methods == ["application_credential"]:
            token["application_credential"] = {"id": known["id"], "name": "snooze", "restricted": True}
            if known["access_rules"] is not None:
                token["application_credential"]["access_rules"] = known["access_rules"]
        return fake.as_json({"token": token}, 201, {"X-Subject-Token": value, "Vary": "X-Auth-Token"})

    def catalog(self):
        known = self.state["keystone"]
        compute = [{"id": f"{region}-{interface}", "interface": interface, "region": region, "region_id": region,
                    "url": known["compute"] or f"{self.url}/compute/v2.1"} for region in known["regions"] for interface in ("internal", "public")]
        return [{"type": "identity", "name": "keystone", "id": "i", "endpoints": [
                    {"id": "k", "interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": self.url + "/v3"}]},
                {"type": "compute", "name": "nova", "id": "n", "endpoints": compute}]

    # Nova

    def nova(self, request, path):
        if path in ("", "/"):
            return fake.as_json({"version": {"id": "v2.1", "status": "CURRENT", "version": "2.90", "min_version": "2.1", "updated": "2013-07-23T11:33:21Z",
                                             "links": [{"rel": "self", "href": self.url + "/compute/v2.1/"}]}})
        generation, until = self.tokens.get(request.headers.get("X-Auth-Token"), (None, 0))
        if generation != self.state["keystone"]["generation"] or until <= time.time() or not self.ruled(request):
            raise no_token()
        match = re.fullmatch(r"/servers/([^/]+)(/action|/metadata)?", path)
        if not match or (match[2] is None) != (request.method == "GET") or request.method not in ("GET", "POST"):
            raise Refusal(404, "itemNotFound", "The resource could not be found.")
        if match[1] not in self.state["servers"]:
            raise Refusal(404, "itemNotFound", f"Instance {match[1]} could not be found.")
        server = self.state["servers"][match[1]]
        if match[2] is None:
            return self.show(match[1], server)
        body = json.loads(request.body)
        return self.act(match[1], server, body) if match[2] == "/action" else self.mark(server, body)

    def ruled(self, request):
        """As keystonemiddleware holds a request against the rules; a refusal of its is a 401."""
        rules = self.state["keystone"]["access_rules"]
        return rules is None or any(rule["service"] == "compute" and rule["method"] == request.method and
                                    fnmatch.fnmatchcase(request.path, rule["path"]) for rule in rules)

    def allow(self, policy):
        if policy in self.state["denied"]:
            raise Refusal(403, "forbidden", f"Policy doesn't allow {policy} to be performed.")

    def show(self, identifier, server):
        self.allow("os_compute_api:servers:show")
        vm_state, task = server["vm_state"], server["task"]
        if server["hidden"] > 0:
            server["hidden"] -= 1
            task = None
        elif task and server.get("end"):
            server["looks"] = server.get("looks", LOOKS) - 1
            if server["looks"] <= 0:
                vm_state, task = server["end"], None
                server.update(vm_state=vm_state, task=None, end=None, looks=LOOKS)
        return fake.as_json({"server": {
            "id": identifier, "name": server["name"], "status": STATUS[vm_state], "OS-EXT-STS:vm_state": vm_state, "OS-EXT-STS:task_state": task,
            "OS-EXT-STS:power_state": 1 if vm_state == "active" else 4, "OS-EXT-AZ:availability_zone": server["zone"],
            "OS-SRV-USG:launched_at": "2020-07-13T20:20:38.000000", "created": "2020-07-13T20:20:00Z", "updated": "2020-07-13T20:21:00Z",
            "flavor": {**server["flavor"], "links": []}, "metadata": server["metadata"], "tenant_id": "p", "user_id": "u", "links": []}})

    def act(self, identifier, server, body):
        name = next(iter(body), "")
        if name not in ACTIONS:
            raise Refusal(400, "badRequest", f"There is no such action: {name}")
        if len(body) != 1 or body[name] is not None:
            raise Refusal(400, "badRequest", f"Invalid input for field/attribute {name}.")
        words, allowed, task, end = ACTIONS[name]
        self.allow({"stop": "os_compute_api:servers:stop", "suspend": "os_compute_api:os-suspend-server:suspend",
                    "shelve": "os_compute_api:os-shelve:shelve"}.get(words, words))
        if server["locked"]:
            raise Refusal(409, "conflictingRequest", f"Instance {identifier} is locked")
        if server["vm_state"] not in allowed:
            raise Refusal(409, "conflictingRequest", f"Cannot '{words}' instance {identifier} while it is in vm_state {server['vm_state']}")
        if server["task"]:
            raise Refusal(409, "conflictingRequest", f"Cannot '{words}' instance {identifier} while it is in task_state {server['task']}")
        server.update(task=task, end=end, looks=LOOKS)
        return fake.Answer(202)

    def mark(self, server, body):
        self.allow("os_compute_api:server-metadata:create")
        metadata = body.get("metadata")
        if not isinstance(metadata, dict) or set(body) != {"metadata"}:
            raise Refusal(400, "badRequest", "Invalid input for field/attribute metadata.")
        for key, value in metadata.items():
            if not re.fullmatch(r"[a-zA-Z0-9-_:. ]{1,255}", key) or not isinstance(value, str) or len(value) > 255:
                raise Refusal(400, "badRequest", f"Invalid input for field/attribute {key}.")
        if len({**server["metadata"], **metadata}) > 128:
            raise Refusal(403, "forbidden", "Maximum number of metadata items exceeds 128")
        server["metadata"].update(metadata)
        return fake.as_json({"metadata": server["metadata"]})


if __name__ == "__main__":
    fake.main(Openstack())
