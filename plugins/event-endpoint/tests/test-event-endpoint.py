# SPDX-License-Identifier: Apache-2.0
"""Plugin event-endpoint on a private bus: those who post as they should, and those who do not. Arguments: the program, the source tree."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

from gi.repository import Gio, GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
TOKEN = "0123456789abcdef-token"
KEY = "0123456789abcdef-key"
SNOOZE, SNOOZE_PATH, MANAGER = "io.cloudsnooze.Snooze1", "/io/cloudsnooze/Snooze1", "io.cloudsnooze.Snooze1.Manager"
EVENT = json.dumps({"type": "custom.test"})


class LocalConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.local_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.local_path)


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"}


def signed(body, identifier="msg-1", when=None, key=KEY):
    when = str(int(time.time() if when is None else when))
    digest = hmac.digest(key.encode(), f"{identifier}.{when}.{body}".encode(), hashlib.sha256)
    return {"webhook-id": identifier, "webhook-timestamp": when, "webhook-signature": "v1," + base64.b64encode(digest).decode()}


class Endpoint(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = os.path.join(self.directory, "socket")
        # What a thread brings comes without a signal.
        source = GLib.timeout_add(10, lambda: GLib.SOURCE_CONTINUE)
        self.addCleanup(GLib.source_remove, source)
        self.connection = self.bus.connection
        self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                                  GLib.Variant("(su)", (SNOOZE, 0)), None, Gio.DBusCallFlags.NONE, 20000, None)
        self.events, self.keeping = [], True
        self.connection.signal_subscribe(None, "io.cloudsnooze.Plugin1.EventSource", "Event", None, None, Gio.DBusSignalFlags.NONE, self.on_event)

    def on_event(self, connection, sender, path, interface, member, parameters):
        """The daemon's part: it keeps the event, and says so."""
        event, = parameters.unpack()
        self.events.append(event)
        if self.keeping:
            self.say_received(event)

    def say_received(self, event, source="event-endpoint", connection=None, destination=None):
        parameters = GLib.Variant("(ssa{sv})", (event["id"], event["type"], {"id": s(event["id"]), "severity": GLib.Variant("u", 1), "source": s(source)}))
        (connection or self.connection).emit_signal(destination, SNOOZE_PATH, MANAGER, "EventReceived", parameters)

    def start(self, environment=None, watch=True, **settings):
        self.running = self.plugin(PROGRAM, "event-endpoint", environment={"RUNTIME_DIRECTORY": self.directory, **(environment or {})})
        self.running.greet({name: s(value) if isinstance(value, str) else GLib.Variant("x", value) for name, value in settings.items()})
        if watch:
            self.running.call(".EventSource", "Watch")
        return self.running

    def start_on_a_port(self, **settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        return self.start(listen=f"127.0.0.1:{self.port}", **settings)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """The status, what was answered, and its headers."""
        connection = connection or LocalConnection(self.path)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text.startswith("{") else text, answer.headers

    def later(self, function, *arguments, **keywords):
        """In a thread, since whoever answers is this one."""
        results = []

        def work():
            try:
                results.append(function(*arguments, **keywords))
            except OSError as error:
                results.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        return results

    def result(self, results):
        plugin_bus.iterate_until(lambda: results, 60)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def post(self, body=EVENT, headers=None, **keywords):
        return self.result(self.later(self.ask, "POST", "/events", body, headers, **keywords))

    def post_to_port(self, body=EVENT, headers=None):
        return self.post(body, headers, connection=http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))

    def raw(self, data):
        """What comes back on a connection until its end."""
        def work():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(60)
                connection.connect(self.path)
                answer = b""
                try:
                    connection.sendall(data)
                    while piece := connection.recv(65536):
                        answer += piece
                except (ConnectionResetError, BrokenPipeError):
                    pass
                return answer

        return self.result(self.later(work))

    def assert_alive(self):
        status, answer, _ = self.post()
        self.assertEqual(status, 202, answer)

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/event-endpoint/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))
        self.assertNotIn("enabled_by_default", manifest)

    def test_what_is_posted_is_announced(self):
        self.start()
        status, answer, headers = self.post(json.dumps({"id": "job-7", "type": "custom.job.done", "severity": 1, "data": {"n": 7, "list": ["a"]}}))
        self.assertEqual((status, answer, headers["Content-Type"]), (202, {"id": "job-7"}, "application/json"))
        event, = self.events
        self.assertEqual([event[name] for name in ("id", "type", "source", "severity", "deadline", "data")],
                         ["job-7", "custom.job.done", "event-endpoint", 1, 0, {"n": 7, "list": ["a"]}])

    def test_without_an_id_each_is_another(self):
        self.start()
        ids = {self.post()[1]["id"] for _ in range(3)}
        self.assertEqual(ids, {event["id"] for event in self.events})
        self.assertEqual(len(ids), 3)

    def test_the_same_id_is_announced_once(self):
        self.start()
        body = json.dumps({"id": "same", "type": "custom.test"})
        for _ in range(3):
            self.assertEqual(self.post(body)[:2], (202, {"id": "same"}))
        self.running.call(".EventSource", "Acknowledge", "(s)", "same")
        self.assertEqual(self.post(body)[:2], (202, {"id": "same"}))
        self.assertEqual(len(self.events), 1)

    def test_an_id_that_somebody_else_used_first_is_told(self):
        """Otherwise whoever guesses it makes another's event vanish behind a 202."""
        self.start()
        mine = {"id": "job-7", "type": "custom.job.done", "data": {"result": "good"}}
        self.assertEqual(self.post(json.dumps({"id": "job-7", "type": "custom.test"}))[0], 202)
        for another in (mine, {**mine, "severity": 1}, {"id": "job-7", "type": "custom.test", "data": {"a": 1}},
                        {"id": "job-7", "type": "custom.test", "severity": 1}):
            status, answer, _ = self.post(json.dumps(another))
            self.assertEqual((status, answer["id"]), (409, "job-7"))
            self.assertIn("another event was posted by this id", answer["error"])
        self.assertEqual(self.post(json.dumps({**mine, "id": "job-7-mine"}))[0], 202)
        self.assertEqual(self.post(json.dumps({"id": "job-7", "type": "custom.test"}))[0], 202)
        self.assertEqual([event["id"] for event in self.events], ["job-7", "job-7-mine"])

    def test_also_while_it_is_under_way(self):
        self.keeping = False
        self.start()
        first = self.later(self.ask, "POST", "/events", json.dumps({"id": "same", "type": "custom.test"}))
        plugin_bus.iterate_until(lambda: self.events)
        self.assertEqual(self.post(json.dumps({"id": "same", "type": "custom.other"}))[0], 409)
        self.say_received(self.events[0])
        self.assertEqual(self.result(first)[0], 202)

    def test_a_signed_one_cannot_be_replayed_behind_many_others(self):
        self.start(token=TOKEN, secret=KEY, max_per_minute=6000, max_per_minute_total=60000)
        # From the future, so that it is taken yet when all of them were posted.
        replayed = signed(EVENT, when=time.time() + 200)
        self.assertEqual(self.post(headers=replayed)[:2], (202, {"id": "msg-1"}))
        self.running.call(".EventSource", "Acknowledge", "(s)", "msg-1")
        # More than are remembered of those that nobody signed.
        for number in range(1040):
            headers = bearer() if number % 2 else signed(EVENT, f"other-{number}")
            status, answer, _ = self.post(headers=headers)
            self.assertEqual(status, 202)
            self.running.call(".EventSource", "Acknowledge", "(s)", answer["id"])
        self.assertEqual(self.post(headers=replayed)[:2], (202, {"id": "msg-1"}))
        self.assertEqual([event["id"] for event in self.events].count("msg-1"), 1)

    def test_no_answer_before_the_daemon_kept_it(self):
        self.keeping = False
        self.start()
        body = json.dumps({"id": "same", "type": "custom.test"})
        first, second = self.later(self.ask, "POST", "/events", body), self.later(self.ask, "POST", "/events", body)
        plugin_bus.iterate_until(lambda: self.events)
        # Neither another source's event of that id, nor anybody's word but the daemon's.
        self.say_received(self.events[0], source="other")
        stranger = self.bus.connect()
        self.say_received(self.events[0], connection=stranger)
        # One that is addressed comes through, whatever was subscribed.
        self.say_received(self.events[0], connection=stranger, destination=self.running.owner)
        # Nor does he become the daemon by saying so.
        stranger.emit_signal(self.running.owner, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                             GLib.Variant("(sss)", (SNOOZE, "", stranger.get_unique_name())))
        self.say_received(self.events[0], connection=stranger, destination=self.running.owner)
        # The bus keeps the order of one sender: this comes behind all of it.
        stranger.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", None, None,
                           Gio.DBusCallFlags.NONE, 20000, None)
        self.running.call("", "Ping")
        self.assertEqual((first, second), ([], []))
        self.say_received(self.events[0])
        self.assertEqual([self.result(results)[0] for results in (first, second)], [202, 202])
        self.assertEqual(len(self.events), 1)

    def test_what_nobody_takes_is_answered_503_and_taken_when_it_comes_again(self):
        self.start(watch=False)
        body = json.dumps({"id": "early", "type": "custom.test"})
        status, answer, headers = self.post(body)
        self.assertEqual((status, answer["id"], headers["Retry-After"]), (503, "early", "5"))
        again = self.later(self.ask, "POST", "/events", body)
        self.running.call(".EventSource", "Watch")
        self.assertEqual(self.result(again)[0], 202)
        self.assertEqual(len(self.events), 1)

    def test_an_event_that_was_handled_before_this_instance_is_acknowledged(self):
        self.keeping = False
        self.start()
        answer = self.later(self.ask, "POST", "/events", json.dumps({"id": "old", "type": "custom.test"}))
        plugin_bus.iterate_until(lambda: self.events)
        self.running.call(".EventSource", "Acknowledge", "(s)", "old")
        self.assertEqual(self.result(answer)[0], 202)

    def test_64_are_under_way(self):
        self.start(max_per_minute=1000, max_per_minute_total=1000)
        for _ in range(64):
            self.assertEqual(self.post()[0], 202)
        status, answer, headers = self.post()
        self.assertEqual((status, answer["error"], headers["Retry-After"]), (503, "too many events are under way", "5"))
        self.running.call(".EventSource", "Acknowledge", "(s)", self.events[0]["id"])
        self.assert_alive()

    def test_what_was_wrong_is_said(self):
        self.start()
        for body, why in (("", "the body"), ("{", "the body"), ("[]", "the body: expected an object"), ("{}", "type: expected custom"),
                          ('{"type": "cloud.spot.interrupt"}', "type: expected custom"), ('{"type": "snooze.stop.pending"}', "type: expected custom"),
                          ('{"type": "custom", "severity": 3}', "severity: expected 0"), ('{"type": "custom", "x": 1}', "unknown field x"),
                          ("[" * 60000, "the body"), ('{"a":' * 10000, "the body"), ('{"type": "custom", "deadline": 1}', "deadline: expected"),
                          (b'{"type": "custom", "data": {"a": "\xff"}}', "the body"), (b'{"type": "custom"}\0', "the body")):
            status, answer, _ = self.post(body)
            self.assertEqual(status, 400, body[:40])
            self.assertTrue(answer["error"].startswith(why), (body[:40], answer))
            self.assertLess(len(answer["error"]), 400)
        self.assertEqual(self.events, [])
        self.assert_alive()

    def test_paths_and_methods(self):
        self.start()
        for path in ("/", "/event", "/events/", "//events", "/events/../events", "/./events", "/EVENTS", "/%2e%2e/etc/passwd", "/events%00", "/events%2f"):
            self.assertEqual(self.result(self.later(self.ask, "POST", path, EVENT))[0], 404, path)
        for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "EVIL", "post"):
            status, _, headers = self.result(self.later(self.ask, method, "/events", EVENT))
            self.assertEqual((status, headers["Allow"]), (405, "POST"), method)
        self.assertEqual(self.events, [])
        self.assertEqual(self.result(self.later(self.ask, "POST", "/events?x=y", EVENT))[0], 202)

    def test_other_content_types(self):
        self.start()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
            self.assertEqual(self.post(EVENT, {"Content-Type": kind})[0], 415, kind)
        self.assertEqual(self.post(EVENT, {"Content-Type": "application/json; charset=utf-8"})[0], 202)

    def test_large_bodies(self):
        self.start()
        self.assertEqual(self.post(" " * 65537)[0], 413)
        self.assertEqual(self.post(EVENT + " " * (65536 - len(EVENT)))[0], 202)
        # Announced and never sent, of any size and of none.
        for size in ("99999999999999999999999999", "18446744073709551615", "-1", "x"):
            answer = self.raw(f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode())
            self.assertRegex(answer, b"^(HTTP/1.1 4|$)", size)
        # In pieces whose end nobody announced.
        pieces = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        answer = self.raw(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces * 8 + b"0\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:80])
        self.assert_alive()

    def test_large_headers(self):
        self.start()
        for headers in (b"X: " + b"a" * 100000 + b"\r\n", b"X: a\r\n" * 20000):
            answer = self.raw(b"POST /events HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
            self.assertRegex(answer, b"^(HTTP/1.1 (431|413|400|414) |$)")
        self.assertRegex(self.raw(b"POST /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"), b"^(HTTP/1.1 4|$)")
        self.assert_alive()

    def test_rubbish(self):
        self.start()
        for data in (b"\0" * 1000, b"\r\n\r\n\r\n", b"POST\r\n\r\n", b"POST /events\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
                     b"POST /events HTTP/9.9\r\n\r\n", b"POST /events HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            self.assertNotIn(b" 202 ", self.raw(data + b"\r\n\r\n"))
        self.assertEqual(self.events, [])
        self.assert_alive()

    def test_the_token(self):
        self.start_on_a_port(token=TOKEN)
        for headers in ({}, bearer("wrong"), bearer(TOKEN[:-1]), bearer(TOKEN + "x"), bearer(TOKEN.upper()), bearer(""), {"Authorization": TOKEN},
                        {"Authorization": "Basic " + base64.b64encode(TOKEN.encode()).decode()}, signed(EVENT)):
            status, answer, answered = self.post_to_port(headers=headers)
            self.assertEqual((status, answered["WWW-Authenticate"]), (401, "Bearer"), headers)
            self.assertNotIn(TOKEN, json.dumps(answer))
        self.assertEqual(self.events, [])
        self.assertEqual(self.post_to_port(headers=bearer())[0], 202)

    def test_the_signature(self):
        self.start_on_a_port(secret=KEY)
        good, now = signed(EVENT), time.time()
        for headers in ({}, bearer(), bearer(KEY), signed(EVENT, key=KEY + "x"), signed(EVENT + " "), {**good, "webhook-id": "msg-2"},
                        {**good, "webhook-timestamp": str(int(now) + 1)}, {**good, "webhook-signature": "v1,"}, {**good, "webhook-signature": "v1," + "A" * 44},
                        signed(EVENT, when=now - 400), signed(EVENT, when=now + 400), signed(EVENT, when=0), signed(EVENT, when=-1), signed(EVENT, when=2**63)):
            self.assertEqual(self.post_to_port(headers=headers)[0], 401, headers)
        self.assertEqual(self.events, [])
        self.assertEqual(self.post_to_port(headers=good)[:2], (202, {"id": "msg-1"}))
        self.assertEqual(self.post_to_port(headers=signed(EVENT, "msg-2", when=now - 200))[:2], (202, {"id": "msg-2"}))
        # Sent again by somebody who listened: it is known.
        self.assertEqual(self.post_to_port(headers=good)[:2], (202, {"id": "msg-1"}))
        self.assertEqual([event["id"] for event in self.events], ["msg-1", "msg-2"])
        self.assertEqual(self.post_to_port(headers=signed(EVENT, "an id"))[0], 400)

    def test_either_is_enough_where_both_are_set(self):
        self.start(token=TOKEN, secret=KEY)
        self.assertEqual(self.post(headers=bearer())[0], 202)
        self.assertEqual(self.post(headers=signed(EVENT))[0], 202)
        self.assertEqual(self.post(headers={**bearer("wrong"), **signed(EVENT, key="another-key-that-is-long")})[0], 401)
        self.assertEqual(self.post()[0], 401)

    def test_credentials_of_systemd_go_before_the_configuration(self):
        with open(os.path.join(self.directory, "event-endpoint.token"), "w") as f:
            f.write("another-token-that-is-long\n")
        self.start(token=TOKEN, environment={"CREDENTIALS_DIRECTORY": self.directory})
        self.assertEqual(self.post(headers=bearer())[0], 401)
        self.assertEqual(self.post(headers=bearer("another-token-that-is-long"))[0], 202)

    def test_the_socket_is_its_groups(self):
        self.start()
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o660)
        self.running.stop()
        self.assertEqual([name for name in os.listdir(self.directory) if "socket" in name], [])

    def test_turns(self):
        self.start(token=TOKEN, max_per_minute=3)
        # Strangers use up nobody's.
        for _ in range(10):
            self.assertEqual(self.post()[0], 401)
        self.assertEqual([self.post(headers=bearer())[0] for _ in range(3)], [202] * 3)
        status, _, headers = self.post(headers=bearer())
        self.assertEqual(status, 429)
        self.assertIn(int(headers["Retry-After"]), range(1, 22))
        self.assertEqual(len(self.events), 3)

    def test_who_never_ends_does_not_keep_others_out(self):
        self.start()
        silent = []
        self.addCleanup(lambda: [connection.close() for connection in silent])
        for _ in range(40):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(60)
            connection.connect(self.path)
            connection.sendall(b"POST /events HTTP/1.1\r\nX: ")
            silent.append(connection)
        begun = time.monotonic()
        self.assert_alive()
        self.assertLess(time.monotonic() - begun, 45)
        # And those were ended.
        self.assertRegex(silent[0].recv(1000), b"^(HTTP/1.1 408|$)")

    def test_who_says_a_byte_now_and_then_is_ended(self):
        self.start()
        ended = []

        def drip():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self.path)
                connection.sendall(b"POST /events HTTP/1.1\r\nX: ")
                connection.settimeout(2)
                begun = time.monotonic()
                while time.monotonic() - begun < 100:
                    try:
                        connection.sendall(b"a")
                        if not connection.recv(1):
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                ended.append(time.monotonic() - begun)

        self.later(drip)
        plugin_bus.iterate_until(lambda: ended, 120)
        self.assertLess(ended[0], 60)
        self.assertGreater(ended[0], 20)

    def test_many_at_once(self):
        self.start(max_per_minute=1000, max_per_minute_total=1000)
        results = [self.later(self.ask, "POST", "/events", json.dumps({"id": f"n-{n}", "type": "custom.test"})) for n in range(60)]
        self.assertEqual({self.result(one)[0] for one in results}, {202})
        self.assertEqual({event["id"] for event in self.events}, {f"n-{n}" for n in range(60)})
        self.assertEqual(len(self.events), 60)

    def test_who_hangs_up_while_it_waits(self):
        self.keeping = False
        self.start()
        body = json.dumps({"id": "lost", "type": "custom.test"})
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            connection.sendall(f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            plugin_bus.iterate_until(lambda: self.events)
        self.say_received(self.events[0])
        self.assertEqual(self.post(body)[:2], (202, {"id": "lost"}))
        self.assertEqual(len(self.events), 1)

    def test_leaving_answers_who_waits(self):
        self.keeping = False
        self.start()
        answer = self.later(self.ask, "POST", "/events", EVENT)
        plugin_bus.iterate_until(lambda: self.events)
        self.running.process.terminate()
        self.assertEqual(self.result(answer)[0], 503)
        self.assertEqual(self.running.process.wait(30), 0)

    def test_another_instance_takes_over_without_a_gap(self):
        first = self.start(token=TOKEN)
        second = plugin_bus.Plugin(self.bus, PROGRAM, "event-endpoint", environment={"RUNTIME_DIRECTORY": self.directory, "SNOOZE_SLOT": "b"}, wait=False)
        self.addCleanup(lambda: second.process.poll() is None and second.stop())
        inode = os.stat(self.path).st_ino
        slot = []
        Gio.bus_watch_name_on_connection(self.connection, "io.cloudsnooze.Plugin1.event-endpoint.b", Gio.BusNameWatcherFlags.NONE,
                                         lambda c, name, owner: slot.append(owner), None)
        plugin_bus.iterate_until(lambda: slot)
        second.owner = slot[0]
        second.greet({"token": s("another-token-that-is-long")})
        second.call(".EventSource", "Watch")
        self.assertNotEqual(os.stat(self.path).st_ino, inode)
        first.stop()
        self.assertEqual(self.post(headers=bearer("another-token-that-is-long"))[0], 202)

    def test_a_changed_configuration(self):
        self.start()
        self.assert_alive()
        self.running.call("", "Configure", "(a{sv})", {"token": s(TOKEN)})
        self.assertEqual(self.post()[0], 401)
        self.assertEqual(self.post(headers=bearer())[0], 202)
        # A wrong one changes nothing.
        self.assert_error("InvalidArgument", self.running.call, "", "Configure", "(a{sv})", {"listen": s("127.0.0.1:1234")})
        self.assertEqual(self.post(headers=bearer())[0], 202)

    def test_wrong_configuration_is_refused(self):
        plugin = self.plugin(PROGRAM, "event-endpoint", environment={"RUNTIME_DIRECTORY": self.directory})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for wrong, why in (({"listen": "0.0.0.0:80"}, "listen: expected unix"), ({"listen": "localhost:80"}, "listen: expected unix"),
                           ({"listen": "127.0.0.1:0"}, "listen: expected unix"), ({"listen": "127.0.0.1:65536"}, "listen: expected unix"),
                           ({"listen": "[::]:80"}, "listen: expected unix"), ({"listen": "/run/x"}, "listen: expected unix"),
                           ({"listen": "127.0.0.1:4567"}, "listen: everybody on this machine reaches a port: set token or secret"),
                           ({"token": "pa55word"}, "token: expected 16"), ({"token": "pa55word with blanks in it"}, "token: expected 16"),
                           ({"secret": "pa55word"}, "secret: expected at least 16"), ({"secret": "whsec_pa55word???"}, "secret: expected base64")):
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument: " + why) as context:
                plugin.call("", "Initialize", "(a{sv})", {name: s(value) for name, value in wrong.items()})
            self.assertNotIn("pa55word", str(context.exception))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with self.assertRaisesRegex(GLib.Error, "Cannot listen on 127.0.0.1:.*: Address already in use"):
                plugin.call("", "Initialize", "(a{sv})", {"listen": s("127.0.0.1:%d" % taken.getsockname()[1]), "token": s(TOKEN)})
        plugin.call("", "Initialize", "(a{sv})", {})

    def test_secrets_stay_where_they_are(self):
        self.start(token="pa55word-pa55word", secret="pa55word-pa55word")
        answers = [self.post(headers=headers)[1] for headers in ({}, bearer("pa55word-pa55wore"), signed(EVENT, key="x" * 16))]
        self.assertEqual(self.post(headers=bearer("pa55word-pa55word"))[0], 202)
        _, text = self.running.stop()
        self.assertNotIn("pa55word", json.dumps(answers) + text + json.dumps(self.events))


plugin_bus.main()
