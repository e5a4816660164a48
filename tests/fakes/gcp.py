#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Google's metadata service and the Compute Engine API, as far as a provider needs them. Paths, headers, words and the form of answers are
those of cloud.google.com/compute/docs/metadata and of the API reference (compute/v1); what libcloud and google-auth make of them is
in test-fakes.py."""

import hashlib
import json
import re
import time
import urllib.parse

import fake

PROJECT, NUMBER, ZONE = "test-project", "123456789012", "us-central1-a"
INSTANCE, IDENTIFIER = "test-instance", "4520031799277581759"
SCOPE = "https://www.googleapis.com/auth/"
# What may pass before an operation is done, each look at it one step.
STEPS = 2

STATE = {
    "metadata": {"available": True, "documents": {}, "universe": None},
    "account": {"token": "ya29.first-token", "seconds": 3599, "scopes": [SCOPE + "cloud-platform"], "exists": True},
    "valid_tokens": ["ya29.first-token"],
    "preempted": "FALSE",
    "maintenance_event": "NONE",
    "denied": [],
    "role": None,
    "operation_error": None,
    "operation_steps": STEPS,
    "result": {},
    "instances": {
        INSTANCE: {"id": IDENTIFIER, "status": "RUNNING", "type": "n1-standard-1", "spot": False, "local_ssd": 0, "gpus": 0,
                   "labels": {"owner": "somebody"}, "started": "2021-05-04T03:02:01.000-07:00"},
        "other-instance": {"id": "7423457891234567890", "status": "TERMINATED", "type": "e2-medium", "spot": False, "local_ssd": 0, "gpus": 0,
                           "labels": {}, "started": "2021-01-01T00:00:00.000Z"},
    },
}

LABEL_KEY, LABEL_VALUE = r"[a-z][a-z0-9_-]{0,62}", r"[a-z0-9_-]{0,63}"


class Refusal(Exception):
    def __init__(self, status, reason, message):
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


def etag_of(value):
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def fingerprint_of(labels):
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:10] + "="


class Gcp(fake.Fake):
    def __init__(self):
        super().__init__(STATE)
        self.operations, self.requests_seen = {}, {}

    def respond(self, request):
        with self.lock:
            if request.path.startswith("/computeMetadata/") or request.path == "/":
                return self.metadata(request)
            return self.api(request)

    # The metadata service

    def metadata(self, request):
        if not self.state["metadata"]["available"]:
            return fake.Answer(404, "not found")
        own = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
        if request.path == "/":
            return fake.Answer(200, "computeMetadata/", "application/text", own)
        if request.headers.get("Metadata-Flavor") != "Google" or request.headers.get("X-Forwarded-For"):
            return fake.Answer(403, "Your client does not have permission to get this URL.", "text/html", own)
        query = dict(urllib.parse.parse_qsl(request.query))
        path = request.path.removeprefix("/computeMetadata/v1/")
        if query.get("wait_for_change") == "true":
            self.wait_for_change(path, query)
        document = self.document(path, query)
        if document is None:
            return fake.Answer(404, "<html>404</html>", "text/html", own)
        if isinstance(document, str):
            return fake.Answer(200, document, "application/text", {**own, "ETag": etag_of(document)})
        answer = fake.as_json(document, headers={**own})
        answer.headers["ETag"] = etag_of(answer.body.decode())
        return answer

    def wait_for_change(self, path, query):
        """The lock is let go while it waits."""
        end = time.monotonic() + float(query.get("timeout_sec", "86400"))

        def changed():
            document = self.document(path, query)
            return not isinstance(document, str) or etag_of(document) != query.get("last_etag") or self.leaving.is_set()

        while not changed() and time.monotonic() < end:
            self.changed.wait(min(end - time.monotonic(), 0.5))

    def document(self, path, query):
        own = self.state["metadata"]["documents"]
        if path in own:
            return own[path]
        instance, account = self.state["instances"][INSTANCE], self.state["account"]
        if path.startswith("instance/service-accounts/"):
            return self.account_document(path.removeprefix("instance/service-accounts/"), query, account)
        disks = [{"deviceName": "persistent-disk-0", "index": 0, "interface": "SCSI", "mode": "READ_WRITE", "type": "PERSISTENT-BALANCED"}]
        disks += [{"deviceName": f"local-ssd-{i}", "index": i + 1, "interface": "NVME", "mode": "READ_WRITE", "type": "LOCAL-SSD"}
                  for i in range(instance["local_ssd"])]
        return {
            "instance/id": instance["id"],
            "instance/name": INSTANCE,
            "instance/zone": f"projects/{NUMBER}/zones/{ZONE}",
            "instance/machine-type": f"projects/{NUMBER}/machineTypes/{instance['type']}",
            "instance/preempted": self.state["preempted"],
            "instance/maintenance-event": self.state["maintenance_event"],
            "instance/scheduling/preemptible": "TRUE" if instance["spot"] else "FALSE",
            "instance/disks/": disks if query.get("recursive") == "true" else None,
            "project/project-id": PROJECT,
            "universe/universe-domain": self.state["metadata"]["universe"],
        }.get(path)

    def account_document(self, path, query, account):
        if not account["exists"]:
            return None
        name, _, rest = path.partition("/")
        email = f"{NUMBER}-compute@developer.gserviceaccount.com"
        if name not in ("default", email):
            return None
        if rest == "token":
            return {"access_token": account["token"], "expires_in": account["seconds"], "token_type": "Bearer"}
        if rest == "scopes":
            return "\n".join(account["scopes"]) + "\n"
        if rest == "" and query.get("recursive") == "true":
            return {"aliases": ["default"], "email": email, "scopes": account["scopes"]}
        return {"email": email}.get(rest)

    # The API

    def api(self, request):
        try:
            self.check_token(request)
            match = re.fullmatch(r"/compute/v1/projects/([^/]+)/zones/([^/]+)/(instances|operations)/([^/]+)(?:/([A-Za-z]+))?", request.path)
            if not match:
                return self.refuse(Refusal(404, "notFound", f"No such path: {request.path}"))
            project, zone, collection, name, method = match.groups()
            if project != PROJECT or zone != ZONE:
                raise Refusal(404, "notFound", f"The resource 'projects/{project}/zones/{zone}/{collection}/{name}' was not found")
            if collection == "operations":
                return self.get_operation(name)
            return self.on_instance(request, name, method)
        except Refusal as refusal:
            return self.refuse(refusal)

    def refuse(self, refusal):
        return fake.as_json({"error": {"code": refusal.status, "message": refusal.message, "errors": [
            {"message": refusal.message, "domain": "global", "reason": refusal.reason}]}}, refusal.status)

    def check_token(self, request):
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.state["valid_tokens"]:
            raise Refusal(401, "authError", "Request had invalid authentication credentials.")
        scopes = {scope.removeprefix(SCOPE) for scope in self.state["account"]["scopes"]}
        if not scopes & {"cloud-platform", "compute"} and not (request.method == "GET" and "compute.readonly" in scopes):
            raise Refusal(403, "insufficientPermissions", "Request had insufficient authentication scopes.")

    def find(self, name):
        for known, instance in self.state["instances"].items():
            if name in (known, instance["id"]):
                return known, instance
        raise Refusal(404, "notFound", f"The resource 'projects/{PROJECT}/zones/{ZONE}/instances/{name}' was not found")

    def may(self, permission):
        """What is not denied, and in the account's role (None: one with everything)."""
        return permission not in self.state["denied"] and (self.state["role"] is None or permission in self.state["role"])

    def allow(self, permission):
        if not self.may(permission):
            raise Refusal(403, "forbidden", f"Required '{permission}' permission for 'projects/{PROJECT}/zones/{ZONE}/instances/{INSTANCE}'")

    def on_instance(self, request, name, method):
        query = dict(urllib.parse.parse_qsl(request.query))
        if request.method == "GET" and method is None:
            self.allow("compute.instances.get")
            return fake.as_json(self.describe(*self.find(name), query.get("fields")))
        if request.method != "POST":
            raise Refusal(405, "httpMethodNotAllowed", "Method not allowed")
        if method == "testIamPermissions":
            return self.test_permissions(request)
        if method not in ("stop", "start", "suspend", "resume", "setLabels"):
            raise Refusal(404, "notFound", f"No such method: {method}")
        self.allow("compute.instances." + method)
        known, instance = self.find(name)
        identifier = query.get("requestId")
        if identifier is not None and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identifier):
            raise Refusal(400, "invalid", f"Invalid value for field 'requestId': '{identifier}'.")
        if identifier in self.requests_seen:
            return self.get_operation(self.requests_seen[identifier], allowed=True)
        after = getattr(self, "do_" + method)(request, query, instance)
        operation = self.make_operation(method, known, instance, after)
        if identifier:
            self.requests_seen[identifier] = operation
        return self.get_operation(operation, allowed=True, first=True)

    def describe(self, name, instance, fields):
        base = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{ZONE}"
        disks = [{"kind": "compute#attachedDisk", "type": "PERSISTENT", "mode": "READ_WRITE", "deviceName": "persistent-disk-0", "index": 0, "boot": False,
                  "source": f"{base}/disks/{name}"}]
        disks += [{"kind": "compute#attachedDisk", "type": "SCRATCH", "mode": "READ_WRITE", "deviceName": f"local-ssd-{i}", "index": i + 1}
                  for i in range(instance["local_ssd"])]
        whole = {
            "kind": "compute#instance", "id": instance["id"], "name": name, "status": instance["status"], "zone": base,
            "machineType": f"{base}/machineTypes/{instance['type']}", "selfLink": f"{base}/instances/{name}",
            "creationTimestamp": "2020-01-01T00:00:00.000-08:00", "lastStartTimestamp": instance["started"],
            "labelFingerprint": fingerprint_of(instance["labels"]), "tags": {"fingerprint": "42WmSpB8rSM="}, "disks": disks,
            "networkInterfaces": [], "metadata": {"kind": "compute#metadata", "fingerprint": "x", "items": [{"key": "startup-script", "value": "#!/bin/sh"}]},
            "scheduling": {"onHostMaintenance": "TERMINATE" if instance["spot"] else "MIGRATE", "preemptible": instance["spot"],
                           "provisioningModel": "SPOT" if instance["spot"] else "STANDARD"}}
        if instance["labels"]:
            whole["labels"] = instance["labels"]
        if instance["gpus"]:
            whole["guestAccelerators"] = [{"acceleratorType": f"{base}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": instance["gpus"]}]
        return {key: value for key, value in whole.items() if key in fields.split(",")} if fields else whole

    def test_permissions(self, request):
        asked = json.loads(request.body)["permissions"]
        granted = [permission for permission in asked if self.may(permission)]
        return fake.as_json({"permissions": granted} if granted else {})

    def require(self, instance, *statuses):
        if instance["status"] not in statuses:
            raise Refusal(400, "invalidUsage", f"Invalid usage: the instance is {instance['status']}")

    def local_ssd(self, query, instance, needed):
        if instance["local_ssd"] and needed and "discardLocalSsd" not in query:
            raise Refusal(400, "badRequest", "VM has a Local SSD attached but an undefined value for `discard-local-ssd`.")

    def do_stop(self, request, query, instance):
        self.local_ssd(query, instance, True)
        if instance["status"] != "TERMINATED":
            instance["status"] = "STOPPING"
        return {"status": "TERMINATED"}

    def do_suspend(self, request, query, instance):
        self.require(instance, "RUNNING")
        if instance["gpus"]:
            raise Refusal(400, "badRequest", "Instances with guest accelerators do not support suspend")
        instance["status"] = "SUSPENDING"
        return {"status": "SUSPENDED"}

    def do_start(self, request, query, instance):
        self.require(instance, "TERMINATED", "RUNNING")
        instance["status"] = "STAGING"
        return {"status": "RUNNING"}

    def do_resume(self, request, query, instance):
        self.require(instance, "SUSPENDED")
        instance["status"] = "STAGING"
        return {"status": "RUNNING"}

    def do_setLabels(self, request, query, instance):
        body = json.loads(request.body)
        labels = body.get("labels") or {}
        if body.get("labelFingerprint") != fingerprint_of(instance["labels"]):
            raise Refusal(412, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed")
        for key, value in labels.items():
            if not re.fullmatch(LABEL_KEY, key) or not re.fullmatch(LABEL_VALUE, value):
                raise Refusal(400, "invalid", f"Invalid value for field 'labels': '{key}: {value}'.")
        if len(labels) > 64:
            raise Refusal(400, "invalid", "Too many labels")
        instance["labels"] = labels
        return {}

    def make_operation(self, method, name, instance, after):
        identifier = f"operation-{1600000000000 + len(self.operations)}-5e2f3-a1b2c3d4"
        self.operations[identifier] = {"method": method, "name": name, "instance": instance, "after": after,
                                       "left": self.state["operation_steps"]}
        return identifier

    def get_operation(self, name, allowed=False, first=False):
        if not allowed:
            self.allow("compute.zoneOperations.get")
        operation = self.operations.get(name)
        if operation is None:
            raise Refusal(404, "notFound", f"The resource 'projects/{PROJECT}/zones/{ZONE}/operations/{name}' was not found")
        if not first and operation["left"] > 0:
            operation["left"] -= 1
        base = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{ZONE}"
        answer = {"kind": "compute#operation", "id": "1234567890", "name": name, "operationType": operation["method"], "zone": base,
                  "targetLink": f"{base}/instances/{operation['name']}", "targetId": operation["instance"]["id"], "user": "somebody",
                  "status": "RUNNING" if operation["left"] else "DONE", "progress": 0, "selfLink": f"{base}/operations/{name}"}
        if not operation["left"]:
            self.finish(operation, answer)
        return fake.as_json(answer)

    def finish(self, operation, answer):
        error = self.state["operation_error"]
        answer["progress"] = 100
        if error:
            if "status" in operation["after"]:
                operation["instance"]["status"] = "RUNNING"
            answer.update({"error": {"errors": [error]}, "httpErrorStatusCode": 400, "httpErrorMessage": "BAD REQUEST"})
        elif not operation.get("finished"):
            operation["finished"] = True
            operation["instance"].update({**operation["after"], **self.state["result"]})


if __name__ == "__main__":
    fake.main(Gcp())
