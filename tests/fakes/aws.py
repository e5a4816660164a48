#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""EC2's metadata service (IMDSv2) and the Query APIs of EC2 and Auto Scaling, as far as a provider needs them. Paths and values of the
metadata service are those of Amazon's own mock (amazon-ec2-metadata-mock); actions, codes and the form of answers those of the API
references. Credentials are checked for their names and scope; the signature itself by those who know it (test-fakes.py)."""

import fnmatch
import hashlib
import hmac
import re
import time
import urllib.parse
import xml.sax.saxutils

import fake

TOKEN_MAX_SECONDS = 21600
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
INSTANCE = "i-1234567890abcdef0"

STATE = {
    "imds": {"v1": False, "token_seconds": None, "documents": {}, "available": True},
    "credentials": {"key": "12345678901", "secret": "v/12345678901", "token": "TEST92test48TEST+y6RpoTEST92test48TEST/8oWVAiBqTEsT5Ky7ty2tEStxC1T==",
                    "seconds": 3600, "role": "baskinc-role"},
    "region": "us-east-1",
    "spot": None,
    "rebalance": None,
    "maintenance": [],
    "lifecycle_state": None,
    "denied": [],
    "policy": None,
    "instances": {
        INSTANCE: {"type": "m4.xlarge", "zone": "us-east-1f", "state": "running", "lifecycle": None, "hibernation": False,
                   "launched": "2020-07-13T20:20:38.000Z", "tags": {"Name": "test-instance"}, "spot_request": None},
        "i-0fedcba9876543210": {"type": "t3.micro", "zone": "us-east-1a", "state": "stopped", "lifecycle": None, "hibernation": False,
                                "launched": "2021-01-01T00:00:00.000Z", "tags": {}, "spot_request": None},
    },
    "hooks": [],
}


def escape(text):
    return xml.sax.saxutils.escape(str(text))


def element(name, *content):
    return f"<{name}>{''.join(content)}</{name}>"


class Refusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def signature_of(request, secret, scope, signed):
    """What the request's signature has to be. Ours have no query."""
    headers = {name.lower(): " ".join(value.split()) for name, value in request.headers.items()}
    canonical = "\n".join([request.method, request.path, request.query, *(f"{name}:{headers.get(name, '')}" for name in signed), "",
                           ";".join(signed), hashlib.sha256(request.body.encode()).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", headers.get("x-amz-date", ""), scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Aws(fake.Fake):
    def __init__(self):
        super().__init__(STATE)
        self.tokens = {}

    def respond(self, request):
        with self.lock:
            if request.path.startswith("/latest/"):
                return self.metadata(request)
            return self.query(request)

    # The metadata service

    def metadata(self, request):
        imds = self.state["imds"]
        if not imds["available"]:
            return fake.Answer(404)
        if request.path == "/latest/api/token":
            return self.make_token(request)
        token = request.headers.get("X-aws-ec2-metadata-token")
        if token is None and not imds["v1"]:
            return fake.Answer(401)
        if token is not None and self.tokens.get(token, 0) <= time.monotonic():
            return fake.Answer(401)
        if request.method != "GET":
            return fake.Answer(405)
        document = self.document(request.path)
        return fake.Answer(404, "<html>404 - Not Found</html>") if document is None else fake.Answer(200, document)

    def make_token(self, request):
        seconds = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT":
            return fake.Answer(405)
        if request.headers.get("X-Forwarded-For"):
            return fake.Answer(403)
        if not re.fullmatch(r"\d{1,5}", seconds) or not 1 <= int(seconds) <= TOKEN_MAX_SECONDS:
            return fake.Answer(400)
        given = self.state["imds"]["token_seconds"] or int(seconds)
        token = f"AQAEAHOJ{len(self.tokens)}=="
        self.tokens[token] = time.monotonic() + given
        return fake.Answer(200, token, headers={"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": str(given)})

    def document(self, path):
        own = self.state["imds"]["documents"]
        if path in own:
            return own[path]
        instance = self.state["instances"][INSTANCE]
        if path == "/latest/dynamic/instance-identity/document":
            return fake.as_json({
                "accountId": "0123456789", "architecture": "x86_64", "availabilityZone": instance["zone"], "imageId": "ami-0b69ea66ff7391e80",
                "instanceId": INSTANCE, "instanceType": instance["type"], "pendingTime": "2019-10-31T07:02:24Z",
                "privateIp": "10.0.7.10", "region": self.state["region"], "version": "2017-09-30"}).body
        return self.meta_data(path.removeprefix("/latest/meta-data/"), instance)

    def meta_data(self, name, instance):
        state, credentials = self.state, self.state["credentials"]
        simple = {
            "instance-id": INSTANCE,
            "instance-type": instance["type"],
            "instance-life-cycle": "spot" if instance["lifecycle"] == "spot" else "on-demand",
            "placement/region": state["region"],
            "placement/availability-zone": instance["zone"],
            "services/domain": "amazonaws.com",
            "services/partition": "aws",
            "spot/instance-action": state["spot"] and fake.as_json(state["spot"]).body,
            "events/recommendations/rebalance": state["rebalance"] and fake.as_json(state["rebalance"]).body,
            "events/maintenance/scheduled": fake.as_json(state["maintenance"]).body,
            "autoscaling/target-lifecycle-state": state["lifecycle_state"],
            "iam/security-credentials/": credentials["role"],
        }
        if credentials["role"] and name == f"iam/security-credentials/{credentials['role']}":
            return fake.as_json({
                "Code": "Success", "LastUpdated": "2020-04-02T18:50:40Z", "Type": "AWS-HMAC", "AccessKeyId": credentials["key"],
                "SecretAccessKey": credentials["secret"], "Token": credentials["token"],
                "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + credentials["seconds"]))}).body
        return simple.get(name) if name in simple else simple.get(name.removesuffix("/"))

    # The Query APIs

    def query(self, request):
        form = dict(urllib.parse.parse_qsl(request.body, keep_blank_values=True))
        action = form.get("Action", "")
        service = "autoscaling" if form.get("Version") == "2011-01-01" else "ec2"
        try:
            self.check_credentials(request, service)
            answer = getattr(self, "do_" + action, None)
            if request.method != "POST" or request.path != "/" or answer is None:
                raise Refusal(400, "InvalidAction", f"The action {action} is not valid for this web service.")
            if action in self.state["denied"]:
                raise self.denial(service, "You are not authorized to perform this operation.")
            self.check_policy(service, action, form)
            content = answer(form)
            return fake.Answer(200, f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{NAMESPACE}">'
                               f"{element('requestId', '59dbff89-35bd-4eac-99ed-be587EXAMPLE')}{content}</{action}Response>", "text/xml;charset=UTF-8")
        except Refusal as refusal:
            return self.refuse(refusal, service)

    def check_policy(self, service, action, form):
        """The role may do what its policy (an IAM document; None: everything) allows. Which resources an action is about is that of the
        service authorization reference: what describes knows none but all."""
        if self.state["policy"] is None:
            return
        resources = ["*"]
        if service == "autoscaling":
            resources = [f"arn:aws:autoscaling:{self.state['region']}:0123456789:autoScalingGroup:930d940e-891e-4781-a11a-7b0acd480f03:"
                         f"autoScalingGroupName/{form.get('AutoScalingGroupName')}"]
        elif not action.startswith("Describe"):
            resources = [f"arn:aws:ec2:{self.state['region']}:0123456789:instance/{identifier}" for identifier in self.wanted(form)]
        for resource in resources:
            if not any(statement["Effect"] == "Allow" and f"{service}:{action}" in statement["Action"] and
                       fnmatch.fnmatchcase(resource, statement["Resource"]) for statement in self.state["policy"]["Statement"]):
                raise self.denial(service, f"The role is not authorized to perform: {service}:{action} on resource: {resource}")

    def denial(self, service, message):
        """EC2's goes on with what only sts:DecodeAuthorizationMessage can read (repost.aws/knowledge-center/ec2-not-auth-launch)."""
        if service != "ec2":
            return Refusal(403, "AccessDenied", message)
        return Refusal(403, "UnauthorizedOperation", f"{message} Encoded authorization failure message: {'eSXw4Wo0_hG4JJKC-oLLZ' * 40}")

    def refuse(self, refusal, service):
        error = element("Error", *(["<Type>Sender</Type>"] if service == "autoscaling" else []), element("Code", refusal.code),
                        element("Message", escape(refusal.message)))
        body = f"<Response><Errors>{error}</Errors><RequestID>ea966190-f9aa-478e-9ede-EXAMPLE</RequestID></Response>"
        if service == "autoscaling":
            body = f'<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">{error}<RequestId>x</RequestId></ErrorResponse>'
        return fake.Answer(refusal.status, '<?xml version="1.0" encoding="UTF-8"?>\n' + body, "text/xml;charset=UTF-8")

    def check_credentials(self, request, service):
        credentials = self.state["credentials"]
        match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/([^/]+)/([^/]+)/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
                             request.headers.get("Authorization", ""))
        if not match:
            raise Refusal(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        key, whole_scope, region, scope, signed, signature = match.groups()
        signed = signed.split(";")
        if key != credentials["key"]:
            raise Refusal(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        if region != self.state["region"] or scope != service:
            raise Refusal(403, "SignatureDoesNotMatch", f"Credential should be scoped to {self.state['region']}/{service}.")
        if credentials["token"] and request.headers.get("X-Amz-Security-Token") != credentials["token"]:
            raise Refusal(400, "ExpiredToken", "The security token included in the request is expired")
        if credentials["token"] and "x-amz-security-token" not in signed:
            raise Refusal(403, "SignatureDoesNotMatch", "x-amz-security-token must be signed")
        if not {"host", "x-amz-date"} <= set(signed) or signed != sorted(signed):
            raise Refusal(403, "SignatureDoesNotMatch", "host and x-amz-date must be signed, in order")
        if signature != signature_of(request, credentials["secret"], whole_scope, signed):
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")

    def wanted(self, form):
        ids = [value for name, value in sorted(form.items()) if re.fullmatch(r"InstanceId\.\d+|ResourceId\.\d+", name)]
        for identifier in ids:
            if not re.fullmatch(r"i-[0-9a-f]{8,17}", identifier):
                raise Refusal(400, "InvalidInstanceID.Malformed", f'Invalid id: "{identifier}"')
            if identifier not in self.state["instances"]:
                raise Refusal(400, "InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
        return ids

    def dry(self, form):
        if form.get("DryRun") == "true":
            raise Refusal(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")

    def describe(self, identifier):
        instance = self.state["instances"][identifier]
        codes = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
        tags = [element("item", element("key", escape(k)), element("value", escape(v))) for k, v in instance["tags"].items()]
        return element(
            "item", element("instanceId", identifier), element("imageId", "ami-0b69ea66ff7391e80"),
            element("instanceState", element("code", str(codes[instance["state"]])), element("name", instance["state"])),
            element("instanceType", instance["type"]), element("launchTime", instance["launched"]),
            element("placement", element("availabilityZone", instance["zone"]), "<groupName/>", element("tenancy", "default")),
            element("instanceLifecycle", instance["lifecycle"]) if instance["lifecycle"] else "",
            element("tagSet", *tags) if tags else "",
            element("hibernationOptions", element("configured", str(instance["hibernation"]).lower())))

    def do_DescribeInstances(self, form):
        ids = self.wanted(form)
        self.dry(form)
        return element("reservationSet", *[element("item", element("reservationId", "r-1234567890abcdef0"), element("ownerId", "0123456789"),
                                                   element("instancesSet", self.describe(i))) for i in ids or self.state["instances"]])

    def change(self, form, rule):
        ids = self.wanted(form)
        if not ids:
            raise Refusal(400, "MissingParameter", "The request must contain the parameter InstanceId")
        self.dry(form)
        items = []
        for identifier in ids:
            instance = self.state["instances"][identifier]
            before = instance["state"]
            instance["state"] = rule(identifier, instance, before)
            items.append(element("item", element("instanceId", identifier), element("currentState", element("code", "64"), element("name", instance["state"])),
                                 element("previousState", element("code", "16"), element("name", before))))
        return element("instancesSet", *items)

    def do_StopInstances(self, form):
        def rule(identifier, instance, before):
            request = instance["spot_request"]
            if instance["lifecycle"] == "spot" and (not request or request["type"] == "one-time"):
                raise Refusal(400, "UnsupportedOperation", f"You can't stop the Spot Instance '{identifier}' because it is associated with a one-time Spot "
                              "Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.")
            if before in ("shutting-down", "terminated"):
                raise Refusal(400, "IncorrectInstanceState", f"This instance '{identifier}' is not in a state from which it can be stopped.")
            instance["hibernated"] = form.get("Hibernate") == "true" and instance["hibernation"]
            return before if before == "stopped" else "stopping"

        return self.change(form, rule)

    def do_StartInstances(self, form):
        def rule(identifier, instance, before):
            if before not in ("stopped", "pending", "running"):
                raise Refusal(400, "IncorrectInstanceState", f"The instance '{identifier}' is not in a state from which it can be started.")
            return before if before == "running" else "pending"

        return self.change(form, rule)

    def do_CreateTags(self, form):
        ids = self.wanted(form)
        pairs = {}
        for name, value in form.items():
            match = re.fullmatch(r"Tag\.(\d+)\.Key", name)
            if match:
                pairs[value] = form.get(f"Tag.{match.group(1)}.Value", "")
        if any(key.lower().startswith("aws:") for key in pairs):
            raise Refusal(400, "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        self.dry(form)
        for identifier in ids:
            tags = self.state["instances"][identifier]["tags"]
            if len({*tags, *pairs}) > 50:
                raise Refusal(400, "TagLimitExceeded", "More than 50 tags specified")
            tags.update(pairs)
        return element("return", "true")

    def do_DescribeSpotInstanceRequests(self, form):
        wanted = form.get("Filter.1.Value.1") if form.get("Filter.1.Name") == "instance-id" else None
        items = [element("item", element("spotInstanceRequestId", instance["spot_request"]["id"]), element("type", instance["spot_request"]["type"]),
                         element("state", "active"), element("instanceId", identifier))
                 for identifier, instance in self.state["instances"].items() if instance["spot_request"] and wanted in (None, identifier)]
        return element("spotInstanceRequestSet", *items)

    def hook(self, form, action):
        for name in ("AutoScalingGroupName", "LifecycleHookName"):
            if not form.get(name):
                raise Refusal(400, "ValidationError", f"{name} is missing")
        if "LifecycleActionToken" in form:
            raise Refusal(400, "ValidationError", f"No active Lifecycle Action found with token {form['LifecycleActionToken']}")
        if not form.get("InstanceId"):
            raise Refusal(400, "ValidationError", "InstanceId is missing")
        if self.state["lifecycle_state"] not in ("Terminated", "Warmed:Terminated"):
            raise Refusal(400, "ValidationError", f"No active Lifecycle Action found with instance ID {form['InstanceId']}")
        self.state["hooks"].append({"action": action, **form})
        return element(action + "Result")

    def do_CompleteLifecycleAction(self, form):
        if form.get("LifecycleActionResult") not in ("CONTINUE", "ABANDON"):
            raise Refusal(400, "ValidationError", "LifecycleActionResult is missing")
        return self.hook(form, "CompleteLifecycleAction")

    def do_RecordLifecycleActionHeartbeat(self, form):
        return self.hook(form, "RecordLifecycleActionHeartbeat")


if __name__ == "__main__":
    fake.main(Aws())
