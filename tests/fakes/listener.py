#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whoever is posted to and written to: HTTP as the fakes of clouds have it, and mail by SMTP on port 25 of loopback. All
of it is remembered in the order in which it came, a mail as a request by the method MAIL with its recipients for a path.
GET of /work and /worker is answered once "released" of the state has that path: who asks works for so long."""

import socketserver
import threading
import time

import fake


class Mailbox(socketserver.StreamRequestHandler):
    def handle(self):
        recipients = []
        self.wfile.write(b"220 listener\r\n")
        while line := self.rfile.readline():
            word = line.decode().strip().upper()
            if word.startswith("RCPT TO:"):
                recipients.append(line.decode().strip()[len("RCPT TO:"):].split()[0].strip("<>"))
            if word == "DATA":
                self.wfile.write(b"354 go on\r\n")
                self.take(recipients)
            self.wfile.write(b"221 bye\r\n" if word == "QUIT" else b"250 fine\r\n")
            if word == "QUIT":
                return

    def take(self, recipients):
        text = b""
        while not text.endswith(b"\r\n.\r\n"):
            text += self.rfile.readline()
        listener = self.server.listener
        with listener.lock:
            listener.records.append({"method": "MAIL", "path": ",".join(recipients), "query": "",
                                     "body": text[:-3].decode(), "headers": {}, "time": time.time()})


class Listener(fake.Fake):
    def __init__(self):
        super().__init__({"released": []})
        self.mailbox = socketserver.ThreadingTCPServer(("127.0.0.1", 25), Mailbox)
        self.mailbox.daemon_threads = True
        self.mailbox.listener = self
        threading.Thread(target=self.mailbox.serve_forever, daemon=True).start()

    def respond(self, request):
        with self.changed:
            while (request.path in ("/work", "/worker") and request.path not in self.state["released"] and
                   not self.leaving.is_set()):
                self.changed.wait(0.5)
        return fake.Answer()


if __name__ == "__main__":
    fake.main(Listener())
