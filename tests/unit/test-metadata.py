#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""src/cloud/metadata against services with tokens, with proofs, and with neither. Argument: the program that asks."""

import http.server
import subprocess
import sys
import threading
import unittest

import tap

PROGRAM = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def serve(self):
        server = self.server
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.seen.append((self.command, self.path))
        if self.command == "PUT":
            self.put()
        elif server.tokens and self.headers.get("X-aws-ec2-metadata-token") not in server.tokens:
            self.reply(401)
        elif server.flavor and self.headers.get("Metadata-Flavor") != "Google":
            self.reply(403)
        else:
            self.reply(*server.documents.get(self.path, (404, b"")))

    do_GET = do_PUT = serve

    def put(self):
        server = self.server
        if server.token_status != 200:
            self.reply(server.token_status)
            return
        if not 1 <= int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21600:
            self.reply(400)
            return
        server.made += 1
        token = server.token_text or f"token-{server.made}"
        server.tokens.add(token)
        self.reply(200, token.encode(), {"X-aws-ec2-metadata-token-ttl-seconds": str(server.lifetime)})

    def reply(self, status, body=b"", headers=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in ({"Metadata-Flavor": self.server.flavor} if self.server.flavor else {}).items():
            self.send_header(name, value)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Service(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        self.documents = {"/id": (200, b"i-1"), "/name": (200, "Bär".encode())}
        self.tokens, self.made, self.lifetime, self.token_status, self.token_text = set(), 0, 3600, 200, None
        self.flavor = None
        self.seen = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Metadata(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.stop)

    def ask(self, kind, *paths, meanwhile=lambda: None, url=None):
        process = subprocess.Popen([PROGRAM, kind, url or self.service.url, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lines = []
        for line in process.stdout:
            if line == "waiting\n":
                meanwhile()
                process.stdin.write("\n")
                process.stdin.flush()
            else:
                lines.append(line.rstrip("\n"))
        process.stdin.close()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=60), 0)
        return lines

    def test_one_token_serves_all_questions(self):
        self.assertEqual(sorted(self.ask("tokens", "/id", "/name", "/none", "-", "/id")), ["absent", "found Bär", "found i-1", "found i-1"])
        self.assertEqual([path for method, path in self.service.seen if method == "PUT"], ["/latest/api/token"])

    def test_a_token_that_ended_is_dropped_and_made_anew_once(self):
        self.assertEqual(self.ask("tokens", "/id", "+", "/id", meanwhile=lambda: self.service.tokens.clear() or self.service.tokens.add("x")),
                         ["found i-1", "found i-1"])
        self.assertEqual(self.service.made, 2)

    def test_a_service_that_takes_no_token_is_not_asked_for_ever(self):
        self.service.token_text = "good"
        self.service.documents["/id"] = (401, b"")
        lines = self.ask("tokens", "/id")
        self.assertIn("answered 401", lines[0])
        self.assertEqual(self.service.made, 2)

    def test_a_token_is_renewed_before_it_ends(self):
        self.service.lifetime = 10
        self.ask("tokens", "/id", "-", "/id")
        self.assertEqual(self.service.made, 2)

    def test_what_is_no_token_is_none(self):
        for text in ("a b", "tok\u00e9n", "x" * 2000):
            with self.subTest(text=text[:10]):
                self.service.token_text = text
                self.assertTrue(self.ask("tokens", "/id", "/name")[0].startswith("failed"))

    def test_without_tokens_only_where_that_was_said(self):
        self.service.token_status = 404
        self.assertIn("token answered 404", self.ask("tokens", "/id")[0])
        self.assertEqual(self.ask("without-token", "/id"), ["found i-1"])

    def test_another_clouds_service_is_not_taken_for_ones_own(self):
        self.assertIn("another cloud", self.ask("google", "/id")[0])
        self.service.flavor = "Amazon"
        self.assertTrue(self.ask("google", "/id")[0].startswith("failed"))
        self.service.flavor = "Google"
        self.assertEqual(self.ask("google", "/id", "-", "/none"), ["found i-1", "absent"])

    def test_an_everyday_failure_is_tried_again_and_then_said(self):
        self.service.documents["/id"] = (503, b"")
        self.assertIn("answered 503", self.ask("without-token", "/id")[0])
        self.assertEqual(sum(path == "/id" for _, path in self.service.seen), 2)

    def test_garbled_documents(self):
        for body in (b"\xff\xfe", b"a\0b"):
            with self.subTest(body=body):
                self.service.documents["/id"] = (200, body)
                self.assertIn("no UTF-8 text", self.ask("without-token", "/id")[0])
        self.service.documents["/id"] = (200, b"x" * 300000)
        self.assertIn("larger", self.ask("without-token", "/id")[0])

    def test_a_service_that_vanished(self):
        other = Service()
        other.stop()
        self.assertTrue(self.ask("tokens", "/id", "/name", url=other.url)[1].startswith("failed"))

    def test_there_is_a_ceiling(self):
        lines = self.ask("tokens", *["/id"] * 40)
        self.assertEqual(sum(line.startswith("refused") for line in lines), 8)
        self.assertEqual(lines.count("found i-1"), 32)


tap.main(names=())
