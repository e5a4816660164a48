# SPDX-License-Identifier: Apache-2.0
"""What the fakes of clouds share: a server on loopback that says its address on standard output, is told by POST /_control what to be,
and remembers under /_requests what it was asked.

A command is a JSON object. "state" is merged into the fake's own state. "faults" are put in front of the next
requests whose path (and body) have the text "match" in them: {"match": "StopInstances", "times": 2, "status": 503, "body": "…", "delay":
0.5, "garble": true, "lose": true, "drop": true}. status and body answer instead of the fake; delay waits first; garble cuts the answer
in half; lose acts and then closes the connection without the answer; drop closes it without acting. "forget" makes it forget what it was
asked, "mend" its faults. The answer to a command has the "moment" (monotonic, s) since which it is in force."""

import http.server
import json
import sys
import threading
import time


class Answer:
    def __init__(self, status=200, body="", content_type="text/plain", headers=None):
        self.status = status
        self.body = body if isinstance(body, bytes) else body.encode()
        self.headers = {"Content-Type": content_type, **(headers or {})}


def as_json(value, status=200, headers=None):
    return Answer(status, json.dumps(value), "application/json", headers)


def merge(target, patch):
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


class Request:
    def __init__(self, handler, body):
        self.method, self.headers = handler.command, handler.headers
        self.path, _, self.query = handler.path.partition("?")
        self.body = body

    def record(self):
        return {"method": self.method, "path": self.path, "query": self.query, "body": self.body,
                "headers": dict(self.headers.items()), "time": time.time(), "moment": time.monotonic()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        if self.path == "/_control":
            self.control(json.loads(body))
            return
        if self.path == "/_requests":
            with server.lock:
                self.send(as_json(server.records))
            return
        request = Request(self, body)
        with server.lock:
            record = request.record()
            record["connection"] = self.client_address[1]
            server.records.append(record)
            fault = server.take_fault(request)
        self.answer(request, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

    def control(self, command):
        server = self.server
        with server.changed:
            merge(server.state, command.get("state", {}))
            server.faults += command.get("faults", [])
            if command.get("forget"):
                server.records.clear()
            if command.get("mend"):
                server.faults.clear()
            moment = time.monotonic()
            server.changed.notify_all()
        self.send(as_json({"moment": moment}))

    def answer(self, request, fault):
        server = self.server
        if fault.get("delay"):
            server.leaving.wait(fault["delay"])
        if fault.get("drop"):
            self.close_connection = True
            return
        if "status" in fault:
            answer = Answer(fault["status"], fault.get("body", ""), fault.get("type", "text/plain"), fault.get("headers"))
        else:
            answer = server.respond(request)
        if fault.get("lose"):
            self.close_connection = True
            return
        if fault.get("garble"):
            answer.body = answer.body[: len(answer.body) // 2] + b"\xff<{"
        self.send(answer)

    def send(self, answer):
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Fake(http.server.ThreadingHTTPServer):
    """One cloud. respond(request) answers by self.state under self.lock where it changes something."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, state, port=0, address="127.0.0.1"):
        super().__init__((address, port), Handler)
        self.state, self.faults, self.records = state, [], []
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.leaving = threading.Event()
        self.url = f"http://{address}:{self.server_port}"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def take_fault(self, request):
        for fault in self.faults:
            if fault.get("match", "") in f"{request.method} {request.path}?{request.query} {request.body}":
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] <= 0:
                    self.faults.remove(fault)
                return dict(fault)
        return {}

    def respond(self, request):
        raise NotImplementedError


def main(fake):
    """Serves until standard input ends, which is when the test that started it is gone."""
    thread = threading.Thread(target=fake.serve_forever, args=(0.05,))  # so soon it sees that it shall end
    thread.start()
    print(fake.url, flush=True)
    sys.stdin.read()
    fake.leaving.set()
    fake.shutdown()
    fake.server_close()
    thread.join()
