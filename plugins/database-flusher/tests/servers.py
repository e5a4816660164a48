# SPDX-License-Identifier: Apache-2.0
"""Real database servers of the distribution, each with a directory of its own, reached by Unix sockets there and on
loopback. None of them runs as root: where the test does, they are nobody's."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

NOBODY = 65534
# Whose the servers are.
USER = str(NOBODY if os.geteuid() == 0 else os.geteuid())


def find(*names):
    """A program, also where Debian and Fedora keep those of servers."""
    for name in names:
        for path in [shutil.which(name), *sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")), f"/usr/sbin/{name}",
                     f"/usr/libexec/{name}"]:
            if path and os.access(path, os.X_OK):
                return path
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    needs = ()

    @classmethod
    def missing(cls):
        return [names[0] for names in cls.needs if not find(*names)]

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="snooze-db-")
        os.chmod(self.directory, 0o755)
        self.socket = os.path.join(self.directory, "socket")
        self.port = free_port()
        self.process = None
        self.log = os.path.join(self.directory, "log")
        if os.geteuid() == 0:
            os.chown(self.directory, NOBODY, NOBODY)

    def command(self, *arguments):
        who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        return [*who, *arguments]

    def run(self, *arguments):
        result = subprocess.run(self.command(*arguments), capture_output=True, text=True, cwd=self.directory,
                                stdin=subprocess.DEVNULL,
                                env={"PATH": os.environ["PATH"], "HOME": self.directory, "LC_ALL": "C.UTF-8"})
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def start(self, *arguments):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(*arguments), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.directory,
                                            env={"PATH": os.environ["PATH"], "HOME": self.directory,
                                                 "LC_ALL": "C.UTF-8"})
        deadline = time.monotonic() + 60
        while not self.ready():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.05)  # a server announces itself to nobody

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def end(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait()

    def close(self):
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)


class MariaDB(Server):
    needs = (("mariadbd", "mysqld"), ("mariadb-install-db", "mysql_install_db"), ("mariadb", "mysql"))

    def __init__(self):
        super().__init__()
        self.data = os.path.join(self.directory, "data")
        self.run(find("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--datadir={self.data}",
                 "--auth-root-authentication-method=normal",
                 "--skip-test-db", "--skip-name-resolve")
        self.begin()
        self.sql("CREATE USER flusher@localhost IDENTIFIED BY 'secret'; GRANT RELOAD, SUPER ON *.* TO flusher@localhost;"
                 "CREATE USER flusher@127.0.0.1 IDENTIFIED BY 'secret'; GRANT RELOAD, SUPER ON *.* TO flusher@127.0.0.1;"
                 "CREATE USER weak@localhost IDENTIFIED BY 'secret'; CREATE DATABASE d; CREATE TABLE d.t (x INT) ENGINE=InnoDB")

    def begin(self):
        self.start(find("mariadbd", "mysqld"), "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                   f"--port={self.port}",
                   "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0",
                   "--innodb-max-dirty-pages-pct=90", "--log-bin=bin", "--sync-binlog=0",
                   f"--general-log-file={self.directory}/queries", "--general-log", "--innodb-buffer-pool-size=16M",
                   "--skip-name-resolve",
                   "--innodb-flush-log-at-timeout=2700", f"--pid-file={self.directory}/pid")

    def ready(self):
        return subprocess.run([find("mariadb", "mysql"), "--no-defaults", "-u", "root", "-S", self.socket, "-e",
                               "SELECT 1"],
                              capture_output=True).returncode == 0

    def sql(self, text):
        return self.run(find("mariadb", "mysql"), "--no-defaults", "-u", "root", "-S", self.socket, "-N", "-B", "-e",
                        text)

    def variable(self, name):
        return self.sql(f"SELECT @@GLOBAL.{name}").strip()

    def queries(self):
        with open(os.path.join(self.directory, "queries"), errors="replace") as f:
            return f.read()


class PostgreSQL(Server):
    needs = (("postgres",), ("initdb",), ("psql",))

    def __init__(self):
        super().__init__()
        self.data = os.path.join(self.directory, "data")
        password = os.path.join(self.directory, "password")
        with open(password, "w") as f:
            f.write("secret\n")
        self.run(find("initdb"), "-D", self.data, "-U", "admin", "-A", "scram-sha-256", f"--pwfile={password}",
                 "--no-sync")
        self.start(find("postgres"), "-D", self.data, "-k", self.directory, "-p", str(self.port), "-c",
                   "listen_addresses=127.0.0.1",
                   "-c", "log_checkpoints=on", "-c", "fsync=off", "-c", "logging_collector=off")
        self.sql("CREATE ROLE weak LOGIN PASSWORD 'secret'; CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 1000)")

    def uri(self, user="admin", password="secret"):
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/postgres"

    def ready(self):
        return subprocess.run([find("psql"), self.uri(), "-c", "SELECT 1"], capture_output=True).returncode == 0

    def sql(self, text):
        return self.run(find("psql"), self.uri(), "-At", "-c", text)


class Redis(Server):
    needs = (("redis-server", "valkey-server"),)

    def __init__(self, *arguments):
        super().__init__()
        self.start(find("redis-server", "valkey-server"), "--port", str(self.port), "--bind", "127.0.0.1",
                   "--unixsocket", self.socket, "--unixsocketperm", "777", "--save", "",
                   "--requirepass", "secret", "--dir", self.directory, "--daemonize", "no", *arguments)

    def ask(self, *words):
        """One command, and the first line of its answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.settimeout(20)
            for command in (("AUTH", "secret"), words):
                data = [word.encode() for word in command]
                s.sendall(b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in data))
                answer = b""
                while b"\r\n" not in answer:
                    answer += s.recv(4096) or b"\r\n"
            return answer.decode().split("\r\n")[0]

    def ready(self):
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False
