# SPDX-License-Identifier: Apache-2.0
"""Plugin webhook on a private bus, with servers that take events and servers that do not. Arguments: the program, the source tree."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import types

from gi.repository import GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
KEY = "0123456789abcdef-the-key"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # A handler serves all requests of a connection.
        self.server.requests.append(types.SimpleNamespace(path=self.path, headers=self.headers, body=body))
        answer = self.server.answers[min(len(self.server.requests), len(self.server.answers)) - 1]
        if callable(answer):
            answer(self)
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    """Answers with each of answers in turn, then with the last of them: a status, (status, headers) or a function."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *answers, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests, self.leave = answers, [], threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://localhost:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def handle_error(self, *_):
        pass

    def stop(self):
        self.leave.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


def hang(request):
    request.server.leave.wait(60)


def event(identifier="n-1", type_="cloud.spot.interrupt", left=100, data=None, severity=3, **more):
    deadline = int((time.time() + left) * 1e6)
    return {"id": s(identifier), "type": s(type_), "source": s("aws"), "severity": GLib.Variant("u", severity),
            "timestamp": GLib.Variant("t", 1_700_000_000_000_000), "deadline": GLib.Variant("t", deadline),
            "data": GLib.Variant("a{sv}", data or {}), **more}


def variant(value):
    if isinstance(value, str):
        return s(value)
    return GLib.Variant("as" if isinstance(value, list) else "x", value)


class Webhook(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        # The loop looks at what a server has got, which no signal announces.
        source = GLib.timeout_add(20, lambda: GLib.SOURCE_CONTINUE)
        self.addCleanup(GLib.source_remove, source)

    def server(self, *answers, **keywords):
        server = Server(*(answers or (200,)), **keywords)
        self.addCleanup(server.stop)
        return server

    def start(self, *urls, environment=None, **settings):
        self.running = self.plugin(PROGRAM, "webhook", environment=environment)
        return self.running.greet({"urls": variant(list(urls)), **{name: variant(value) for name, value in settings.items()}})

    def send(self, plugin, fields):
        return plugin.call_later(".EventHandler", "HandleEvent", "(a{sv})", fields)

    def answer(self, answers):
        plugin_bus.iterate_until(lambda: answers, 60)
        if isinstance(answers[0], GLib.Error):
            raise answers[0]
        return answers[0]

    def tell(self, plugin, fields):
        return self.answer(self.send(plugin, fields))

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/webhook/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual(described["events"], list(manifest["events"]))
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))

    def test_the_whole_event_is_posted(self):
        server = self.server(204)
        fields = event(data={"action": s("terminate"), "n": GLib.Variant("u", 7), "list": GLib.Variant("as", ["a", "b"])})
        handled, result = self.tell(self.start(server.url + "/hook?a=b"), fields)
        self.assertEqual((handled, result), (True, {"urls": [{"url": server.url, "status": 204, "attempts": 1}], "delivered": 1, "success": True}))
        request, = server.requests
        body = json.loads(request.body)
        self.assertEqual(body.pop("host"), socket.gethostname())
        self.assertEqual(body, {"id": "n-1", "type": "cloud.spot.interrupt", "source": "aws", "severity": 3, "timestamp": 1_700_000_000_000_000,
                                "deadline": fields["deadline"].unpack(), "cancelled": False, "moved": False,
                                "data": {"action": "terminate", "n": 7, "list": ["a", "b"]}})
        self.assertEqual((request.path, request.headers["Content-Type"]), ("/hook?a=b", "application/json"))
        self.assertEqual(request.headers["Idempotency-Key"], "aws:n-1")

    def test_a_template(self):
        server = self.server()
        template = {"text": "${type} of ${source}: ${data.action} (${time})", "raw": "${data}", "n": 1}
        plugin = self.start(server.url, template=json.dumps(template), headers=["X-Team: ops", "content-type: application/x-own"])
        self.assertTrue(self.tell(plugin, event(data={"action": s('say "no"\n}, {')}))[0])
        request, = server.requests
        self.assertEqual(json.loads(request.body), {"text": 'cloud.spot.interrupt of aws: say "no"\n}, { (2023-11-14T22:13:20Z)',
                                                    "raw": {"action": 'say "no"\n}, {'}, "n": 1})
        self.assertEqual((request.headers["X-Team"], request.headers.get_all("Content-Type")), ("ops", ["application/x-own"]))

    def assert_signed(self, request, key):
        identifier, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        text = f"{identifier}.{timestamp}.".encode() + request.body
        self.assertEqual(request.headers["webhook-signature"], "v1," + base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode())
        self.assertLess(abs(int(timestamp) - time.time()), 60)

    def test_the_signature(self):
        server = self.server()
        self.assertTrue(self.tell(self.start(server.url, secret=KEY), event("an id:\n1"))[0])
        self.assert_signed(server.requests[0], KEY.encode())
        self.assertEqual(server.requests[0].headers["webhook-id"], "aws:an%20id%3A%0A1")
        self.running.stop()
        self.assertTrue(self.tell(self.start(server.url, secret="whsec_" + base64.b64encode(b"k" * 24).decode()), event())[0])
        self.assert_signed(server.requests[1], b"k" * 24)

    def test_a_credential_of_systemd_goes_before_the_configuration(self):
        server = self.server()
        with open(os.path.join(self.directory, "webhook.secret"), "w") as f:
            f.write("another-key-that-is-long\n")
        plugin = self.start(server.url, secret=KEY, environment={"CREDENTIALS_DIRECTORY": self.directory})
        self.assertTrue(self.tell(plugin, event())[0])
        self.assert_signed(server.requests[0], b"another-key-that-is-long")

    def test_without_a_key_nothing_is_signed(self):
        server = self.server()
        self.assertTrue(self.tell(self.start(server.url), event())[0])
        self.assertNotIn("webhook-signature", server.requests[0].headers)

    def test_tried_again_with_the_same_key_and_body(self):
        server = self.server(503, lambda request: request.connection.close(), (429, {"Retry-After": "1"}), 200)
        handled, result = self.tell(self.start(server.url, secret=KEY), event())
        self.assertEqual((handled, result["urls"][0]["attempts"], result["urls"][0]["status"]), (True, 4, 200))
        for name in ("Idempotency-Key", "webhook-id", "webhook-timestamp", "webhook-signature"):
            self.assertEqual(len({request.headers[name] for request in server.requests}), 1, name)
        self.assertEqual(len({request.body for request in server.requests}), 1)

    def test_a_refusal_is_not_tried_again(self):
        for status, text in ((400, "status 400"), (410, "status 410"), (301, "status 301: redirects are not followed")):
            other = self.server()
            server = self.server((status, {"Location": other.url + "/elsewhere"}))
            handled, result = self.tell(self.start(server.url), event())
            self.assertEqual((handled, result["urls"][0]["error"], len(server.requests)), (False, text, 1))
            self.assertEqual(other.requests, [])
            self.running.stop()

    def test_handled_means_that_every_url_took_it(self):
        good, bad = self.server(), self.server(403)
        handled, result = self.tell(self.start(good.url + "/a", bad.url + "/b"), event())
        self.assertEqual((handled, result["success"], result["delivered"]), (False, False, 1))
        self.assertEqual([(row["url"], row["status"]) for row in result["urls"]], [(good.url, 200), (bad.url, 403)])

    def test_never_beyond_the_deadline(self):
        for server in (self.server(503), self.server(hang)):
            plugin = self.start(server.url)
            began = time.monotonic()
            handled, result = self.tell(plugin, event(left=1.5))
            self.assertFalse(handled)
            # The first pause alone could lead beyond it, ten seconds of patience with each attempt surely would.
            self.assertLess(time.monotonic() - began, 8)
            self.running.stop()

    def test_timeout_seconds(self):
        plugin = self.start(self.server(hang).url, timeout_seconds=1)
        began = time.monotonic()
        handled, _ = self.tell(plugin, event(left=1000))
        self.assertFalse(handled)
        self.assertLess(time.monotonic() - began, 8)

    def test_no_time_left(self):
        server = self.server()
        plugin = self.start(server.url)
        for left in (100, 0):
            fields = event(left=left, budget=GLib.Variant("t", 0))
            self.assertEqual(self.tell(plugin, fields), (False, {"status": "there is no time left"}))
        self.assertEqual(server.requests, [])

    def test_a_deadline_that_has_passed(self):
        """What has begun already is news all the same, but nobody waits long for it."""
        server = self.server()
        plugin = self.start(server.url)
        for left in (0, -100):
            self.assertTrue(self.tell(plugin, event(left=left))[0])
        self.assertEqual(len(server.requests), 2)
        plugin.stop()
        plugin = self.start(self.server(hang).url)
        began = time.monotonic()
        self.assertFalse(self.tell(plugin, event(left=-100))[0])
        self.assertLess(time.monotonic() - began, 8)

    def test_minimum_severity(self):
        server = self.server()
        plugin = self.start(server.url, minimum_severity=2)
        self.assertEqual(self.tell(plugin, event(severity=1)), (False, {"status": "below minimum_severity"}))
        self.assertTrue(self.tell(plugin, event(severity=2))[0])
        self.assertEqual(len(server.requests), 1)

    def test_called_off(self):
        server = self.server()
        plugin = self.start(server.url)
        self.assertTrue(self.tell(plugin, event())[0])
        self.assertTrue(self.tell(plugin, event(cancelled=GLib.Variant("b", True)))[0])
        self.assertEqual([json.loads(request.body)["cancelled"] for request in server.requests], [False, True])
        self.assertEqual([request.headers["Idempotency-Key"] for request in server.requests], ["aws:n-1", "aws:n-1:cancelled"])

    def test_moved(self):
        server = self.server()
        plugin = self.start(server.url)
        moved = event(left=3600, moved=GLib.Variant("b", True))
        self.assertTrue(self.tell(plugin, event())[0])
        self.assertTrue(self.tell(plugin, moved)[0])
        deadline = moved["deadline"].unpack()
        self.assertEqual([json.loads(request.body)["moved"] for request in server.requests], [False, True])
        self.assertEqual(json.loads(server.requests[1].body)["deadline"], deadline)
        self.assertEqual([request.headers["Idempotency-Key"] for request in server.requests], ["aws:n-1", f"aws:n-1:moved:{deadline}"])

    def test_called_off_after_its_deadline(self):
        server = self.server()
        plugin = self.start(server.url)
        self.assertTrue(self.tell(plugin, event(left=-10, cancelled=GLib.Variant("b", True)))[0])
        self.assertTrue(json.loads(server.requests[0].body)["cancelled"])

    def test_its_share_of_the_time_bounds_it(self):
        begun = time.monotonic()
        handled, _ = self.tell(self.start(self.server(hang).url), event(budget=GLib.Variant("t", 1_000_000)))
        self.assertFalse(handled)
        # Less than an attempt may take.
        self.assertLess(time.monotonic() - begun, 9)

    def gate(self):
        """A server that answers when the event is set."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def wait(request):
            gate.wait(60)
            request.send_response(200)
            request.send_header("Content-Length", "0")
            request.end_headers()

        return gate, self.server(wait)

    def told(self, server):
        """What each URL has heard of, be it once or, where this machine is slow, in a second attempt."""
        return {(request.path, json.loads(request.body)["id"]) for request in server.requests}

    def test_more_than_can_be_posted_at_once_wait_for_their_turn(self):
        gate, slow = self.gate()
        quick = self.server()
        # Each URL has a quarter of the 64 posts that are made at once.
        plugin = self.start(slow.url + "/a", slow.url + "/b", slow.url + "/c", quick.url)
        answers = [self.send(plugin, event(f"n-{number}")) for number in range(60)]
        plugin_bus.iterate_until(lambda: len(quick.requests) == 60, 60)
        self.assertLessEqual(len(self.told(slow)), 48)
        self.assertEqual([answer for answer in answers if answer], [])
        gate.set()
        for number, answer in enumerate(answers):
            handled, result = self.answer(answer)
            self.assertTrue(handled, result)
            self.assertEqual(result["delivered"], 4)
        self.assertEqual(self.told(slow), {(path, f"n-{number}") for path in ("/a", "/b", "/c") for number in range(60)})
        # A signature is of the moment of the first attempt, and the key of the event stays the same.
        self.assertEqual({request.headers["webhook-id"] for request in slow.requests}, {f"aws:n-{number}" for number in range(60)})

    def test_small_things_that_hang_leave_room_for_the_end_of_the_machine(self):
        gate, slow = self.gate()
        plugin = self.start(slow.url + "/a", slow.url + "/b", slow.url + "/c")
        # All of the room, if they got it: each URL has 21 posts at once.
        small = [self.send(plugin, event(f"n-{number}", "custom.x", severity=1)) for number in range(24)]
        plugin_bus.iterate_until(lambda: len(self.told(slow)) == 30, 60)
        urgent = self.send(plugin, event("spot"))
        plugin_bus.iterate_until(lambda: {(path, "spot") for path in ("/a", "/b", "/c")} <= self.told(slow), 60)
        self.assertEqual(len(self.told(slow)), 33)
        gate.set()
        for answer in (urgent, *small):
            self.assertTrue(self.answer(answer)[0])

    def turnstile(self):
        """A server that answers as often as it is let."""
        turns = threading.Semaphore(0)
        self.addCleanup(turns.release, 1000)

        def wait(request):
            turns.acquire(timeout=60)
            request.send_response(200)
            request.send_header("Content-Length", "0")
            request.end_headers()

        return turns, self.server(wait)

    def test_an_answer_gives_its_place_to_what_waits(self):
        turns, slow = self.turnstile()
        plugin = self.start(slow.url + "/a", slow.url + "/b")
        answers = [self.send(plugin, event(f"n-{number}")) for number in range(33)]
        plugin_bus.iterate_until(lambda: len(self.told(slow)) == 64, 60)
        turns.release()
        # Before anybody gets another answer.
        plugin_bus.iterate_until(lambda: len(self.told(slow)) == 65, 20)
        turns.release(1000)
        for answer in answers:
            self.assertTrue(self.answer(answer)[0])

    def test_what_waits_is_sent_as_it_was_configured(self):
        turns, first = self.turnstile()
        second = self.server()
        plugin = self.start(first.url + "/a", first.url + "/b", secret=KEY, headers=["Authorization: Bearer first"])
        answers = [self.send(plugin, event(f"n-{number}")) for number in range(40)]
        plugin_bus.iterate_until(lambda: len(self.told(first)) == 64, 60)
        plugin.call("", "Configure", "(a{sv})", {
            "urls": variant([second.url]), "secret": variant("the-key-of-the-second"),
            "headers": variant(["Authorization: Bearer second"])})
        turns.release(1000)
        for answer in answers:
            self.assertTrue(self.answer(answer)[0])
        self.assertTrue(self.tell(plugin, event("later"))[0])
        self.assertEqual(self.told(first), {(path, f"n-{number}") for path in ("/a", "/b") for number in range(40)})
        self.assertEqual({request.headers["Authorization"] for request in first.requests}, {"Bearer first"})
        for request in first.requests:
            self.assert_signed(request, KEY.encode())
        self.assertEqual([request.headers["Authorization"] for request in second.requests], ["Bearer second"])
        self.assert_signed(second.requests[0], b"the-key-of-the-second")

    def test_each_url_has_its_part_whatever_is_configured_meanwhile(self):
        gate, slow = self.gate()
        quick = self.server()
        plugin = self.start(slow.url, quick.url)
        # Half of a half is for what is not urgent.
        small = [self.send(plugin, event(f"n-{number}", "custom.x", severity=1)) for number in range(16)]
        plugin_bus.iterate_until(lambda: len(self.told(slow)) == 16 and len(self.told(quick)) == 16, 60)
        plugin.call("", "Configure", "(a{sv})", {"urls": variant([quick.url, slow.url])})
        more = [self.send(plugin, event(f"more-{number}", "custom.x", severity=1)) for number in range(8)]
        plugin_bus.iterate_until(lambda: len(self.told(quick)) == 24, 60)
        self.assertEqual(len(self.told(slow)), 16)
        gate.set()
        for answer in (*small, *more):
            self.assertTrue(self.answer(answer)[0])

    def test_what_found_no_turn_says_so(self):
        gate, slow = self.gate()
        plugin = self.start(*[f"{slow.url}/{number}" for number in range(8)])
        under_way = [self.send(plugin, event(f"n-{number}")) for number in range(8)]
        late = [self.send(plugin, event(f"late-{number}", budget=GLib.Variant("t", 1_000_000))) for number in range(3)]
        for answer in late:
            handled, result = self.answer(answer)
            self.assertEqual((handled, result["delivered"]), (False, 0))
            self.assertEqual([(url["attempts"], url["error"]) for url in result["urls"]],
                             [(0, "there was no turn for it: 64 posts are under way")] * 8)
        gate.set()
        for answer in under_way:
            self.assertTrue(self.answer(answer)[0])
        self.assertEqual(self.told(slow), {(f"/{path}", f"n-{number}") for path in range(8) for number in range(8)})

    def test_what_waits_for_its_turn_can_be_called_off(self):
        gate, slow = self.gate()
        plugin = self.start(*[f"{slow.url}/{number}" for number in range(8)])
        under_way = [self.send(plugin, event(f"n-{number}")) for number in range(8)]
        waiting = self.send(plugin, event("waits"))
        plugin_bus.iterate_until(lambda: len(self.told(slow)) == 64, 60)
        cancelled = self.send(plugin, event("waits", cancelled=GLib.Variant("b", True)))
        _, result = self.answer(waiting)
        self.assertEqual({url["error"] for url in result["urls"]}, {"it was called off"})
        self.assertEqual({url["attempts"] for url in result["urls"]}, {0})
        gate.set()
        for answer in (cancelled, *under_way):
            self.assertTrue(self.answer(answer)[0])
        self.assertEqual({json.loads(request.body)["cancelled"] for request in slow.requests if b'"waits"' in request.body}, {True})

    def test_called_off_while_it_is_tried(self):
        server = self.server(503, 503, 503, 503, hang)
        plugin = self.start(server.url)
        first = self.send(plugin, event())
        other = self.send(plugin, event("n-2"))
        plugin_bus.iterate_until(lambda: len(server.requests) >= 2)
        server.answers = (200,)
        self.assertTrue(self.tell(plugin, event(cancelled=GLib.Variant("b", True)))[0])
        self.assertTrue(self.answer(other)[0])
        handled, result = self.answer(first)
        # It may have been taken just before.
        if not handled:
            self.assertEqual(result["urls"][0]["error"], "it was called off")

    def test_certificates_are_verified(self):
        key, certificate = os.path.join(self.directory, "key.pem"), os.path.join(self.directory, "certificate.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = self.server(200, tls=context)
        handled, result = self.tell(self.start(server.url), event())
        self.assertEqual((handled, result["urls"][0]["status"], server.requests), (False, 0, []))
        self.running.stop()
        self.assertTrue(self.tell(self.start(server.url, ca_file=certificate), event())[0])
        # The name is looked at, too.
        self.running.stop()
        self.assertFalse(self.tell(self.start(f"https://127.0.0.1:{server.server_port}/", ca_file=certificate), event())[0])
        self.assertEqual(len(server.requests), 1)

    def test_a_proxy_is_used_for_other_machines_alone(self):
        asked = []

        class Proxy(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_CONNECT(self):
                asked.append(self.path)
                self.send_error(502)

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        self.addCleanup(lambda: (proxy.shutdown(), proxy.server_close(), thread.join()))
        server = self.server()
        plugin = self.start("https://hooks.example.invalid/x", server.url, proxy=f"http://127.0.0.1:{proxy.server_port}", timeout_seconds=3)
        _, result = self.tell(plugin, event())
        self.assertEqual([row["status"] for row in result["urls"]], [0, 200])
        self.assertEqual(set(asked), {"hooks.example.invalid:443"})

    def test_secrets_stay_where_they_are(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            plugin = self.start(f"http://127.0.0.1:{nobody.getsockname()[1]}/pa55word?token=pa55word", self.server(500).url + "/pa55word",
                                self.server(lambda r: r.wfile.write(b"pa55word\r\n\r\n")).url,
                                headers=["Authorization: Bearer pa55word"], secret="pa55word-pa55word", timeout_seconds=1)
            _, result = self.tell(plugin, event())
        _, text = plugin.stop()
        self.assertEqual(len(result["urls"]), 3)
        self.assertNotIn("pa55word", json.dumps(result))
        self.assertIn("did not take an event", text)
        self.assertNotIn("pa55word", text)

    def test_wrong_configuration_is_refused(self):
        plugin = self.plugin(PROGRAM, "webhook")
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        good = {"urls": ["http://localhost/pa55word"]}
        for wrong, why in (({"urls": []}, "urls: expected 1 to 8"), ({"urls": ["http://localhost/"] * 9}, "urls: expected 1 to 8"),
                           ({"urls": ["http://localhost/", "http://example.org/pa55word"]}, "urls, number 2: expected https://"),
                           ({"urls": ["https://user:pa55word@example.org/"]}, "urls, number 1: expected no user name"),
                           ({"template": "{"}, "template: "), ({"template": '"${kind}"'}, "template: .*kind.*expected id, type"),
                           ({"headers": ["Host: pa55word"]}, "headers, number 1: Host is set by this plugin"),
                           ({"headers": ["X: a\nEvil: pa55word"]}, "headers, number 1: expected one line"),
                           ({"headers": ["X: y"] * 17}, "headers: expected at most 16"),
                           ({"secret": "pa55word"}, "secret: expected at least 16 bytes"), ({"secret": "whsec_???pa55word"}, "secret: expected base64"),
                           ({"proxy": "socks5://pa55word"}, "proxy: expected http://"),
                           ({"proxy": "http://me:pa55word@[proxy"}, "proxy: expected http://"),
                           ({"proxy": "http://me:pa55word@proxy:port"}, "proxy: expected http://"), ({"ca_file": "x.pem"}, "ca_file: expected an absolute path"),
                           ({"ca_file": "/does/not/exist"}, "ca_file: /does/not/exist: No such file")):
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument: " + why) as context:
                plugin.call("", "Initialize", "(a{sv})", {name: variant(value) for name, value in {**good, **wrong}.items()})
            self.assertNotIn("pa55word", str(context.exception))
        self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", {})
        plugin.call("", "Initialize", "(a{sv})", {name: variant(value) for name, value in good.items()})

    def test_hostile_events(self):
        server = self.server()
        plugin = self.start(server.url, template='{"t": "${type}", "d": "${data.x}", "e": "${time}"}')
        garbage = {"type": GLib.Variant("t", 1), "deadline": s("soon"), "timestamp": GLib.Variant("as", ["x"]), "data": s("x"), "id": s("x\r\nEvil: 1")}
        self.assertTrue(self.tell(plugin, garbage)[0])
        self.assertTrue(self.tell(plugin, {"timestamp": GLib.Variant("t", 2**63)})[0])
        self.assertEqual(json.loads(server.requests[0].body), {"t": 1, "d": None, "e": None})
        self.assertNotIn("Evil", server.requests[0].headers)

    def test_leaving_answers(self):
        server = self.server(hang)
        plugin = self.start(server.url)
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: server.requests)
        plugin.process.terminate()
        handled, result = self.answer(answers)
        self.assertEqual((handled, result["urls"][0]["error"]), (False, "the plugin leaves"))
        self.assertEqual(plugin.process.wait(30), 0)


plugin_bus.main()
