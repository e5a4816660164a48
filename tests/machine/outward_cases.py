# SPDX-License-Identifier: Apache-2.0
"""Handlers and sources that speak to others, under their shipped units: to web servers, programs, people and
databases."""

import base64
import hashlib
import hmac
import json

from fake_inside import FakeInside
from handler_cases import disable, emit, enable, plugin_call
from machine import Machine, wait_until
from passage_cases import TYPESCRIPT, terminal

CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60, "min_uptime_minutes": 0}
KEY = b"key of the signature, 32 bytes.."
TOKEN = "token-of-the-test-0123456789"
SOCKET = "/run/cloudsnooze-event-endpoint/socket"
PORT = 8765
PASSWORD = "password-of-the-test"
POST = """
import http.client, socket, sys
where, body, token = sys.argv[1:4]
connection = http.client.HTTPConnection("localhost", timeout=30)
if where.startswith("/"):
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(where)
else:
    connection.sock = socket.create_connection(("127.0.0.1", int(where)))
headers = {"Content-Type": "application/json", **({"Authorization": "Bearer " + token} if token else {})}
connection.request("POST", "/events", body, headers)
print(connection.getresponse().status)
"""


def configure(machine, **plugins):
    machine.manager("SetConfiguration", "s", json.dumps({"plugins": {"plugin_configs": plugins}}))


def credential(machine, plugin, name, text):
    """As the READMEs say: `systemctl edit` of both slots."""
    machine.write(f"/etc/credstore/{name}", text, 0o600)
    for unit in (f"snooze-plugin@{plugin}", f"snooze-plugin-b@{plugin}"):
        machine.write(f"/etc/systemd/system/{unit}.service.d/override.conf",
                      f"[Service]\nLoadCredential={name}:/etc/credstore/{name}\n")
    machine.run("systemctl", "daemon-reload")


def environment(machine, plugin, text):
    """Secrets that the daemon alone reads."""
    path = f"/etc/cloudsnooze/plugins/{plugin}.env"
    machine.write(path, text, 0o640)
    machine.run("chown", "root:snooze", path)
    machine.manager("Reload")


def result_of(row, plugin, handled=True):
    found, = [result for result in row["results"] if result["plugin"]["data"] == plugin]
    assert found["handled"]["data"] == handled, found
    return found["result"]["data"]


def webhook_posts(machine, listener):
    """webhook posts to a server of this machine, signed with a key that came as a credential of systemd"""
    credential(machine, "webhook", "webhook.secret", "whsec_" + base64.b64encode(KEY).decode())
    configure(machine, webhook={"urls": [listener.url + "/hook"], "events": {"custom.*": {"enabled": True}}})
    enable(machine, "webhook")
    row = emit(machine, "custom.test")
    assert result_of(row, "webhook")["success"]["data"], row
    post, = [request for request in listener.requests("POST /hook") if row["id"] in request["body"]]
    body = json.loads(post["body"])
    assert (body["type"], body["id"]) == ("custom.test", row["id"]), body
    headers = {name.lower(): value for name, value in post["headers"].items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{post['body']}".encode()
    signature = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == "v1," + signature, headers


def posted(machine, where, token="", user="alice", **event):
    return machine.run("python3", "-c", POST, str(where), json.dumps(event), token, user=user, check=False)


def hooked(listener, identifier):
    bodies = [json.loads(post["body"]) for post in listener.requests("POST /hook")]
    return [body for body in bodies if body["id"] == identifier]


def endpoint_listens_on_its_socket(machine, listener):
    """event-endpoint takes from its socket what members of its group post, and hands it to a handler"""
    enable(machine, "event-endpoint")
    wait_until(lambda: machine.run("test", "-S", SOCKET, check=False).returncode == 0, "there is the socket")
    refused = posted(machine, SOCKET, id="job-6", type="custom.job.done")
    assert refused.returncode != 0 and "PermissionError" in refused.stderr, refused
    machine.run("usermod", "-aG", "snooze-event-endpoint", "alice")
    told = posted(machine, SOCKET, id="job-7", type="custom.job.done", severity=1, data={"job": 7})
    assert told.stdout == "202\n", told
    body, = wait_until(lambda: hooked(listener, "job-7"), "the handler was told")
    assert (body["source"], body["data"]) == ("event-endpoint", {"job": 7}), body
    assert posted(machine, SOCKET, id="job-8", type="cloud.spot.interrupt").stdout == "400\n"


def endpoint_listens_on_a_port(machine, listener):
    """on a port it takes what comes with the token, which came as a credential of systemd, and refuses another"""
    credential(machine, "event-endpoint", "event-endpoint.token", TOKEN)
    plugin_call(machine, "event-endpoint", "Unload")
    configure(machine, **{"event-endpoint": {"listen": f"127.0.0.1:{PORT}"}})
    plugin_call(machine, "event-endpoint", "Load")
    wrong = lambda: posted(machine, PORT, "wrong-" + TOKEN, user="nobody", id="job-9", type="custom.job").stdout
    wait_until(lambda: wrong() == "401\n", "the wrong token is refused")
    assert posted(machine, PORT, user="nobody", id="job-9", type="custom.job").stdout == "401\n"
    assert posted(machine, PORT, TOKEN, user="nobody", id="job-10", type="custom.job").stdout == "202\n"
    wait_until(lambda: hooked(listener, "job-10"), "the handler was told")
    assert not hooked(listener, "job-9")
    disable(machine, "event-endpoint")


def notify_tells_people(machine, listener):
    """notify writes on terminals, and sends mail by a sendmail that speaks to a server, and by itself"""
    machine.write("/etc/msmtprc", "account default\nhost 127.0.0.1\nport 25\nauth off\ntls off\n")
    configure(machine, notify={"recipients": ["ops@example.org", "root@example.org"],
                               "from": "cloudsnooze@example.org"})
    enable(machine, "notify")
    with terminal(machine):
        result = result_of(emit(machine, "cloud.instance.maintenance"), "notify")
        assert result["terminals"]["data"] > 0 and result["mailed"]["data"], result
        wait_until(lambda: "CloudSnooze: " in machine.read(TYPESCRIPT), "the terminal is told")
    mail, = listener.requests("MAIL ")
    assert mail["path"] == "ops@example.org,root@example.org" and "From: " in mail["body"], mail
    environment(machine, "notify", "SNOOZE_SMTP_URL=smtp://localhost\n")
    result = result_of(emit(machine, "cloud.instance.maintenance"), "notify")
    assert result["mailed"]["data"], result
    assert len(listener.requests("MAIL ")) == 2
    disable(machine, "notify")


def redis(machine, *command):
    return machine.run("redis-cli", "--no-auth-warning", "-a", PASSWORD, *command, check=False).stdout.strip()


def redis_server(machine, user="redis", directory="/var/lib/redis"):
    # Without a snapshot of its own accord, also at SIGTERM.
    return machine.background("redis-server", "--bind", "127.0.0.1", "--dir", directory, "--save", "",
                              "--requirepass", PASSWORD, user=user)


def flusher_saves(machine, listener):
    """database-flusher has Redis save what it has in memory: it is there after kill -9 of the server"""
    environment(machine, "database-flusher", f"SNOOZE_CONNECTION_STRING=redis://:{PASSWORD}@127.0.0.1:6379\n")
    configure(machine, **{"database-flusher": {"db_type": "redis"}})
    enable(machine, "database-flusher")
    # Somebody who was there first is told no password.
    alice = machine.run("id", "--user", "alice").stdout.strip()
    with redis_server(machine, "alice", "/home/alice"):
        wait_until(lambda: redis(machine, "ping") == "PONG", "another's Redis answers")
        result = result_of(emit(machine, "cloud.spot.interrupt"), "database-flusher", handled=False)
        assert f"a program of user {alice} listens there" in result["error"]["data"], result
    with redis_server(machine):
        wait_until(lambda: redis(machine, "ping") == "PONG", "Redis answers")
        assert redis(machine, "set", "thesis", "chapter 7") == "OK"
        result = result_of(emit(machine, "cloud.spot.interrupt"), "database-flusher")
        assert result["success"]["data"], result
    # The end of the block is kill -9.
    with redis_server(machine):
        wait_until(lambda: redis(machine, "ping") == "PONG", "Redis answers again")
        assert redis(machine, "get", "thesis") == "chapter 7"
    journal = machine.run("journalctl", "-b", "--no-pager", "-u", "snoozed", "-u", "snooze-plugin@database-flusher")
    assert PASSWORD not in journal.stdout


def run(plan, installed, bus, _build):
    with Machine(installed, bus, CONFIGURATION) as machine, FakeInside(machine, "listener") as listener:
        plan.cases([webhook_posts, endpoint_listens_on_its_socket, endpoint_listens_on_a_port, notify_tells_people,
                    flusher_saves], machine, listener)
