# SPDX-License-Identifier: Apache-2.0
"""What the tests of the plugin database-flusher share. Arguments of the program: the plugin, the source tree, the databases that this build
knows."""

import contextlib
import ctypes
import json
import socket
import sys
import threading
import time
import unittest

from gi.repository import GLib

import plugin_bus
from plugin_bus import s
from servers import USER

PROGRAM, SOURCE, KNOWN = sys.argv[1:4]
KNOWN = KNOWN.split(",")
SPOT, LOW = "cloud.spot.interrupt", "system.disk.low"


def event(type_=SPOT, left=60, **more):
    return {"id": s("1"), "type": s(type_), "source": s("test"),
            "deadline": GLib.Variant("t", max(1, int((time.time() + left) * 1e6))), **more}


CANCELLED = {"cancelled": GLib.Variant("b", True)}


class FlusherCase(plugin_bus.HandlerTestCase):
    def start(self, type_, connection, **settings):
        plugin = self.plugin(PROGRAM, "database-flusher")
        self.addCleanup(self.check_log, plugin)
        return plugin.greet({"db_type": s(type_), "connection_string": s(connection),
                             **{name: s(value) if isinstance(value, str) else GLib.Variant("x", value)
                                for name, value in settings.items()}})

    def check_log(self, plugin):
        """What it said has no secret."""
        plugin.process.terminate()
        _, text = plugin.process.communicate(timeout=60)
        self.assertNotIn("secret", text)

    def tell(self, plugin, fields):
        answer = super().tell(plugin, fields)
        self.assertNotIn("secret", json.dumps(answer))
        return answer

    def assert_not_waited_for(self, plugin, heard):
        """A server that has heard of the flush and never answers, once that is called off."""
        begun = time.monotonic()
        flush = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: heard)
        self.assertEqual(self.tell(plugin, event(**CANCELLED)), (False, {"status": "cancelled"}))
        handled, result = self.answer(flush)
        self.assertEqual((handled, result["status"], result["error"]), (False, "cancelled", "it was called off"))
        self.assertLess(time.monotonic() - begun, 30)

    def listen(self, serve, user=None):
        """The port of a listener, a user's where that is asked for; where nobody serves, nobody accepts."""
        ports, kept, listening = [], [], threading.Event()

        def run():
            if user is not None:
                ctypes.CDLL(None).setfsuid(user)  # of this thread: whose a socket is
            listener = socket.socket()
            self.addCleanup(listener.close)
            listener.bind(("127.0.0.1", 0))
            listener.listen(8)
            ports.append(listener.getsockname()[1])
            listening.set()
            while serve:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                with contextlib.suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        listening.wait()
        return ports[0]

    def fails(self, plugin, fields, part):
        handled, result = self.tell(plugin, fields)
        self.assertEqual((handled, result["success"]), (False, False), result)
        self.assertIn(part, result["error"])


class ServerCase(FlusherCase):
    server_class = None

    @classmethod
    def setUpClass(cls):
        if cls.database not in KNOWN:
            raise unittest.SkipTest(f"impossible here: this build does not know {cls.database}")
        missing = cls.server_class.missing()
        if missing:
            raise AssertionError(f"these programs are missing: {' '.join(missing)} (tools/install-packages check)")
        cls.server = cls.server_class()
        cls.addClassCleanup(cls.server.close)

    def start(self, type_, connection, **settings):
        return super().start(type_, connection, **{"server_user": USER, **settings})
