#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Azure's metadata service (instance, managed identity, Scheduled Events) and its Resource Manager, as far as a provider needs them: virtual
machines, tags, permissions and asynchronous operations. Paths, fields and codes are those of Microsoft's documentation; what a role grants
decides what may be asked, and an operation's address is of the subscription, out of reach for who has a role on the machine alone."""

import fnmatch
import json
import re
import time
import urllib.parse

import fake

SUBSCRIPTION = "5f5b8c63-2d4a-4f0e-9d0a-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/test-group"
MACHINES = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"
OWN = "examplevmname"
CLIENT = "00001111-aaaa-2222-bbbb-3333cccc4444"
COMPUTE = "Microsoft.Compute/virtualMachines/"

STATE = {
    "imds": {
        "available": True,
        "compute": {
            "azEnvironment": "AzurePublicCloud", "location": "westus", "name": OWN, "osType": "Linux", "priority": "Regular",
            "resourceGroupName": "test-group", "resourceId": f"{MACHINES}/{OWN}", "subscriptionId": SUBSCRIPTION,
            "storageProfile": {"osDisk": {"diffDiskSettings": {"option": ""}, "name": "disk"}},
            "tagsList": [{"name": "team", "value": "graphics"}], "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "vmScaleSetName": "",
            "vmSize": "Standard_A3", "zone": "1",
        },
    },
    "identity": {"token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.secret-of-the-machine", "seconds": 86399, "clients": [CLIENT], "system": True},
    "events": {"incarnation": 1, "list": [], "approved": []},
    "permissions": [{"actions": [COMPUTE + "*", "Microsoft.Resources/tags/write", "Microsoft.Authorization/permissions/read"],
                     "notActions": [], "dataActions": [], "notDataActions": []}],
    "page": 100,
    "next_host": "",
    "operations": {"reach": True, "headers": ["Azure-AsyncOperation", "Location"], "retry_after": 0, "polls": 2, "host": "",
                   "error": None},
    "machines": {
        OWN: {"state": "running", "size": "Standard_A3", "zones": ["1"], "priority": "Regular", "hibernation": False, "ephemeral": False,
              "tags": {"team": "graphics"}, "stuck": False},
        "other": {"state": "deallocated", "size": "Standard_B1s", "zones": [], "priority": "Spot", "hibernation": False, "ephemeral": False,
                  "tags": {}, "stuck": False},
    },
}


class Refusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def error(status, code, message, headers=None):
    return fake.as_json({"error": {"code": code, "message": message}}, status, headers)


def covers(pattern, action):
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())


def right(scope, action):
    return ("Microsoft.Compute/virtualMachineScaleSets/virtualMachines/" if "/virtualMachineScaleSets/" in scope else COMPUTE) + action


class Azure(fake.Fake):
    def __init__(self):
        super().__init__(STATE)
        self.running = {}

    def respond(self, request):
        with self.lock:
            if request.path.startswith("/metadata/"):
                return self.metadata(request)
            return self.manage(request)

    # The metadata service

    def metadata(self, request):
        parameters = dict(urllib.parse.parse_qsl(request.query))
        if not self.state["imds"]["available"]:
            return fake.Answer(404)
        if request.headers.get("Metadata", "").lower() != "true" or request.headers.get("X-Forwarded-For"):
            return fake.as_json({"error": "Bad request. Required metadata header not specified"}, 400)
        if "api-version" not in parameters:
            return fake.as_json({"error": "Bad request. api-version was not specified in the request"}, 400)
        if request.path == "/metadata/instance/compute":
            return fake.as_json(self.state["imds"]["compute"])
        if request.path == "/metadata/identity/oauth2/token":
            return self.give_token(parameters)
        if request.path == "/metadata/scheduledevents":
            return self.approve(request) if request.method == "POST" else self.tell_events()
        return fake.as_json({"error": "Not found"}, 404)

    def give_token(self, parameters):
        identity, client = self.state["identity"], parameters.get("client_id")
        if "resource" not in parameters:
            return fake.as_json({"error": "invalid_request", "error_description": "Required query variable 'resource' is missing"}, 400)
        if client is None and not identity["system"]:
            if len(identity["clients"]) > 1:
                return fake.as_json({"error": "invalid_request", "error_description": "Multiple user assigned identities exist, please "
                                     "specify the clientId / resourceId of the identity in the token request"}, 400)
            if not identity["clients"]:
                return fake.as_json({"error": "invalid_request", "error_description": "Identity not found"}, 400)
        if client is not None and client not in identity["clients"]:
            return fake.as_json({"error": "invalid_request", "error_description": "Identity not found"}, 400)
        now = int(time.time())
        return fake.as_json({"access_token": identity["token"], "client_id": client or CLIENT, "expires_in": str(identity["seconds"]),
                             "expires_on": str(now + identity["seconds"]), "ext_expires_in": "86399", "not_before": str(now - 300),
                             "resource": parameters["resource"], "token_type": "Bearer"})

    def tell_events(self):
        events = self.state["events"]
        return fake.as_json({"DocumentIncarnation": events["incarnation"], "Events": events["list"]})

    def approve(self, request):
        try:
            wanted = [entry["EventId"] for entry in json.loads(request.body)["StartRequests"]]
        except (ValueError, KeyError, TypeError):
            return fake.as_json({"error": "Bad request"}, 400)
        events = self.state["events"]
        by_id = {event["EventId"]: event for event in events["list"]}
        if not wanted or any(identifier not in by_id for identifier in wanted):
            return fake.as_json({"error": "Bad request"}, 400)
        for identifier in wanted:
            by_id[identifier].update(EventStatus="Started", NotBefore="")
            events["approved"].append(identifier)
        events["incarnation"] += 1
        return fake.Answer(200)

    # The Resource Manager

    def manage(self, request):
        try:
            self.check_token(request)
            parameters = dict(urllib.parse.parse_qsl(request.query))
            if "api-version" not in parameters:
                raise Refusal(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
            return self.route(request, urllib.parse.unquote(request.path), parameters)
        except Refusal as refusal:
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if refusal.status == 401 else None
            return error(refusal.status, refusal.code, refusal.message, headers)

    def check_token(self, request):
        given = request.headers.get("Authorization", "")
        if not given:
            raise Refusal(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        if given != "Bearer " + self.state["identity"]["token"]:
            raise Refusal(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.")

    def check_right(self, action, scope):
        for entry in self.state["permissions"]:
            if any(covers(p, action) for p in entry["actions"]) and not any(covers(p, action) for p in entry["notActions"]):
                return
        raise Refusal(403, "AuthorizationFailed", f"The client '{CLIENT}' with object id '{CLIENT}' does not have authorization to perform "
                      f"action '{action}' over scope '{scope}' or the scope is invalid.")

    def route(self, request, path, parameters):
        match = re.fullmatch(f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westus/operations/(\\d+)", path)
        if match:
            return self.tell_operation(match.group(1), "monitor" in parameters)
        match = re.fullmatch(f"({re.escape(GROUP)}/providers/Microsoft.Compute/(?:virtualMachineScaleSets/([^/]+)/)?virtualMachines/([^/]+))(/.*)?",
                             path, re.IGNORECASE)
        if not match:
            raise Refusal(404, "InvalidResourceType", f"The resource type could not be found: {path}")
        scope, scale_set, name, rest = match.groups(default="")
        name = f"{scale_set}_{name}" if scale_set else name
        verbs = {("GET", ""): self.describe, ("POST", "/deallocate"): self.deallocate, ("POST", "/start"): self.start,
                 ("GET", "/providers/Microsoft.Authorization/permissions"): self.tell_permissions,
                 ("PATCH", "/providers/Microsoft.Resources/tags/default"): self.tag}
        verb = verbs.get((request.method, rest))
        if not verb:
            raise Refusal(405, "MethodNotAllowed", f"{request.method} {path}")
        return verb(request, name, scope, parameters)

    def machine(self, name):
        if name not in self.state["machines"]:
            raise Refusal(404, "ResourceNotFound", f"The Resource 'Microsoft.Compute/virtualMachines/{name}' under resource group 'test-group' was "
                          "not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix")
        return self.state["machines"][name]

    def describe(self, request, name, scope, parameters):
        self.check_right(right(scope, "read"), scope)
        machine = self.machine(name)
        os_disk = {"name": "disk", "osType": "Linux", "createOption": "FromImage"}
        if machine["ephemeral"]:
            os_disk["diffDiskSettings"] = {"option": "Local"}
        properties = {"hardwareProfile": {"vmSize": machine["size"]}, "provisioningState": "Succeeded", "priority": machine["priority"],
                      "vmId": self.state["imds"]["compute"]["vmId"], "storageProfile": {"osDisk": os_disk, "dataDisks": []},
                      "additionalCapabilities": {"hibernationEnabled": machine["hibernation"]}, "timeCreated": "2021-06-27T01:02:38.3138469+00:00"}
        if parameters.get("$expand") == "instanceView":
            properties["instanceView"] = {"statuses": [
                {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
                {"code": "PowerState/" + machine["state"], "level": "Info", "displayStatus": "VM " + machine["state"]}]}
        return fake.as_json({"name": name, "id": scope, "type": "Microsoft.Compute/virtualMachines", "location": "westus", "tags": machine["tags"],
                             "zones": machine["zones"], "properties": properties})

    def operation_for(self, change):
        """The machine is on its way at once, and there at the operation's end."""
        operations = self.state["operations"]
        identifier = str(len(self.running) + 1)
        self.running[identifier] = {"polls": operations["polls"], "change": change}
        base = (operations["host"] or self.url) + f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westus/operations/{identifier}"
        headers = {"Azure-AsyncOperation": base + "?api-version=2024-07-01", "Location": base + "?monitor=true&api-version=2024-07-01"}
        headers = {header: headers[header] for header in operations["headers"]}
        return fake.Answer(202, "", headers={**headers, "Retry-After": str(operations["retry_after"])})

    def tell_operation(self, identifier, by_location):
        operations = self.state["operations"]
        if not operations["reach"]:
            raise Refusal(403, "AuthorizationFailed", "The client does not have authorization to perform action "
                          "'Microsoft.Compute/locations/operations/read' over scope")
        if identifier not in self.running:
            raise Refusal(404, "NotFound", "The entity was not found in this Azure location.")
        operation = self.running[identifier]
        operation["polls"] -= 1
        status = "InProgress" if operation["polls"] > 0 else "Failed" if operations["error"] else "Succeeded"
        if status == "Succeeded":
            operation["change"]()
        headers = {"Retry-After": str(operations["retry_after"])} if status == "InProgress" else None
        if by_location:
            if status == "Failed":
                return fake.as_json({"error": operations["error"]}, 409)
            return fake.Answer(202, "", headers={**headers, "Location": self.url + f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/"
                                                 f"locations/westus/operations/{identifier}?monitor=true&api-version=2024-07-01"}) if headers else fake.Answer(200)
        document = {"startTime": "2023-01-01T00:00:00.000+00:00", "status": status, "name": identifier}
        if status == "Failed":
            document["error"] = operations["error"]
        return fake.as_json(document, 200, headers)

    def deallocate(self, request, name, scope, parameters):
        self.check_right(right(scope, "deallocate/action"), scope)
        machine = self.machine(name)
        if machine["ephemeral"]:
            raise Refusal(409, "OperationNotAllowed", "This operation is not supported for VMs or VMSS instances that use an ephemeral OS disk.")
        if parameters.get("hibernate") == "true" and not machine["hibernation"]:
            raise Refusal(409, "OperationNotAllowed", f"The Hibernate-Deallocate Operation cannot be performed on a VM that does not have "
                          "extended support for Hibernation enabled.")
        if machine["state"] == "deallocated":
            return fake.Answer(200)
        if not machine["stuck"]:
            machine["state"] = "deallocating"
        machine["hibernated"] = parameters.get("hibernate") == "true"
        return self.operation_for(lambda: machine["stuck"] or machine.update(state="deallocated"))

    def start(self, request, name, scope, parameters):
        self.check_right(right(scope, "start/action"), scope)
        machine = self.machine(name)
        if machine["state"] == "deallocating":
            raise Refusal(409, "Conflict", "The request failed due to conflict with a concurrent request.")
        if machine["state"] == "running":
            return fake.Answer(200)
        if not machine["stuck"]:
            machine["state"] = "starting"
        return self.operation_for(lambda: machine["stuck"] or machine.update(state="running"))

    def tell_permissions(self, request, name, scope, parameters):
        self.check_right("Microsoft.Authorization/permissions/read", scope)
        self.machine(name)
        first, size = int(parameters.get("$skipToken", "0")), self.state["page"]
        answer = {"value": self.state["permissions"][first:first + size]}
        if first + size < len(self.state["permissions"]):
            answer["nextLink"] = (self.state["next_host"] or self.url) + f"{request.path}?api-version=2022-04-01&$skipToken={first + size}"
        return fake.as_json(answer)

    def tag(self, request, name, scope, parameters):
        self.check_right("Microsoft.Resources/tags/write", scope)
        machine = self.machine(name)
        body = json.loads(request.body)
        if body.get("operation") not in ("Merge", "Replace", "Delete"):
            raise Refusal(400, "InvalidTagsOperation", "The operation is not valid")
        tags = {**(machine["tags"] if body["operation"] == "Merge" else {}), **body["properties"]["tags"]}
        if any(set(key) & set("<>%&\\?/") for key in tags):
            raise Refusal(400, "InvalidTagNameCharacters", "The tag names have reserved characters '<,>,%,&,\\,?,/' or control characters.")
        if len(tags) > 50:
            raise Refusal(400, "InvalidTags", "The number of tags exceeds the maximum allowed of 50.")
        machine["tags"] = tags
        return fake.as_json({"id": scope + "/providers/Microsoft.Resources/tags/default", "name": "default", "type": "Microsoft.Resources/tags",
                             "properties": {"tags": tags}})


if __name__ == "__main__":
    fake.main(Azure())
