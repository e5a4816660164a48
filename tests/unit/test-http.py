#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""src/http against servers on loopback that are slow, broken, full or rude. Arguments: the program that sends, the folder of
Amazon's published vectors for Signature Version 4."""

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
import unittest

import tap

PROGRAM, VECTORS = sys.argv[1:3]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def serve(self):
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length).decode()
        self.server.requests.append(self)
        self.server.connections.add(self.client_address)
        self.server.answer(self, len(self.server.requests))

    do_GET = do_POST = do_PUT = serve

    def reply(self, status=200, body="", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body.encode())


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # who finds no room tries again after a second, and after three

    def __init__(self, answer, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        self.answer = answer
        self.requests, self.connections = [], set()
        self.leave = threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://localhost:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    def handle_error(self, *_):
        pass

    def stop(self):
        self.leave.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


class Http(unittest.TestCase):
    def server(self, answer, tls=None):
        server = Server(answer, tls)
        self.addCleanup(server.stop)
        return server

    def send(self, *arguments, environment=None, timeout=60):
        result = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                                env=environment or {"PATH": os.environ["PATH"]}, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def one(self, *arguments, **keywords):
        replies = self.send(*arguments, **keywords)
        self.assertEqual(len(replies), 1)
        return replies[0]

    def test_status_body_and_headers_come_back(self):
        server = self.server(lambda request, n: request.reply(404, "no such thing", X_Reason="because"))
        reply = self.one("--show", "x-reason", server.url + "/a?b=c")
        self.assertEqual((reply["problem"], reply["status"], reply["body"], reply["header"]),
                         ("answered", 404, "no such thing", "because"))
        self.assertEqual(server.requests[0].path, "/a?b=c")

    def test_method_headers_and_body_arrive(self):
        server = self.server(lambda request, n: request.reply())
        self.one("--method", "PUT", "--header", "Metadata: true", "--body", "", server.url)
        self.one("--body", "a=1", server.url)
        put, post = server.requests
        self.assertEqual((put.command, put.headers["Metadata"], put.headers["Content-Length"]), ("PUT", "true", "0"))
        self.assertEqual((post.command, post.body, post.headers["Expect"]), ("POST", "a=1", None))

    def test_a_connection_is_used_again(self):
        server = self.server(lambda request, n: request.reply(200, "x"))
        self.assertEqual(len(self.send("--times", "20", server.url)), 20)
        self.assertEqual(len(server.connections), 1)

    def test_many_at_once_each_get_their_answer(self):
        server = self.server(lambda request, n: request.reply(200, request.path))
        urls = [f"{server.url}/{i}" for i in range(40)]
        bodies = sorted(reply["body"] for reply in self.send("--at-once", *urls))
        self.assertEqual(bodies, sorted(f"/{i}" for i in range(40)))

    def test_there_is_a_ceiling(self):
        server = self.server(lambda request, n: request.reply(200))
        replies = self.send("--at-once", "--times", "70", server.url)
        self.assertEqual(sum("refused" in reply for reply in replies), 6)

    def test_who_is_told_may_send_the_next_one(self):
        server = self.server(lambda request, n: request.reply(200))
        replies = self.send("--refill", "--times", "80", server.url)
        self.assertEqual([reply.get("status") for reply in replies], [200] * 80)

    def test_what_was_not_sent_has_no_headers(self):
        self.assertEqual(self.one("--show", "x", "--header", "none", "http://127.0.0.1:9/"),
                         {"refused": "Invalid argument", "header": None})

    def test_passing_failures_are_tried_again(self):
        for status in (408, 429, 500, 502, 503, 504, 507, 520, 529, 599):
            with self.subTest(status=status):
                server = self.server(lambda request, n: request.reply(status if n == 1 else 200, "now"))
                reply = self.one("--attempts", "3", server.url)
                self.assertEqual((reply["status"], reply["attempts"], reply["body"]), (200, 2, "now"))

    def test_a_refusal_is_not(self):
        for status in (400, 401, 403, 404, 409, 501, 505):
            with self.subTest(status=status):
                server = self.server(lambda request, n: request.reply(status))
                reply = self.one("--attempts", "3", server.url)
                self.assertEqual((reply["status"], reply["attempts"], len(server.requests)), (status, 1, 1))

    def test_without_leave_nothing_is_repeated(self):
        server = self.server(lambda request, n: request.reply(503))
        self.assertEqual(self.one(server.url)["attempts"], 1)
        self.assertEqual(len(server.requests), 1)

    def test_no_message_tells_a_password(self):
        for proxy in ("http://me:pa55word@[proxy", "http://me:pa55word@proxy:port", "gopher://me:pa55word@127.0.0.1:1", "http://me:pa55word"):
            with self.subTest(proxy=proxy):
                reply = self.one("--proxy", proxy, "http://127.0.0.1:9/")
                self.assertNotEqual((reply["problem"], reply["message"]), ("answered", ""))
                self.assertNotIn("pa55word", reply["message"])
        for url in ("http://me:pa55word@[x/", "http://me:pa55word@127.0.0.1:9/"):
            self.assertNotIn("pa55word", self.one(url)["message"])

    def test_the_pause_that_a_server_names_is_kept(self):
        times = []

        def answer(request, n):
            times.append(time.monotonic())
            request.reply(429 if n == 1 else 200, Retry_After="2")

        server = self.server(answer)
        self.assertEqual(self.one("--attempts", "2", server.url)["status"], 200)
        self.assertGreaterEqual(times[1] - times[0], 2)

    def pause_with(self, haste, named="1"):
        """Between two attempts, where the server named a second, or so many."""
        times = []

        def answer(request, n):
            times.append(time.monotonic())
            request.reply(429 if n == 1 else 200, Retry_After=named)

        environment = {"PATH": os.environ["PATH"], "SNOOZE_HASTE": haste}
        self.assertEqual(self.send("--attempts", "2", self.server(answer).url, environment=environment)[0]["attempts"], 2)
        return times[1] - times[0]

    def test_one_without_end_is_bounded_not_ignored(self):
        for named in ("30", "31", "3600", "99999999999"):
            with self.subTest(named=named):
                self.assertGreaterEqual(self.pause_with("60", named), 0.5)

    def test_tests_may_be_in_haste(self):
        self.assertGreaterEqual(self.pause_with("4"), 0.25)
        # Of 30 s.
        self.assertLess(self.pause_with("100", "30"), 10)
        for nonsense in ("0", "-1", "x"):
            with self.subTest(nonsense=nonsense):
                self.assertGreaterEqual(self.pause_with(nonsense), 1)

    def test_patience_ends_before_the_attempts_do(self):
        server = self.server(lambda request, n: request.reply(503))
        reply = self.one("--attempts", "50", "--patience", "1500", server.url)
        self.assertEqual(reply["status"], 503)
        self.assertLess(reply["attempts"], 6)

    def test_no_attempt_goes_on_beyond_patience(self):
        server = self.server(lambda request, n: request.server.leave.wait(30))
        began = time.monotonic()
        reply = self.one("--timeout", "25000", "--patience", "300", server.url)
        self.assertEqual((reply["problem"], reply["attempts"]), ("timed-out", 1))
        self.assertLess(time.monotonic() - began, 20)

    def test_a_slow_server_is_timed_out(self):
        server = self.server(lambda request, n: request.server.leave.wait(30))
        reply = self.one("--timeout", "300", server.url)
        self.assertEqual((reply["problem"], reply["status"]), ("timed-out", 0))

    def test_a_server_that_stops_in_the_middle(self):
        def answer(request, n):
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            request.close_connection = True

        reply = self.one(self.server(answer).url)
        self.assertEqual(reply["problem"], "unreachable")

    def test_rubbish_is_no_answer(self):
        def answer(request, n):
            request.wfile.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
            request.close_connection = True

        self.assertNotEqual(self.one(self.server(answer).url)["problem"], "answered")

    def test_nobody_there(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            reply = self.one(f"http://127.0.0.1:{unused.getsockname()[1]}/")
        self.assertEqual(reply["problem"], "unreachable")

    def test_a_reply_beyond_its_bound_is_cut(self):
        server = self.server(lambda request, n: request.reply(200, "x" * 5000))
        self.assertEqual(self.one("--maximum", "5000", server.url)["size"], 5000)
        self.assertEqual(self.one("--maximum", "4999", server.url)["problem"], "too-large")

    def test_no_redirect_is_followed(self):
        other = self.server(lambda request, n: request.reply(200))
        server = self.server(lambda request, n: request.reply(302, Location=other.url))
        self.assertEqual(self.one("--header", "Authorization: secret", server.url)["status"], 302)
        self.assertEqual(other.requests, [])

    def test_what_cannot_be_a_request_is_refused(self):
        for arguments in (("file:///etc/passwd",), ("gopher://localhost/",), ("localhost",), ("http://a\r\nX: y/",),
                          ("--header", "X: a\r\nY: b", "http://localhost/"), ("--header", "nothing", "http://localhost/")):
            with self.subTest(arguments=arguments):
                self.assertIn("refused", self.one(*arguments))
        self.assertEqual(self.one("http://user:word@localhost:1/")["problem"], "unreachable")

    def test_proxies_are_honoured_but_where_the_way_is_direct(self):
        proxy = self.server(lambda request, n: request.reply(200, "from the proxy"))
        server = self.server(lambda request, n: request.reply(200, "from the server"))
        environment = {"PATH": os.environ["PATH"], "http_proxy": proxy.url}
        self.assertEqual(self.one(server.url, environment=environment)["body"], "from the proxy")
        self.assertEqual(self.one("--direct", server.url, environment=environment)["body"], "from the server")
        self.assertEqual(self.one("--proxy", proxy.url, server.url)["body"], "from the proxy")
        self.assertTrue(proxy.requests[0].path.startswith("http://"))

    def certificate(self, name):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        key, certificate = (os.path.join(directory.name, file) for file in ("key.pem", "certificate.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context, certificate

    def test_certificates_are_verified(self):
        context, certificate = self.certificate("localhost")
        server = self.server(lambda request, n: request.reply(200, "secret"), context)
        self.assertEqual(self.one(server.url)["problem"], "untrusted")
        self.assertEqual(self.one("--ca-file", certificate, server.url)["body"], "secret")
        self.assertEqual(len(server.requests), 1)

    def test_and_so_are_their_names(self):
        context, certificate = self.certificate("elsewhere.example")
        server = self.server(lambda request, n: request.reply(200, "secret"), context)
        self.assertEqual(self.one("--ca-file", certificate, server.url)["problem"], "untrusted")
        self.assertEqual(server.requests, [])

    def test_signed_anew_for_each_attempt_and_never_shown(self):
        server = self.server(lambda request, n: request.reply(503 if n == 1 else 200))
        replies = self.send("--attempts", "2", "--signature", "aws:amz:eu-west-1:ec2", "--credentials", "AKID:very-secret",
                            "--body", "Action=x", server.url)
        self.assertNotIn("very-secret", json.dumps(replies))
        for request in server.requests:
            self.assertRegex(request.headers["Authorization"], r"^AWS4-HMAC-SHA256 Credential=AKID/\d{8}/eu-west-1/ec2/aws4_request")
            self.assertNotIn("very-secret", str(request.headers))

    def test_signatures_are_those_of_the_published_vectors(self):
        """All that have no query, as no request of ours has one."""
        server = self.server(lambda request, n: request.reply(200))
        names = ("post-vanilla", "post-header-key-sort", "post-x-www-form-urlencoded", "post-x-www-form-urlencoded-parameters",
                 "post-sts-token/post-sts-header-before")
        for name in names:
            with self.subTest(vector=name), open(os.path.join(VECTORS, name, os.path.basename(name) + ".req")) as file:
                head, _, body = file.read().partition("\n\n")
                with open(os.path.join(VECTORS, name, os.path.basename(name) + ".authz")) as expected:
                    authorization = expected.read().strip()
                headers = [line.replace(":", ": ", 1) for line in head.splitlines()[1:] if not line.startswith("Host")]
                # The host of the vectors, by way of a proxy on loopback.
                self.one("--proxy", server.url, "--method", "POST", *(["--body", body] if body else []),
                         *[f"--header={header}" for header in headers],
                         "--signature", "aws:amz:us-east-1:service", "--credentials", "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                         "http://example.amazonaws.com/")
                self.assertEqual(server.requests[-1].headers["Authorization"], authorization)

    def test_cancelled_nobody_is_told(self):
        server = self.server(lambda request, n: request.server.leave.wait(30))
        self.assertEqual(self.send("--cancel", "200", server.url), [])

    def test_cancelled_in_a_pause(self):
        server = self.server(lambda request, n: request.reply(503, Retry_After="20"))
        self.assertEqual(self.send("--attempts", "5", "--cancel", "500", server.url), [])

    def test_the_client_may_go_at_an_answer(self):
        server = self.server(lambda request, n: request.reply(200))
        self.assertEqual(len(self.send("--at-once", "--times", "10", "--free-client", server.url)), 1)


tap.main(names=())
