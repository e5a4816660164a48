# SPDX-License-Identifier: Apache-2.0
"""Plugin notify on a private bus, before terminals, a sendmail and mail servers of the test's own. Arguments: the
program, the source tree, and smtp where this build has it."""

import contextlib
import email
import email.policy
import json
import os
import socket
import stat
import sys
import tempfile
import threading
import time
import unittest

from gi.repository import GLib

import plugin_bus
from plugin_bus import s
from pseudo_terminal import open_terminal

PROGRAM, SOURCE, SMTP = sys.argv[1:4]


def event(type_="system.disk.low", severity=2, left=100, data=None, **more):
    return {"id": s("1"), "type": s(type_), "source": s("test"), "severity": GLib.Variant("u", severity),
            "deadline": GLib.Variant("t", max(1, int((time.time() + left) * 1e6))),
            "data": GLib.Variant("a{sv}", data or {"reason": s("Mühle /srv")}), **more}


class Server:
    """Speaks as much SMTP as there is to a mail; `answers` replaces what it says to a command, and keeps what it was told."""

    def __init__(self, answers=None, rubbish=None, silent=False):
        self.answers, self.rubbish, self.silent = answers or {}, rubbish, silent
        self.mails, self.commands = [], []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.kept = []
        self.url = "smtp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def close(self):
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(connection)
            with contextlib.suppress(OSError):  # who only looks whether somebody listens has gone
                self.serve(connection)

    def answer(self, command, usual):
        said = self.answers.get(command, usual)
        return said.pop(0) if isinstance(said, list) else said

    def serve(self, connection):
        if self.silent:
            return
        if self.rubbish is not None:
            connection.sendall(self.rubbish)
            connection.close()
            return
        stream = connection.makefile("rwb", buffering=0)
        stream.write(b"220 test\r\n")
        while line := stream.readline():
            words = line.decode().split()
            command = words[0].upper() if words else ""
            self.commands.append(line.decode().strip())
            if command == "DATA":
                stream.write(self.answer(command, b"354 go on\r\n"))
                data = b""
                while not data.endswith(b"\r\n.\r\n"):
                    data += stream.readline()
                self.mails.append(data[:-3])
                stream.write(self.answer("END", b"250 taken\r\n"))
            elif command == "QUIT":
                stream.write(b"221 bye\r\n")
                connection.close()
                return
            else:
                stream.write(self.answer(command, b"250 fine\r\n"))


class Notify(plugin_bus.HandlerTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        os.makedirs(self.path("dev/pts"))
        self.terminals = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def terminal(self):
        master = open_terminal(self, self.path("dev/pts/%d" % self.terminals))
        self.terminals += 1
        return master

    def read(self, master):
        try:
            return os.read(master, 4096).decode()
        except BlockingIOError:
            return ""

    def program(self, text, mode=0o755):
        with open(self.path("sendmail"), "w") as f:
            f.write("#!/bin/sh\n" + text.replace("DIR", self.directory) + "\n")
        os.chmod(self.path("sendmail"), mode)
        return self.path("sendmail")

    def privileged(self, *names):
        """The bit counts, whatever the program is."""
        for name in names:
            path = self.path(name)
            open(path, "a").close()
            os.chmod(path, 0o755 | stat.S_ISGID)
            self.assertTrue(os.stat(path).st_mode & stat.S_ISGID)

    def greet(self, environment=None, **settings):
        plugin = self.plugin(PROGRAM, "notify", environment={
            "SNOOZE_TRUST_OWN_PROGRAMS": "1", "SNOOZE_TERMINAL_DEVICES": self.path("dev"),
            "SNOOZE_MAIL_NAME": self.path("mailname"), **(environment or {})})
        kinds = {str: "s", list: "as", bool: "b", int: "x"}
        settings.setdefault("sendmail_path", self.path("sendmail"))
        return plugin.greet({name: GLib.Variant(kinds[type(value)], value) for name, value in settings.items()})

    def start(self, **settings):
        return self.greet(**settings)

    def said(self, plugin):
        plugin.process.terminate()
        return plugin.process.communicate(timeout=60)[1]

    def envelope(self, server):
        """Sender and recipients, as the server and as the mail's headers have them."""
        mail = email.message_from_bytes(server.mails[-1], policy=email.policy.default)
        told = [command for command in server.commands if command.split(":")[0] in ("MAIL FROM", "RCPT TO")]
        envelope = [command.split(" SIZE")[0].split("<")[1].rstrip(">") for command in told]
        self.assertEqual(envelope, [mail["From"], *mail["To"].split(", ")])
        return envelope

    def needs_smtp(self):
        if SMTP != "smtp":
            raise unittest.SkipTest("impossible here: this build has no libcurl")

    def server(self, **behaviour):
        self.needs_smtp()
        server = Server(**behaviour)
        self.addCleanup(server.close)
        return server

    def fails(self, plugin, fields, part):
        handled, result = self.tell(plugin, fields)
        self.assertEqual((handled, result["mailed"]), (False, False), result)
        self.assertIn(part, result["error"])
        self.assertNotIn("secret", json.dumps(result))

    def test_manifest_and_program_agree(self):
        manifest = self.assert_agrees_with_manifest(PROGRAM, os.path.join(SOURCE, "plugins/notify/plugin.json"))
        self.assertTrue(manifest["config_schema"]["smtp_url"]["secret"])

    def test_terminals_are_told(self):
        master = self.terminal()
        self.assertEqual(self.tell(self.start(), event()), (True, {"terminals": 1}))
        self.assertEqual(self.read(master), "\r\n\aCloudSnooze: A disk is nearly full: Mühle /srv\r\n")

    def test_which_disk_and_which_network(self):
        """By what the daemon's monitors put in their events."""
        d, t = (lambda value: GLib.Variant("d", value)), (lambda value: GLib.Variant("t", value))
        disk = {"path": s("/srv/a b"), "device": s("8:1"), "used_percent": d(91.5), "used_names_percent": d(3.0), "available_bytes": t(4096),
                "threshold_percent": d(90.0)}
        master, plugin = self.terminal(), self.start()
        for kind, data, line in (("system.disk.low", disk, "A disk is nearly full: /srv/a b"),
                                 ("system.network.down", {"interface": s("eth0")}, "The network is gone: eth0"),
                                 ("custom.other", {"path": s("/srv")}, "custom.other")):
            with self.subTest(kind=kind):
                self.assertEqual(self.tell(plugin, event(kind, data=data)), (True, {"terminals": 1}))
                self.assertEqual(self.read(master), f"\r\n\aCloudSnooze: {line}\r\n")

    def test_what_terminal_tells_is_not_told_twice(self):
        master = self.terminal()
        plugin = self.start()
        for type_ in ("snooze.stop.pending", "snooze.notice"):
            self.assertEqual(self.tell(plugin, event(type_)), (False, {}))
        self.assertEqual(self.read(master), "")
        self.assertEqual(self.tell(self.start(wall=False), event()), (False, {}))

    def test_no_orders_to_terminals(self):
        master = self.terminal()
        self.tell(self.start(), event("custom.x", data={"message": s("a\x1b[2Jb\n\x9bc\u202e")}))
        self.assertEqual(self.read(master), "\r\n\aCloudSnooze: custom.x: a [2Jb  c \r\n")

    def test_little_and_much(self):
        self.terminal()
        plugin = self.start(minimum_severity=2, max_per_hour=3)
        self.assertEqual(self.tell(plugin, event(severity=1)), (False, {}))
        self.assertEqual([self.tell(plugin, event())[0] for _ in range(5)], [True, True, True, False, False])
        self.assertEqual(self.tell(plugin, event())[1], {"status": "more than max_per_hour"})

    def test_small_things_do_not_silence_the_end_of_the_machine(self):
        self.terminal()
        plugin = self.start(max_per_hour=3)
        self.assertEqual([self.tell(plugin, event())[0] for _ in range(4)], [True, True, True, False])
        self.assertEqual([self.tell(plugin, event("cloud.spot.interrupt", severity=3))[0] for _ in range(5)], [True] * 5)
        # Whoever emits events says himself how bad they are.
        self.assertEqual([self.tell(plugin, event("custom.x", severity=3))[0] for _ in range(4)], [True, True, True, False])
        self.assertTrue(self.tell(plugin, event("cloud.spot.interrupt", severity=3))[0])

    def test_small_things_do_not_take_every_place(self):
        plugin = self.start(sendmail_path=self.program("cat > DIR/mail.$$; read line < DIR/gate"), recipients=["root"])
        os.mkfifo(self.path("gate"))
        small = [self.send(plugin, event(severity=1)) for _ in range(4)]
        plugin_bus.iterate_until(lambda: len([name for name in os.listdir(self.directory) if name.startswith("mail.")]) == 4)
        self.assertEqual(self.tell(plugin, event(severity=1))[1]["error"], "too many are under way")
        urgent = self.send(plugin, event(severity=2))
        plugin_bus.iterate_until(lambda: len([name for name in os.listdir(self.directory) if name.startswith("mail.")]) == 5)
        gate = os.open(self.path("gate"), os.O_RDWR)
        self.addCleanup(os.close, gate)
        os.write(gate, b"\n" * 5)
        for answers in (*small, urgent):
            self.assertTrue(self.answer(answers)[1]["mailed"])

    def test_only_a_sendmail_of_roots_choice_is_run(self):
        plugin = self.plugin(PROGRAM, "notify", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        os.symlink("/bin/sh", self.path("sendmail"))
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)
        os.symlink("/bin/true", self.path("open/sendmail"))
        paths = ["/bin/sh", "/usr/bin/env", self.path("open/sendmail")]
        if os.geteuid() == 0:
            os.lchown(self.path("sendmail"), 65534, 65534)
            paths.append(self.path("sendmail"))
        for path in paths:
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument.*sendmail_path: ") as context:
                plugin.call("", "Initialize", "(a{sv})", {"recipients": GLib.Variant("as", ["root"]), "sendmail_path": s(path)})
            if os.path.dirname(path) != self.path("open"):
                self.assertIn("a program of root's whose name begins with sendmail", str(context.exception))

    def test_sendmail(self):
        program = self.program('printf "%s\\n" "$@" > DIR/arguments; env | cut -d= -f1 | sort > DIR/environment; cat > DIR/mail')
        plugin = self.start(sendmail_path=program, recipients=["root", "alice@example.org"],
                            **{"from": "snooze@example.org"})
        handled, result = self.tell(plugin, event())
        self.assertEqual((handled, result), (True, {"terminals": 0, "mailed": True}))
        with open(self.path("arguments")) as f:
            self.assertEqual(f.read().split("\n")[:-1],
                             ["-i", "-f", "snooze@example.org", "--", "root", "alice@example.org"])
        with open(self.path("environment")) as f:
            self.assertEqual(f.read().split(), ["HOME", "LC_ALL", "PATH", "PWD"])
        with open(self.path("mail"), "rb") as f:
            data = f.read()
        self.assertNotIn(b"\r", data)
        mail = email.message_from_bytes(data, policy=email.policy.default)
        self.assertEqual((mail["To"], mail["From"]), ("root, alice@example.org", "snooze@example.org"))
        self.assertRegex(mail["Subject"], r"^\[[^]]+\] A disk is nearly full: Mühle /srv$")
        self.assertIn("  reason: Mühle /srv\n", mail.get_content())
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")

    def test_the_own_stop_by_mail_once(self):
        program = self.program("cat >> DIR/mail")
        plugin = self.start(sendmail_path=program, recipients=["root"])
        notice = {"notice": s("This machine stops at 22:41"), "phase": s("scheduled")}
        self.assertTrue(self.tell(plugin, event("snooze.stop.pending", data=notice))[1]["mailed"])
        for more in ({"phase": s("reminder")}, {"dry_run": GLib.Variant("b", True)}):
            self.assertEqual(self.tell(plugin, event("snooze.stop.pending", data={**notice, **more})), (False, {}))
        with open(self.path("mail")) as f:
            self.assertEqual(f.read().count("Subject: "), 1)

    def test_a_sendmail_that_fails(self):
        plugin = self.start(sendmail_path=self.program("echo postdrop: Permission denied >&2; exit 75"),
                            recipients=["root"])
        self.fails(plugin, event(), "sendmail ended with status 75: postdrop: Permission denied")
        self.program("exec yes")
        self.fails(plugin, event(), "wrote too much")
        self.program("kill -SEGV $$")
        self.fails(plugin, event(), "signal 11")
        self.program("exec sleep 1000")
        begun = time.monotonic()
        self.fails(plugin, event(left=4), "took too long")
        self.assertLess(time.monotonic() - begun, 30)
        begun = time.monotonic()
        self.fails(plugin, event(left=100, budget=GLib.Variant("t", 1_000_000)), "took too long")
        self.assertLess(time.monotonic() - begun, 25)
        os.chmod(self.path("sendmail"), 0o757)
        self.fails(plugin, event(), "can be written by everybody")
        os.unlink(self.path("sendmail"))
        self.fails(plugin, event(), "No such file")

    def test_one_that_reads_nothing(self):
        data = {"key-%d" % i: s("x" * 400) for i in range(60)}
        self.assertTrue(self.tell(self.start(sendmail_path=self.program("exit 0"), recipients=["root"]),
                                  event(data=data))[1]["mailed"])

    def test_a_server(self):
        server = self.server()
        plugin = self.start(smtp_url=server.url, recipients=["root", "alice@example.org"],
                            **{"from": "snooze@example.org"})
        self.assertEqual(self.tell(plugin, event()), (True, {"terminals": 0, "mailed": True}))
        self.assertIn("MAIL FROM:<snooze@example.org>", [command.split(" SIZE")[0] for command in server.commands])
        self.assertEqual([command for command in server.commands if command.startswith("RCPT")],
                         ["RCPT TO:<root>", "RCPT TO:<alice@example.org>"])
        mail = email.message_from_bytes(server.mails[0], policy=email.policy.default)
        self.assertIn("Mühle /srv", mail["Subject"])
        self.assertIn("Event: system.disk.low, from test (1)", mail.get_content())

    def test_a_sendmail_with_privileges_is_not_run(self):
        server = self.server()
        self.program("touch DIR/run")
        self.privileged("sendmail")
        plugin = self.greet({"SNOOZE_MAIL_SERVER": server.url}, recipients=["root", "ops@example.org"])
        self.assertEqual(self.tell(plugin, event()), (True, {"terminals": 0, "mailed": True}))
        # What Exim and Sendmail ask for of whoever speaks to them.
        self.assertEqual(self.envelope(server), ["root@localhost", "root@localhost", "ops@example.org"])
        self.assertFalse(os.path.exists(self.path("run")))
        self.assertIn(f"Mail goes to port 25 of this machine: {self.path('sendmail')} works by setuid or setgid",
                      self.said(plugin))

    def test_a_machine_with_a_name_for_mail(self):
        for text, domain in (("mail.example.org\n", "mail.example.org"), ("a b\n", "localhost"),
                             ("evil>\r\nRCPT TO:<x\n", "localhost"), ("", "localhost")):
            with open(self.path("mailname"), "w") as f:
                f.write(text)
            server = self.server()
            self.program("true")
            self.privileged("sendmail")
            plugin = self.greet({"SNOOZE_MAIL_SERVER": server.url}, recipients=["alice"])
            self.assertTrue(self.tell(plugin, event())[1]["mailed"])
            self.assertEqual(self.envelope(server), [f"root@{domain}", f"alice@{domain}"])
            plugin.stop()

    def test_postfix_gives_domains_itself(self):
        with open(self.path("mailname"), "w") as f:
            f.write("old.example.org\n")
        server = self.server()
        self.program("touch DIR/run")
        self.privileged("postdrop")
        plugin = self.greet({"SNOOZE_MAIL_SERVER": server.url}, recipients=["alice"])
        self.assertTrue(self.tell(plugin, event())[1]["mailed"])
        self.assertEqual(self.envelope(server), ["root", "alice"])
        self.assertFalse(os.path.exists(self.path("run")))

    def test_a_client_beside_postfix_is_run(self):
        server = self.server()
        self.program("cat > DIR/mail")
        os.rename(self.path("sendmail"), self.path("msmtp"))
        os.symlink("msmtp", self.path("sendmail"))
        self.privileged("postdrop")
        plugin = self.greet({"SNOOZE_MAIL_SERVER": server.url}, recipients=["alice"])
        self.assertTrue(self.tell(plugin, event())[1]["mailed"])
        self.assertTrue(os.path.exists(self.path("mail")))
        self.assertEqual(server.mails, [])

    def test_a_mail_system_without_a_server(self):
        self.needs_smtp()
        with socket.socket() as s_:
            s_.bind(("127.0.0.1", 0))
            url = "smtp://127.0.0.1:%d" % s_.getsockname()[1]
            self.program("touch DIR/run")
            self.privileged("sendmail")
            plugin = self.greet({"SNOOZE_MAIL_SERVER": url}, recipients=["root"])
            self.fails(plugin, event(left=3), f"since {self.path('sendmail')} works by setuid or setgid, which no "
                       "plugin has; see smtp_url")
            self.assertFalse(os.path.exists(self.path("run")))
            said = self.said(plugin)
        self.assertIn("where nobody takes any yet", said)
        self.assertIn("set smtp_url", said)

    def test_a_server_of_this_machine_by_name(self):
        server = self.server()
        self.program("true")
        self.privileged("sendmail")
        self.assertTrue(self.tell(self.start(smtp_url=server.url, recipients=["root"]), event())[1]["mailed"])
        self.assertEqual(self.envelope(server), ["root@localhost", "root@localhost"])

    def test_what_does_not_last_is_tried_again(self):
        server = self.server(answers={"MAIL": [b"451 later\r\n", b"250 fine\r\n"]})
        self.assertTrue(self.tell(self.start(smtp_url=server.url, recipients=["root"]), event())[1]["mailed"])
        self.assertEqual(len([command for command in server.commands if command.startswith("MAIL")]), 2)

    def test_servers_that_refuse(self):
        for answers, part in (({"MAIL": b"550 no\r\n"}, "answered 550"),
                              ({"RCPT": b"550 nobody\r\n"}, "answered 550"),
                              ({"END": b"554 spam\r\n"}, "answered 554")):
            server = self.server(answers=answers)
            plugin = self.start(smtp_url=server.url, recipients=["root"])
            self.fails(plugin, event(), part)
            plugin.stop()

    def test_servers_that_are_none(self):
        for behaviour in ({"rubbish": os.urandom(4096)}, {"rubbish": b""}, {"silent": True}):
            server = self.server(**behaviour)
            plugin = self.start(smtp_url=server.url.replace("//", "//user:secret@"), recipients=["root"])
            begun = time.monotonic()
            self.fails(plugin, event(left=3), "the mail server")
            self.assertLess(time.monotonic() - begun, 40)
            plugin.process.terminate()
            self.assertNotIn("secret", plugin.process.communicate(timeout=60)[1])
        with socket.socket() as s_:
            s_.bind(("127.0.0.1", 0))
            self.fails(self.start(smtp_url="smtp://127.0.0.1:%d" % s_.getsockname()[1], recipients=["root"]),
                       event(left=3), "the mail server")

    def test_other_and_hostile_events(self):
        plugin = self.start()
        for fields in ({}, {"type": GLib.Variant("t", 1)},
                       {"type": s("system.disk.low"), "severity": s("high"), "data": s("x")}):
            self.assertEqual(self.tell(plugin, fields)[0], False)

    def test_leaving_answers_who_waits(self):
        plugin = self.start(sendmail_path=self.program("touch DIR/begun; exec sleep 2"), recipients=["root"])
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("begun")))
        plugin.process.terminate()
        self.assertTrue(self.answer(answers)[1]["mailed"])
        self.assertEqual(plugin.process.wait(60), 0)

    def test_wrong_configuration_is_refused(self):
        plugin = self.plugin(PROGRAM, "notify", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        program = s(self.program("true"))
        wrong = [{"recipients": ["a b"]}, {"recipients": ["-oQ/tmp"]}, {"recipients": ["a\r\nBcc: b"]},
                 {"recipients": ["r%d" % i for i in range(33)]},
                 {"recipients": ["root"], "from": ""}, {"recipients": ["root"], "from": "a\nb"},
                 {"recipients": ["root"], "sendmail_path": "sendmail"},
                 {"recipients": ["root"], "sendmail_path": "/does/not/exist"}]
        for url in ("secret", "http://secret@h", "smtp://", "smtp://secret@h/x", "smtp://h?secret", "file:///secret"):
            wrong.append({"recipients": ["root"], "smtp_url": url})
        if SMTP != "smtp":
            self.privileged("sendmail.setgid")
            wrong.append({"recipients": ["root"], "sendmail_path": self.path("sendmail.setgid")})
        for settings in wrong:
            config = {name: GLib.Variant("as" if isinstance(value, list) else "s", value) for name,
                      value in settings.items()}
            config.setdefault("sendmail_path", program)
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument") as caught:
                plugin.call("", "Initialize", "(a{sv})", config)
            self.assertNotIn("secret", caught.exception.message)
        plugin.call("", "Initialize", "(a{sv})", {"recipients": GLib.Variant("as", ["root"]),
                                                  "sendmail_path": program})


plugin_bus.main()
