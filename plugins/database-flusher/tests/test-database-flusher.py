# SPDX-License-Identifier: Apache-2.0
"""Plugin database-flusher on a private bus, with real servers and with some that are none. Arguments: the program, the
source tree, the databases that this build knows."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from gi.repository import GLib

import plugin_bus
from flusher import CANCELLED, KNOWN, LOW, PROGRAM, SOURCE, SPOT, FlusherCase, ServerCase, event
from plugin_bus import s
from servers import NOBODY, USER, MariaDB, PostgreSQL, Redis


class MySQL(ServerCase):
    database, server_class = "mysql", MariaDB

    def connection(self, user="flusher"):
        return f"{user}:secret@unix({self.server.socket})/"

    def test_what_was_committed_survives_the_kill(self):
        plugin = self.start("mysql", self.connection())
        self.server.sql("INSERT INTO d.t VALUES (41), (42)")
        handled, result = self.tell(plugin, event())
        self.assertEqual((handled, result["success"], result.get("problems")), (True, True, None), result)
        self.assertLessEqual(result["dirty_pages_after"], result["dirty_pages_before"])
        # From here on every commit is on the disk.
        self.assertEqual((self.server.variable("innodb_flush_log_at_trx_commit"),
                          self.server.variable("sync_binlog")), ("1", "1"))
        self.assertEqual(float(self.server.variable("innodb_max_dirty_pages_pct")), 90)
        self.server.sql("INSERT INTO d.t VALUES (43)")
        self.server.end()
        self.server.begin()
        self.assertEqual(self.server.sql("SELECT x FROM d.t ORDER BY x").split(), ["41", "42", "43"])

    def test_called_off(self):
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 7")
        plugin = self.start("mariadb", self.connection())
        self.tell(plugin, event())
        self.assertEqual(self.server.variable("sync_binlog"), "1")
        handled, result = self.tell(plugin, event(**CANCELLED))
        self.assertEqual((handled, result["success"], result["status"]), (True, True, "cancelled"))
        self.assertEqual((self.server.variable("innodb_flush_log_at_trx_commit"),
                          self.server.variable("sync_binlog")), ("2", "7"))
        self.server.sql("SET GLOBAL sync_binlog = 3")
        self.tell(plugin, event(**CANCELLED))
        self.assertEqual(self.server.variable("sync_binlog"), "3")

    def test_called_off_while_it_is_at_it(self):
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 7")
        plugin = self.start("mariadb", self.connection())
        # Neither side knows who comes first: nothing may stay changed.
        for _ in range(5):
            flush, restore = self.send(plugin, event()), self.send(plugin, event(**CANCELLED))
            handled, result = self.answer(restore)
            self.assertEqual((handled, result["success"], result["status"]), (True, True, "cancelled"), result)
            self.assertEqual(self.answer(flush)[1].get("error", "it was called off"), "it was called off")
            self.assertEqual((self.server.variable("innodb_flush_log_at_trx_commit"), self.server.variable("sync_binlog")), ("2", "7"))

    def between(self, change):
        """A connection string by which both sides hear what change makes of what the other says; None: nothing any more."""
        def pass_on(source, target):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    data = change(data)
                    if data is None:
                        return
                    target.sendall(data)

        def serve(client):
            server = socket.create_connection(("127.0.0.1", self.server.port))
            self.addCleanup(server.close)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()

        return f"flusher:secret@tcp(127.0.0.1:{self.listen(serve)})/"

    def test_a_server_that_does_not_say_whether_it_has_a_binary_log(self):
        plugin = self.start("mysql", self.between(lambda data: data.replace(b"@@GLOBAL.log_bin", b"@@GLOBAL.log_bon")))
        handled, result = self.tell(plugin, event())
        self.assertEqual((handled, result["success"]), (True, True), result)
        self.assertIn("dirty_pages_after", result)
        problem, = result["problems"]
        self.assertIn("log_bin: Unknown system variable", problem)

    def test_called_off_while_the_server_is_waited_for(self):
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 7")
        held = []

        def change(data):
            """Until the server is to flush its tables: that never arrives."""
            if b"FLUSH LOCAL TABLES" not in data:
                return data
            held.append(data)
            return None

        plugin = self.start("mysql", self.between(change))
        flush = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: held)
        self.assertEqual(self.server.variable("sync_binlog"), "1")
        handled, result = self.tell(plugin, event(**CANCELLED))
        self.assertEqual((handled, result["success"], result["status"]), (True, True, "cancelled"), result)
        self.assertEqual(self.answer(flush)[1].get("error"), "it was called off")
        self.assertEqual((self.server.variable("innodb_flush_log_at_trx_commit"), self.server.variable("sync_binlog")), ("2", "7"))

    def settings(self):
        return tuple(float(self.server.variable(name)) for name in ("innodb_flush_log_at_trx_commit", "sync_binlog", "innodb_max_dirty_pages_pct"))

    def kill_and_start(self, plugin, connection):
        version, state = plugin.call(".State", "ExportState")
        plugin.process.kill()
        plugin.process.wait()
        plugin = self.start("mysql", connection)
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        return plugin, bytes(state)

    def test_the_next_instance_takes_back_what_this_one_changed(self):
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 7")
        plugin = self.start("mysql", self.connection())
        self.tell(plugin, event())
        plugin, state = self.kill_and_start(plugin, self.connection())
        self.assertNotIn(b"secret", state)
        for wrong in (b"", b"boot x", b"boot x\nsync_binlog\n", state[:-1], state + b"sync_binlog 1, GLOBAL read_only = 1\n", state + b"read_only 1\n", state + b"\0",
                      state + b"sync_binlog 1 elsewhere\n", state + b"sync_binlog 1 \n"):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", 2, wrong)
        for version in (0, 3):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)
        # Asked again it does not take what it finds for what there was.
        self.assertTrue(self.tell(plugin, event())[1]["success"])
        self.assertEqual(self.settings(), (1, 1, 90))
        self.assertTrue(self.tell(plugin, event(**CANCELLED))[1]["success"])
        self.assertEqual(self.settings(), (2, 7, 90))
        # It is what it was: there is nothing for another one to take back.
        self.assertEqual(bytes(plugin.call(".State", "ExportState")[1]).count(b"\n"), 1)

    def elsewhere(self):
        """Another server, which the configuration may name."""
        other = MariaDB()
        self.addCleanup(other.close)
        other.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 0; SET GLOBAL sync_binlog = 5")
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 7")
        return other, f"flusher:secret@unix({other.socket})/"

    def configure(self, plugin, connection, type_="mysql"):
        plugin.call("", "Configure", "(a{sv})", {"db_type": s(type_), "connection_string": s(connection)})

    def test_the_server_that_was_flushed_is_restored_and_no_other(self):
        other, there = self.elsewhere()
        plugin = self.start("mysql", self.connection())
        self.assertTrue(self.tell(plugin, event())[1]["success"])
        self.configure(plugin, there)
        handled, result = self.tell(plugin, event(**CANCELLED))
        self.assertEqual((handled, result["success"], result["status"]), (True, True, "cancelled"), result)
        self.assertEqual(self.settings(), (2, 7, 90))
        self.assertEqual((other.variable("innodb_flush_log_at_trx_commit"), other.variable("sync_binlog")), ("0", "5"))

    def test_each_server_gets_its_own_back(self):
        other, there = self.elsewhere()
        plugin = self.start("mysql", self.connection())
        for connection in (self.connection(), there):
            self.configure(plugin, connection)
            self.assertTrue(self.tell(plugin, event())[1]["success"])
        self.assertEqual((self.settings(), other.variable("sync_binlog")), ((1, 1, 90), "1"))
        # Another kind of database by now; that one of the servers is gone keeps nothing from the other.
        if "redis" in KNOWN:
            self.configure(plugin, "redis://localhost:1", "redis")
        version, state = plugin.call(".State", "ExportState")
        self.assertEqual(bytes(state).count(b"\n"), 5)
        other.end()
        self.fails(plugin, event(**CANCELLED), "cannot connect")
        self.assertEqual(self.settings(), (2, 7, 90))
        # Down, and as configured: nobody was reached, so none but it.
        self.configure(plugin, there)
        handled, result = self.tell(plugin, event(**CANCELLED))
        self.assertIn("cannot connect", result["error"])
        self.assertNotIn("another one is reached", json.dumps(result))
        # It is asked again with the next one.
        other.begin()
        other.sql("SET GLOBAL sync_binlog = 1")
        self.assertTrue(self.tell(plugin, event(**CANCELLED))[1]["success"])
        self.assertEqual(other.variable("sync_binlog"), "5")

    def test_another_password_of_the_same_server(self):
        plugin = self.start("mysql", self.connection())
        self.server.sql("SET GLOBAL sync_binlog = 7; CREATE USER turns@localhost IDENTIFIED BY 'secret1'; GRANT RELOAD, SUPER ON *.* TO turns@localhost")
        self.configure(plugin, f"turns:secret1@unix({self.server.socket})/")
        self.assertTrue(self.tell(plugin, event())[1]["success"])
        self.server.sql("SET PASSWORD FOR turns@localhost = PASSWORD('secret2')")
        self.configure(plugin, f"turns:secret2@unix({self.server.socket})/")
        self.assertTrue(self.tell(plugin, event(**CANCELLED))[1]["success"])
        self.assertEqual(self.server.variable("sync_binlog"), "7")

    def test_the_next_instance_says_that_it_does_not_know_that_server(self):
        other, there = self.elsewhere()
        plugin = self.start("mysql", self.connection())
        self.tell(plugin, event())
        plugin, state = self.kill_and_start(plugin, there)
        self.fails(plugin, event(**CANCELLED), "the settings of the server that was flushed stay changed: another one is reached by now")
        self.assertEqual((self.settings(), other.variable("sync_binlog")), ((1, 1, 90), "5"))
        # It is not forgotten.
        self.assertEqual(bytes(plugin.call(".State", "ExportState")[1]), state)
        self.configure(plugin, self.connection())
        self.assertTrue(self.tell(plugin, event(**CANCELLED))[1]["success"])
        self.assertEqual(self.settings(), (2, 7, 90))

    def test_the_version_before_did_not_say_which_server(self):
        plugin = self.start("mysql", self.connection())
        boot = bytes(plugin.call(".State", "ExportState")[1])
        plugin.call(".State", "ImportState", "(uay)", 1, boot)
        self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", 1, boot + b"sync_binlog 7\n")

    def test_another_boot_has_its_own_settings(self):
        self.server.sql("SET GLOBAL sync_binlog = 7")
        plugin = self.start("mysql", self.connection())
        plugin.call(".State", "ImportState", "(uay)", 1, b"boot x\nsync_binlog 3\n")
        self.assertTrue(self.tell(plugin, event(**CANCELLED))[1]["success"])
        self.assertEqual(self.server.variable("sync_binlog"), "7")

    def test_killed_while_pages_are_written_nothing_stays_changed(self):
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 7")
        held = []

        def change(data):
            """Until it looks whether the pages are written: that never arrives."""
            if b"innodb_max_dirty_pages_pct = 0" in data:
                held.append(data)
            elif held and b"SHOW GLOBAL STATUS" in data:
                held.append(data)
                return None
            return data

        plugin = self.start("mysql", self.between(change))
        self.send(plugin, event())
        plugin_bus.iterate_until(lambda: len(held) == 2)
        self.assertEqual(self.settings(), (1, 1, 0))
        # It answers while its thread waits.
        plugin, _ = self.kill_and_start(plugin, self.connection())
        self.assertTrue(self.tell(plugin, event())[1]["success"])
        self.assertEqual(self.settings(), (1, 1, 90))
        self.tell(plugin, event(**CANCELLED))
        self.assertEqual(self.settings(), (2, 7, 90))

    def test_low_disk_changes_no_setting(self):
        self.server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        self.assertTrue(self.tell(self.start("mysql", self.connection()), event(LOW))[1]["success"])
        self.assertEqual(self.server.variable("innodb_flush_log_at_trx_commit"), "2")

    def test_by_port_and_uri(self):
        plugin = self.start("mysql", f"mysql://flusher:secret@localhost:{self.server.port}")
        self.assertTrue(self.tell(plugin, event())[1]["success"])
        for part in ("FLUSH LOCAL TABLES", "FLUSH LOCAL ENGINE LOGS", "FLUSH LOCAL BINARY LOGS", "flusher@127.0.0.1"):
            self.assertIn(part, self.server.queries())

    def test_who_may_not(self):
        self.fails(self.start("mysql", self.connection("weak")), event(), "RELOAD")
        self.fails(self.start("mysql", self.connection("nobody")), event(), "cannot connect: Access denied")

    def test_a_server_that_stands_still(self):
        plugin = self.start("mysql", self.connection(), timeout_seconds=2)
        self.server.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.server.process.send_signal, signal.SIGCONT)
        begun = time.monotonic()
        self.fails(plugin, event(), "there was no more time")
        self.assertLess(time.monotonic() - begun, 30)

    def test_little_time_changes_nothing_for_good(self):
        plugin = self.start("mysql", self.connection(), timeout_seconds=1)
        for _ in range(3):
            self.server.sql("USE d; INSERT INTO t SELECT seq FROM seq_1_to_2000; DELETE FROM t")
            result = self.tell(plugin, event())[1]
            self.assertTrue("dirty_pages_after" in result or "no more time" in result.get("error", ""), result)
            self.assertEqual(float(self.server.variable("innodb_max_dirty_pages_pct")), 90)

    def test_two_at_once_leave_nothing_changed(self):
        plugin = self.start("mysql", self.connection())
        answers = [plugin.call_later(".EventHandler", "HandleEvent", "(a{sv})", event()) for _ in range(4)]
        plugin_bus.iterate_until(lambda: all(answers), 60)
        self.assertTrue(all(answer[0][1]["success"] for answer in answers), answers)
        self.assertEqual(float(self.server.variable("innodb_max_dirty_pages_pct")), 90)


class Postgres(ServerCase):
    database, server_class = "postgresql", PostgreSQL

    def checkpoints(self):
        return self.server.said().count("checkpoint starting: immediate force wait")

    def test_a_checkpoint(self):
        before = self.checkpoints()
        handled, result = self.tell(self.start("postgresql", self.server.uri()), event())
        self.assertEqual((handled, result["success"]), (True, True), result)
        self.assertEqual(self.checkpoints(), before + 1)
        self.assertTrue(self.tell(self.start("postgres",
                                             f"host={self.server.directory} port={self.server.port} user=admin password=secret dbname=postgres"),
                                  event(LOW))[1]["success"])
        self.assertEqual(self.checkpoints(), before + 2)

    def test_who_may_not(self):
        self.fails(self.start("postgresql", self.server.uri("weak")), event(), "CHECKPOINT: ERROR: ")
        self.fails(self.start("postgresql", self.server.uri("admin", "secretly-wrong")), event(),
                   "password authentication failed")

    def test_one_of_another_user_gets_no_password(self):
        if ctypes.CDLL("libpq.so.5").PQlibVersion() >= 160000:
            self.skipTest("impossible here: libpq 16 and later gives nobody a password as it is")
        for user in ("", "root", "4294967294"):
            self.fails(self.start("postgresql", self.server.uri(), server_user=user), event(), f"a program of user {USER} listens there")
        # Where there is none to give, nobody asks whose the server is.
        self.fails(self.start("postgresql", f"postgresql://admin@127.0.0.1:{self.server.port}/postgres", server_user=""), event(),
                   "no password supplied")
        # Only who owns the directory can listen at a path.
        self.assertTrue(self.tell(self.start("postgresql", f"host={self.server.directory} port={self.server.port} user=admin password=secret dbname=postgres",
                                             server_user=""), event())[1]["success"])

    def test_whoever_waits_stops_when_it_is_called_off(self):
        heard = []
        port = self.listen(lambda connection: heard.append(connection.recv(4096)))
        self.assert_not_waited_for(self.start("postgresql", f"postgresql://admin:secret@127.0.0.1:{port}/postgres?sslmode=disable"), heard)

    def test_called_off(self):
        self.assertEqual(self.tell(self.start("postgresql", self.server.uri()), event(**CANCELLED)),
                         (False, {"status": "cancelled"}))


class RedisCase(ServerCase):
    database, server_class = "redis", Redis

    def dump(self, server=None):
        path = os.path.join((server or self.server).directory, "dump.rdb")
        if not os.path.exists(path):
            return b""
        with open(path, "rb") as f:
            return f.read()

    def test_a_snapshot(self):
        for connection, key in ((f"redis://:secret@127.0.0.1:{self.server.port}", "first-key"),
                                (f"unix://:secret@{self.server.socket}", "second-key"),
                                (f"redis://default:secret@localhost:{self.server.port}/0", "third-key")):
            self.server.ask("SET", key, "1")
            handled, result = self.tell(self.start("redis", connection), event())
            self.assertEqual((handled, result["success"], result["command"]), (True, True, "BGSAVE"), result)
            self.assertIn(key.encode(), self.dump())

    def slow(self, microseconds):
        """A server whose snapshots take so long for each key."""
        server = Redis("--rdb-key-save-delay", str(microseconds))
        self.addCleanup(server.close)
        for i in range(4):
            server.ask("SET", f"key-{i}", "1")
        return server

    def test_one_that_is_under_way_does_not_count(self):
        server = self.slow(200000)
        server.ask("BGSAVE")
        server.ask("SET", "late-key", "1")
        self.assertTrue(self.tell(self.start("redis", f"unix://:secret@{server.socket}"), event())[1]["success"])
        self.assertIn(b"late-key", self.dump(server))

    def test_where_it_cannot_fork(self):
        server = Redis("--rename-command", "BGSAVE", "")
        self.addCleanup(server.close)
        server.ask("SET", "a-key", "1")
        self.assertEqual(self.tell(self.start("redis", f"unix://:secret@{server.socket}"), event())[1]["command"],
                         "SAVE")
        self.assertIn(b"a-key", self.dump(server))

    def test_where_it_cannot_write(self):
        server = Redis("--dbfilename", "no-such-directory.rdb")
        self.addCleanup(server.close)
        os.mkdir(os.path.join(server.directory, "no-such-directory.rdb"))
        self.fails(self.start("redis", f"unix://:secret@{server.socket}"), event(), "SAVE: ERR")

    def test_a_snapshot_that_takes_too_long(self):
        server = self.slow(3000000)
        begun = time.monotonic()
        self.fails(self.start("redis", f"unix://:secret@{server.socket}", timeout_seconds=1), event(),
                   "there was no more time")
        self.assertLess(time.monotonic() - begun, 30)

    def test_its_share_of_the_time_bounds_it(self):
        server = self.slow(3000000)
        begun = time.monotonic()
        self.fails(self.start("redis", f"unix://:secret@{server.socket}"), event(budget=GLib.Variant("t", 1_500_000)),
                   "there was no more time")
        self.assertLess(time.monotonic() - begun, 30)

    def test_whoever_waits_stops_when_it_is_called_off(self):
        server = self.slow(3000000)
        plugin = self.start("redis", f"unix://:secret@{server.socket}")
        flush = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: any(name.startswith("temp-") for name in os.listdir(server.directory)))
        self.assertEqual(self.tell(plugin, event(**CANCELLED)), (False, {"status": "cancelled"}))
        handled, result = self.answer(flush)
        self.assertEqual((handled, result.get("status"), result.get("error")), (False, "cancelled", "it was called off"), result)

    def test_a_command_that_is_not_answered_is_not_waited_for_when_it_is_called_off(self):
        heard = []
        port = self.listen(lambda connection: heard.append(connection.recv(4096)))
        self.assert_not_waited_for(self.start("redis", f"redis://127.0.0.1:{port}"), heard)

    def test_not_on_a_full_disk(self):
        handled, result = self.tell(self.start("redis", f"unix://:secret@{self.server.socket}"), event(LOW))
        self.assertEqual((handled, "takes space" in result["status"]), (False, True))

    def test_one_of_another_user_gets_no_password(self):
        self.fails(self.start("redis", f"redis://:secret@localhost:{self.server.port}", server_user=""), event(),
                   f"a program of user {USER} listens there; the password is for one of root or redis or valkey alone")
        self.assertTrue(self.tell(self.start("redis", f"redis://:secret@localhost:{self.server.port}", server_user="*"), event())[1]["success"])

    def test_a_wrong_password(self):
        self.fails(self.start("redis", f"redis://:secretly-wrong@127.0.0.1:{self.server.port}"), event(), "AUTH: ")


class NoServer(FlusherCase):
    CONNECTIONS = {"mysql": "u:secret@tcp(127.0.0.1:%d)/", "postgresql": "postgresql://u:secret@127.0.0.1:%d/x",
                   "redis": "redis://:secret@127.0.0.1:%d"}

    def each(self):
        for name, connection in self.CONNECTIONS.items():
            if name in KNOWN:
                yield name, connection

    def test_nobody_is_there(self):
        with socket.socket() as s_:
            s_.bind(("127.0.0.1", 0))
            for name, connection in self.each():
                self.fails(self.start(name, connection % s_.getsockname()[1]), event(), "cannot connect")

    def test_somebody_who_never_answers(self):
        port = self.listen(lambda connection: None)
        for name, connection in self.each():
            begun = time.monotonic()
            self.fails(self.start(name, connection % port, timeout_seconds=1, server_user=USER), event(), "time")
            self.assertLess(time.monotonic() - begun, 30)

    def crowd(self, family, address):
        """A listener that takes nobody any more: connections to it are neither made nor refused. Where it is."""
        listener = socket.socket(family)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.listen(0)
        for _ in range(8):
            waits = socket.socket(family)
            self.addCleanup(waits.close)
            waits.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waits.connect(listener.getsockname())
        return listener.getsockname()

    def test_a_connection_of_redis_that_does_not_come_about(self):
        if "redis" not in KNOWN:
            self.skipTest("impossible here: this build does not know redis")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = self.crowd(socket.AF_UNIX, directory.name + "/redis")
        _, port = self.crowd(socket.AF_INET, ("127.0.0.1", 0))
        for connection in (f"unix://:secret@{path}", f"redis://:secret@127.0.0.1:{port}"):
            with self.subTest(connection):
                plugin = self.start("redis", connection)
                begun = time.monotonic()
                flush = self.send(plugin, event())
                self.assertEqual(self.tell(plugin, event(**CANCELLED)), (False, {"status": "cancelled"}))
                handled, result = self.answer(flush)
                self.assertEqual((handled, result["error"]), (False, "it was called off"))
                self.assertLess(time.monotonic() - begun, 30)
                self.fails(self.start("redis", connection, timeout_seconds=1), event(), "cannot connect: there was no more time")

    def test_somebody_who_hangs_up(self):
        port = self.listen(lambda connection: connection.close())
        for name, connection in self.each():
            self.fails(self.start(name, connection % port), event(), "")

    def test_somebody_who_talks_rubbish(self):
        def serve(connection):
            connection.sendall(os.urandom(4096))
            connection.close()

        port = self.listen(serve)
        for name, connection in self.each():
            self.fails(self.start(name, connection % port), event(), "")

    def read(self, connection, n):
        data = b""
        while len(data) < n:
            piece = connection.recv(n - len(data))
            if not piece:
                raise OSError
            data += piece
        return data

    def test_an_impostor_of_mysql_gets_no_password(self):
        if "mysql" not in KNOWN:
            self.skipTest("impossible here: this build does not know mysql")
        heard = []

        def packet(number, data):
            return len(data).to_bytes(3, "little") + bytes([number]) + data

        def serve(connection, plugin):
            # The protocol's handshake, and then another way to prove who one is: a password as it is, or for the impostor's own key.
            connection.sendall(packet(0, b"\x0a8.0.36\0" + bytes(4) + b"12345678\0" + b"\x09\x82" + b"\x2d" + b"\x02\0" + b"\x08\0" + b"\x15" +
                                      bytes(10) + b"123456789012\0" + b"mysql_native_password\0"))
            header = self.read(connection, 4)
            self.read(connection, int.from_bytes(header[:3], "little"))
            connection.sendall(packet(header[3] + 1, b"\xfe" + plugin + b"\0" + b"a" * 20 + b"\0"))
            header = self.read(connection, 4)
            heard.append(self.read(connection, int.from_bytes(header[:3], "little")))
            connection.close()

        for plugin in (b"mysql_clear_password", b"caching_sha2_password", b"sha256_password", b"dialog"):
            port = self.listen(lambda connection, plugin=plugin: serve(connection, plugin))
            self.fails(self.start("mysql", f"u:secret@tcp(127.0.0.1:{port})/"), event(), "cannot connect")
        self.assertEqual(heard, [])
        # The impostor is a good one: by the way that is no danger he hears an answer.
        port = self.listen(lambda connection: serve(connection, b"mysql_native_password"))
        self.fails(self.start("mysql", f"u:secret@tcp(127.0.0.1:{port})/"), event(), "cannot connect")
        self.assertEqual([len(answer) for answer in heard], [20])

    # Where the tests run as root, a program of root's would be trusted.
    IMPOSTOR = NOBODY if os.geteuid() == 0 else None

    def test_an_impostor_of_postgresql_gets_no_password(self):
        if "postgresql" not in KNOWN:
            self.skipTest("impossible here: this build does not know postgresql")
        heard = []

        def serve(connection):
            length = int.from_bytes(self.read(connection, 4), "big")
            if self.read(connection, length - 4)[:4] == (80877103).to_bytes(4, "big"):  # does it speak TLS?
                connection.sendall(b"N")
                length = int.from_bytes(self.read(connection, 4), "big")
                self.read(connection, length - 4)
            connection.sendall(b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big"))  # the password as it is
            heard.append(self.read(connection, 1))
            connection.close()

        connection = "postgresql://u:secret@127.0.0.1:%d/x?sslmode=%s"
        port = self.listen(serve, self.IMPOSTOR)
        for mode in ("disable", "prefer"):
            self.fails(self.start("postgresql", connection % (port, mode)), event(), "cannot connect")
        self.assertEqual(heard, [])
        if ctypes.CDLL("libpq.so.5").PQlibVersion() >= 160000:
            return
        # The impostor is a good one: where he is trusted he hears it.
        self.fails(self.start("postgresql", connection % (port, "disable"), server_user=USER), event(), "")
        self.assertEqual(heard, [b"p"])
        # Nor one who has not accepted yet, and may at any moment.
        port = self.listen(None, self.IMPOSTOR)
        self.fails(self.start("postgresql", connection % (port, "disable")), event(), f"a program of user {USER} listens there")
        self.fails(self.start("postgresql", connection % (port, "disable"), server_user=USER, timeout_seconds=1), event(), "there was no more time")

    def test_an_impostor_of_redis_gets_no_password(self):
        if "redis" not in KNOWN:
            self.skipTest("impossible here: this build does not know redis")
        heard = []

        def serve(connection):
            heard.append(connection.recv(4096))
            connection.close()

        port = self.listen(serve, self.IMPOSTOR)
        for connection in ("redis://:secret@127.0.0.1:%d", "redis://u:secret@localhost:%d"):
            self.fails(self.start("redis", connection % port), event(), f"a program of user {USER} listens there")
        self.fails(self.start("redis", "redis://:secret@127.0.0.1:%d" % self.listen(None, self.IMPOSTOR)), event(),
                   f"a program of user {USER} listens there")
        self.assertEqual([data for data in heard if data], [])
        self.fails(self.start("redis", "redis://:secret@127.0.0.1:%d" % port, server_user=USER), event(), "")
        self.assertIn(b"secret", heard[-1])

    def test_by_a_socket_for_both_families_the_same_is_asked(self):
        """IPv4 over a socket for IPv6: who listens there for IPv6 alone is another one, be he root."""
        if "postgresql" not in KNOWN:  # hiredis takes a socket for IPv4
            self.skipTest("impossible here: this build does not know postgresql")
        if ctypes.CDLL("libpq.so.5").PQlibVersion() >= 160000:
            self.skipTest("impossible here: libpq 16 and later gives nobody a password as it is")
        connection = "postgresql://u:secret@[::ffff:127.0.0.1]:%d/x?sslmode=disable"
        port = self.listen(None, self.IMPOSTOR)
        self.addCleanup(socket.create_server(("::", port), family=socket.AF_INET6).close)
        self.fails(self.start("postgresql", connection % port, timeout_seconds=5), event(), f"a program of user {USER} listens there")
        port = self.listen(None, self.IMPOSTOR)
        self.fails(self.start("postgresql", connection % port), event(), f"a program of user {USER} listens there")
        self.fails(self.start("postgresql", connection % port, server_user=USER, timeout_seconds=1), event(), "there was no more time")

    def namespace(self):
        """A network of its own, for as long as the test: the id of a process there."""
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(holder.communicate)
        if not holder.stdout.readline():
            self.skipTest("impossible here: no networks can be made")
        return holder.pid

    def within(self, namespace, *command):
        return ["nsenter", f"--net=/proc/{namespace}/ns/net", *command]

    def test_another_machine_gets_no_password(self):
        """Not even where a program of root's listens on the same port here, for every address."""
        here, there = self.namespace(), self.namespace()
        ip = [*self.within(here, "ip")]
        subprocess.run([*ip, "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(there)], check=True)
        for namespace, name, address in ((here, "here", "10.9.9.1/24"), (there, "there", "10.9.9.2/24")):
            subprocess.run(self.within(namespace, "ip", "address", "add", address, "dev", name), check=True)
            subprocess.run(self.within(namespace, "ip", "link", "set", name, "up"), check=True)
        code = ("import socket; s = socket.create_server(('', 4000)); print(flush=True)\n"
                "while True: print(s.accept()[0].recv(4096), flush=True)")
        heard = []
        for namespace in (here, there):
            listener = subprocess.Popen(self.within(namespace, "/usr/bin/python3", "-c", code), stdout=subprocess.PIPE)
            self.addCleanup(listener.communicate)
            self.addCleanup(listener.kill)
            self.assertEqual(listener.stdout.readline(), b"\n")
            heard.append(listener.stdout)
        for connection, settings, result in (("redis://:secret@10.9.9.2:4000", {}, "no program of this machine listens there"),
                                             ("redis://:secret@10.9.9.2:4000", {"server_user": "*", "timeout_seconds": 3}, "AUTH"),
                                             ("redis://:secret@10.9.9.1:4000", {"timeout_seconds": 3}, "AUTH")):
            plugin = self.plugin("nsenter", "database-flusher", f"--net=/proc/{here}/ns/net", PROGRAM)
            plugin.greet({"db_type": s("redis"), "connection_string": s(connection),
                          **{name: s(value) if isinstance(value, str) else GLib.Variant("x", value) for name, value in settings.items()}})
            self.fails(plugin, event(), result)
        self.assertEqual(heard[1].readline(), b"b''\n")
        self.assertIn(b"secret", heard[1].readline())
        self.assertIn(b"secret", heard[0].readline())

    def test_a_name_server_that_never_answers(self):
        """In a network of its own, whose name server hears and is silent: nobody waits for it beyond his time, nor once it is called off."""
        here = self.namespace()
        code = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 53)); print(flush=True)\n" \
               "while True: print(s.recv(4096), flush=True)"
        silent = subprocess.Popen(self.within(here, "/usr/bin/python3", "-c", code), stdout=subprocess.PIPE)
        self.addCleanup(silent.communicate)
        self.addCleanup(silent.kill)
        self.assertEqual(silent.stdout.readline(), b"\n")
        with tempfile.TemporaryDirectory() as directory:
            for name, text in (("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n"), ("nsswitch.conf", "hosts: dns\n")):
                with open(os.path.join(directory, name), "w") as f:
                    f.write(text)
            script = 'for name in resolv.conf nsswitch.conf; do mount --bind "$1/$name" "$(realpath "/etc/$name")" || exit 1; done; exec "$2"'
            tried = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", directory, "true"], stderr=subprocess.DEVNULL)
            if tried.returncode:
                self.skipTest("impossible here: no mounts can be made")
            for type_, connection in self.each():
                with self.subTest(type_):
                    plugin = self.plugin("nsenter", "database-flusher", f"--net=/proc/{here}/ns/net", "unshare", "--mount",
                                         "sh", "-c", script, "sh", directory, PROGRAM)
                    little, much = ({"db_type": s(type_), "connection_string": s(connection.replace("127.0.0.1:%d", f"in-{seconds}-s.example.org:4000")),
                                     "timeout_seconds": GLib.Variant("x", seconds)} for seconds in (1, 60))
                    plugin.greet(little)
                    begun = time.monotonic()
                    self.fails(plugin, event(), "cannot connect: there was no more time")
                    plugin.call("", "Configure", "(a{sv})", much)
                    flush = self.send(plugin, event())
                    while b"in-60-s" not in silent.stdout.readline():
                        pass
                    self.tell(plugin, event(**CANCELLED))
                    self.assertEqual(self.answer(flush)[1]["error"], "it was called off")
                    self.assertLess(time.monotonic() - begun, 20)
                    # Those who still wait there are no more than a few, and do not keep it from ending.
                    plugin.call("", "Configure", "(a{sv})", little)
                    for _ in range(2):
                        self.fails(plugin, event(), "there was no more time")
                    self.fails(plugin, event(), "those who tried before still wait for a name server")
                    # Who needs none is not kept from his server.
                    plugin.call("", "Configure", "(a{sv})", {**little, "connection_string": s(connection % 4000)})
                    handled, result = self.tell(plugin, event())
                    self.assertIn("cannot connect", result["error"])
                    self.assertNotIn("name server", result["error"])
                    self.assertEqual(plugin.stop()[0], 0)
                    self.assertLess(time.monotonic() - begun, 25)

    def test_a_dry_run_asks_no_server(self):
        with socket.socket() as s_:
            s_.bind(("127.0.0.1", 0))
            for name, connection in self.each():
                plugin = self.start(name, connection % s_.getsockname()[1])
                for more in ({}, CANCELLED):
                    for type_ in (SPOT, LOW):
                        data = {"data": GLib.Variant("a{sv}", {"dry_run": GLib.Variant("b", True)})}
                        handled, result = self.tell(plugin, event(type_, **data, **more))
                        self.assertEqual((handled, list(result)), (False, ["status"]))
                        self.assertIn(result["status"], ("dry_run", "cancelled"))
                        if not more:
                            self.assertEqual(result["status"], "dry_run")

    def test_hostile_events_and_no_time(self):
        with socket.socket() as s_:
            s_.bind(("127.0.0.1", 0))
            for name, connection in self.each():
                plugin = self.start(name, connection % s_.getsockname()[1])
                for left in (5, 0, -1e9):
                    self.fails(plugin, event(left=left), "there is no time left")
                for fields in ({}, {"type": GLib.Variant("t", 1)}, event("custom.flush")):
                    self.assertEqual(self.tell(plugin, fields), (False, {}))
                self.fails(plugin, {"type": s(SPOT), "deadline": s("soon"), "data": s("x")}, "cannot connect")


class Configuration(FlusherCase):
    def test_manifest_and_program_agree(self):
        manifest = self.assert_agrees_with_manifest(PROGRAM,
                                                    os.path.join(SOURCE, "plugins/database-flusher/plugin.json"))
        self.assertTrue(manifest["config_schema"]["connection_string"]["secret"])

    def test_wrong_configuration_is_refused_and_not_shown(self):
        plugin = self.plugin(PROGRAM, "database-flusher")
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        wrong = [("oracle", "x"), ("", "x")]
        for name, texts in (("mysql", ("secret", "u:secret@tcp(h:0)/", "http://u:secret@h")),
                            ("postgresql", ("host=x password='secret", "postgresql://u:secret@[::1/",
                                            "postgresql://h/?secret=x", "secret")),
                            ("redis", ("secret", "redis://:secret@h/name", "rediss://:secret@h"))):
            if name in KNOWN:
                wrong += [(name, text) for text in texts]
            else:
                wrong.append((name, ""))
        for type_, connection in wrong:
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument") as caught:
                plugin.call("", "Initialize", "(a{sv})", {"db_type": s(type_), "connection_string": s(connection)})
            self.assertNotIn("secret", caught.exception.message)
        self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", {"db_type": s("mysql")})


del FlusherCase, ServerCase
plugin_bus.main()
