# SPDX-License-Identifier: Apache-2.0
"""A private bus with a polkit that does as it is told, and the daemon of the build on it.

Nothing here sleeps: a test waits for a signal, a name's owner or a process's end, and fails after TIMEOUT seconds."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import gi

gi.require_version('Gio', '2.0')
from gi.repository import Gio, GLib  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get('SNOOZE_SOURCE_ROOT', HERE.parent.parent))
BUILD = pathlib.Path(os.environ.get('SNOOZE_BUILD_ROOT', SOURCE / 'build'))
SNOOZED = BUILD / 'src/daemon/snoozed'

NAME = 'io.cloudsnooze.Snooze1'
PATH = '/io/cloudsnooze/Snooze1'
MANAGER = NAME + '.Manager'
PLUGIN = NAME + '.Plugin'
PROVIDER = NAME + '.Provider'
ERROR = NAME + '.Error.'
ACTION = 'io.cloudsnooze.snooze1.'
ACCESS_DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
INTERACTION_REQUIRED = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'

# Long enough for valgrind, and for a machine that does much else.
TIMEOUT = 60

BUS_CONFIGURATION = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={directory}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{directory}/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
'''

# The machine on which tests run may be full or under pressure: nobody announces that, but where it is what is tested.
NOT_WATCHED = {'disk_low_percent': 0, 'memory_pressure_percent': 0, 'cpu_pressure_percent': 0, 'network_down_seconds': 0}

# Slow enough that nothing stops by itself while a test looks at something else.
CONFIGURATION = {'dry_run': True, 'naptime_minutes': 60, 'check_interval_seconds': 60, **NOT_WATCHED}

# A machine on which nothing happens, for replay().
QUIET = {'t': 0, 'cpu_usage': 0.5, 'memory_usage': 20, 'network_kbps': 0, 'disk_io_kbps': 0, 'input_idle_seconds': 100000, 'cpus': 4}


class Timeout(AssertionError):
    pass


def wait_for(condition, what, timeout=None):
    """Runs the main context until the condition holds; whatever changes it must wake the context."""
    late = []
    source = GLib.timeout_add_seconds(timeout or TIMEOUT, lambda: late.append(True) or False)
    try:
        while not condition():
            if late:
                raise Timeout(f'waited in vain for {what}')
            GLib.MainContext.default().iteration(True)
    finally:
        if not late:
            GLib.source_remove(source)


def continue_if_there(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def wait_for_file(condition, what, timeout=None):
    """The same for what a file says, which wakes nobody."""
    ticker = GLib.timeout_add(20, lambda: True)
    try:
        wait_for(condition, what, timeout)
    finally:
        GLib.source_remove(ticker)


class Process:
    """A child that is waited for through its pidfd, and killed at the end by its id alone."""

    def __init__(self, arguments, environment, log):
        self.log = log
        with open(log, 'ab') as output:
            self.popen = subprocess.Popen([str(a) for a in arguments], env=environment, stdin=subprocess.DEVNULL,
                                          stdout=output, stderr=output)
        self.pid = self.popen.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.source = GLib.io_add_watch(self.pidfd, GLib.PRIORITY_DEFAULT, GLib.IO_IN, self.on_end)

    def on_end(self, fd, condition):
        self.source = None
        return GLib.SOURCE_REMOVE

    def ended(self):
        return self.popen.poll() is not None

    def wait(self):
        wait_for(self.ended, f'the end of {self.popen.args[0]}')
        return self.popen.returncode

    def kill(self, number=signal.SIGKILL):
        if not self.ended():
            self.popen.send_signal(number)
        return self.wait()

    def close(self):
        self.kill()
        if self.source:
            GLib.source_remove(self.source)
        os.close(self.pidfd)

    def output(self):
        return pathlib.Path(self.log).read_text(errors='replace')


def variant(signature, arguments):
    return arguments if isinstance(arguments, GLib.Variant) else GLib.Variant(signature, arguments)


def block(data):
    """The arguments of ProcessData; by their signature millions of bytes would be taken one by one."""
    return GLib.Variant.new_tuple(GLib.Variant.new_from_bytes(GLib.VariantType('ay'), GLib.Bytes.new(data), True))


class Client:
    """One connection to the bus: a caller with a unique name of its own, and (for root) with a user of its own."""

    def __init__(self, address, uid=None):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        own = os.geteuid()
        if own not in (0, own if uid is None else uid):
            raise unittest.SkipTest('impossible here: other users need root')
        # The bus learns who it is when the socket is connected.
        os.seteuid(own if uid is None else uid)
        try:
            self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        finally:
            os.seteuid(own)
        self.name = self.connection.get_unique_name()

    def close(self):
        if not self.connection.is_closed():
            self.connection.close_sync(None)

    def call(self, method, signature='()', arguments=(), interface=MANAGER, path=PATH, destination=NAME, interactive=False):
        reply, _ = self.call_with_fds(method, signature, arguments, interface, path, destination, interactive)
        return reply

    def call_with_fds(self, method, signature='()', arguments=(), interface=MANAGER, path=PATH, destination=NAME,
                      interactive=False, fds=None):
        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
        reply, fds = self.connection.call_with_unix_fd_list_sync(
            destination, path, interface, method, variant(signature, arguments), None, flags, TIMEOUT * 1000, fds, None)
        return reply.unpack(), fds

    def send(self, method, signature='()', arguments=(), interface=MANAGER, path=PATH, destination=NAME, interactive=False):
        """Calls without waiting; the result collects (reply, error)."""
        result = []

        def on_reply(connection, answer):
            try:
                result.append((connection.call_finish(answer).unpack(), None))
            except GLib.Error as error:
                result.append((None, error))

        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
        self.connection.call(destination, path, interface, method, variant(signature, arguments), None, flags,
                             TIMEOUT * 1000, None, on_reply)
        return result

    def get(self, name, interface=MANAGER, path=PATH):
        return self.call('Get', '(ss)', (interface, name), 'org.freedesktop.DBus.Properties', path)[0]

    def owner(self, name):
        """The unique name of its owner, or None."""
        try:
            return self.call('GetNameOwner', '(s)', (name,), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                             'org.freedesktop.DBus')[0]
        except GLib.Error:
            return None

    def listen(self, interface, member, path=None, sender=None):
        """A list that collects the arguments of every such signal."""
        received = []
        self.connection.signal_subscribe(sender, interface, member, path, None, Gio.DBusSignalFlags.NONE,
                                         lambda c, s, p, i, m, parameters: received.append(parameters.unpack()))
        # Once the bus has answered this it knows of the match, too.
        self.call('GetId', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus', destination='org.freedesktop.DBus')
        return received

    def hear(self):
        """Afterwards the lists have all that the daemon has told until now: they grow where the main context runs, and in no call."""
        # Behind that on its way.
        self.get('State')
        while GLib.MainContext.default().iteration(False):
            pass


def error_name(error):
    return Gio.DBusError.get_remote_error(error) or error.message


class House:
    """The directories, the bus, the polkit stub and the daemon of one test."""

    def __init__(self, configuration=None, polkit=True, daemon=True, plugins=False):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='snooze-bus-'))
        self.directory.chmod(0o755)
        self.address = f'unix:path={self.directory}/bus'
        self.clients = []
        self.processes = []
        self.daemon = None
        self.snoozed = SNOOZED
        self.daemon_prefix = []
        self.replayed = []
        self.polkit = None
        self.environment = {'PATH': os.environ['PATH'], 'DBUS_SYSTEM_BUS_ADDRESS': self.address, 'LC_ALL': 'C.UTF-8',
                            # Plugins are copied away from where the linker left a path to it.
                            'LD_LIBRARY_PATH': str(BUILD / 'src/sdk'),
                            # Whoever sits at this machine is nobody's to write to: the bus passes it on to what it starts.
                            'SNOOZE_TERMINAL_DEVICES': str(self.directory / 'terminals')}
        for variable in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'):
            if variable in os.environ:
                self.environment[variable] = os.environ[variable]
        for name in ('services', 'state', 'run', 'etc', 'plugins'):
            (self.directory / name).mkdir(mode=0o755)
        (self.directory / 'terminals/pts').mkdir(parents=True)
        (self.directory / 'bus.conf').write_text(BUS_CONFIGURATION.format(directory=self.directory))
        self.configure(configuration or {})
        try:
            self.start_bus()
            if polkit:
                self.start_polkit()
            if plugins:
                self.install_example()
                self.install_cloud()
            if daemon:
                self.start_daemon()
            if plugins and daemon:
                self.wait_for_provider()
        except BaseException:
            self.close()
            raise

    # The bus

    def start_bus(self):
        ready, written = os.pipe()
        try:
            self.bus = subprocess.Popen(
                ['dbus-daemon', f'--config-file={self.directory}/bus.conf', '--nofork', '--nopidfile',
                 f'--print-address={written}'], pass_fds=[written], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.directory / 'bus.log', 'ab'))
            os.close(written)
            written = -1
            if not os.read(ready, 4096):
                raise AssertionError('dbus-daemon did not start: ' + (self.directory / 'bus.log').read_text())
        finally:
            os.close(ready)
            if written >= 0:
                os.close(written)
        self.watcher = self.client()
        # Every signal of anybody wakes whoever waits for what it may have changed.
        self.watcher.listen(None, None)
        self.properties = self.watcher.listen('org.freedesktop.DBus.Properties', 'PropertiesChanged')

    def stop_bus(self):
        self.bus.terminate()
        self.bus.wait(TIMEOUT)
        for client in self.clients:
            client.connection.set_exit_on_close(False)
        (self.directory / 'bus').unlink(missing_ok=True)

    def client(self, uid=None):
        client = Client(self.address, uid)
        client.connection.set_exit_on_close(False)
        self.clients.append(client)
        return client

    def check_now(self):
        """CheckNow of somebody new, as soon as his user may ask again: once a second and caller, and so often a user."""
        while True:
            try:
                return self.client().call('CheckNow')
            except GLib.Error as error:
                if error_name(error) != ERROR + 'LimitsExceeded':
                    raise
            later = []
            GLib.timeout_add(200, lambda later=later: later.append(True) or False)
            wait_for(lambda later=later: later, 'the next check that is allowed')

    def spawn(self, arguments, log):
        process = Process(arguments, self.environment, self.directory / log)
        self.processes.append(process)
        return process

    def wait_for_owner(self, name, process):
        wait_for(lambda: self.watcher.owner(name) or process.ended(), f'the owner of {name}')
        if process.ended():
            raise AssertionError(f'{process.popen.args[0]} ended with {process.popen.returncode}:\n{process.output()}')

    # polkit

    def start_polkit(self):
        self.polkit = self.spawn(['/usr/bin/python3', HERE / 'polkit-stub.py'], 'polkit.log')
        self.wait_for_owner('org.freedesktop.PolicyKit1', self.polkit)
        self.asked = self.watcher.listen('test.Polkit', 'Asked')
        self.cancelled = self.watcher.listen('test.Polkit', 'Cancelled')

    def call_polkit(self, method, signature='()', arguments=()):
        return self.watcher.call(method, signature, arguments, 'test.Polkit', '/org/freedesktop/PolicyKit1/Authority',
                                 'org.freedesktop.PolicyKit1')

    def answer(self, mode, action=''):
        self.call_polkit('Answer', '(ss)', (action, mode))

    def questions(self):
        return json.loads(self.call_polkit('Questions')[0])

    def reset_polkit(self):
        self.call_polkit('Reset')

    # The daemon

    def configure(self, configuration, name='snooze.json'):
        (self.directory / 'etc' / name).write_text(json.dumps({**CONFIGURATION, **configuration}))

    def daemon_arguments(self, *more):
        return [*self.daemon_prefix, self.snoozed, '--state-directory', self.directory / 'state',
                '--runtime-directory', self.directory / 'run', '--config-directory', self.directory / 'etc',
                '--plugin-directory', self.directory / 'plugins', *self.replayed, *more]

    def preload(self, module, **variables):
        """Into the daemon, before its libraries: a module that takes the place of some of their functions."""
        path = BUILD / f'tests/bus/{module}.so'
        # The linker goes on without what is not there.
        assert path.exists(), path
        options = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0')))
        self.daemon_prefix = ['env', f'LD_PRELOAD={path}', f'ASAN_OPTIONS={options}', *(f'{name}={value}' for name, value in variables.items())]

    def replay(self, *instants):
        """The next daemon takes these for this machine's metrics."""
        trace = self.directory / 'trace.jsonl'
        trace.write_text(''.join(json.dumps(instant) + '\n' for instant in instants))
        self.replayed = ['--replay', trace]

    def start_daemon(self, *more):
        self.properties.clear()
        self.daemon = self.spawn(self.daemon_arguments(*more), 'snoozed.log')
        self.wait_for_owner(NAME, self.daemon)
        # It takes the name before it reads anything; it answers once it has read everything.
        self.watcher.get('State')
        return self.daemon

    def kill_daemon(self, number=signal.SIGKILL):
        status = self.daemon.kill(number)
        wait_for(lambda: self.watcher.owner(NAME) is None, f'{NAME} to be free')
        return status

    def restart_daemon(self, number=signal.SIGKILL, *more):
        self.kill_daemon(number)
        return self.start_daemon(*more)

    # Plugins

    def install_plugin(self, identifier, program, enabled=True, arguments=(), variables=None, **manifest):
        """Puts a plugin where the daemon finds it and the bus activates it. Returns its directory."""
        entries = {'name': identifier, 'display_name': identifier.title(), 'version': '1.0.0', 'author': 'Tests',
                   'description': 'Only for tests', 'category': 'test', 'tags': ['test'], 'type': 'plugin', 'language': 'c',
                   'api': 1, 'runtime': 'dbus', 'exec': identifier, 'permissions': [], 'config_schema': {}}
        return self.place_plugin(identifier, program, {**entries, **manifest}, enabled, arguments, variables)

    def place_plugin(self, identifier, program, manifest, enabled=True, arguments=(), variables=None):
        """All that a daemon which runs already looks for when it finds a plugin is there before its plugin.json is."""
        directory = self.directory / 'plugins' / identifier
        # One that is to replace another is started in the other's slot, by a name of its own.
        for suffix, slot in (('', 'a'), ('.a', 'a'), ('.b', 'b')):
            name = 'io.cloudsnooze.Plugin1.' + identifier + suffix
            settings = [f'{key}={value}' for key, value in {**(variables or {}), 'SNOOZE_SLOT': slot}.items()]
            command = ' '.join(str(word) for word in ('/usr/bin/env', *settings, directory / identifier, *arguments))
            (self.directory / 'services' / f'{name}.service').write_text(
                f'[D-BUS Service]\nName={name}\nExec={command}\nUser=root\n')
        self.watcher.call('ReloadConfig', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus',
                          destination='org.freedesktop.DBus')
        enabled_directory = self.directory / 'state/enabled'
        enabled_directory.mkdir(exist_ok=True)
        if enabled:
            (enabled_directory / identifier).touch()
        directory.mkdir(mode=0o755)
        shutil.copy(program, directory / identifier)
        (directory / identifier).chmod(0o755)
        (directory / 'plugin.new').write_text(json.dumps(manifest))
        (directory / 'plugin.new').rename(directory / 'plugin.json')
        return directory

    def install_stock(self):
        """What CloudSnooze itself brings, as it was built."""
        for place in ('plugins/sessions', 'plugins/terminal', 'providers/local'):
            identifier = pathlib.PurePath(place).name
            manifest = json.loads((BUILD / place / 'plugin.json').read_text())
            self.place_plugin(identifier, BUILD / place / identifier, manifest)

    def install_fake(self, identifier, behaviour, **manifest):
        """One that behaves badly in a way of its own (tests/unit/fake-plugin.c)."""
        self.install_plugin(identifier, BUILD / 'tests/unit/fake-plugin', arguments=(identifier, behaviour, self.directory),
                            **{'contracts': ['IdleCheck'], **manifest})

    def lived_through(self, identifier):
        """What a fake plugin wrote down: starts, Handshake, Initialize, CheckIdle …"""
        log = self.directory / f'{identifier}.log'
        return log.read_text().split() if log.exists() else []

    def install_example(self, variables=None, **manifest):
        """IdleCheck, EventHandler, State, DataProcessor and RequestHandler, written with the SDK."""
        return self.install_plugin('example', BUILD / 'tests/bus/sdk-plugin', variables=variables, **{
            'version': '1.2.0', 'contracts': ['IdleCheck', 'EventHandler', 'State', 'DataProcessor', 'RequestHandler'],
            'events': {'custom.*': {'priority': 5, 'enabled': True}},
            'config_schema': {'mode': {'type': 'string', 'description': 'What it answers', 'default': 'idle'}}, **manifest})

    def install_cloud(self, identifier='cloud', timeouts=None, schema=None, permissions=(), **behaviour):
        directory = self.install_plugin(identifier, HERE / 'cloud-plugin.py', contracts=['CloudProvider'], type='provider',
                                        language='python', timeouts=timeouts or {}, config_schema=schema or {},
                                        permissions=list(permissions))
        (directory / 'introspection').write_text(str(SOURCE / 'introspection'))
        self.behave(identifier, **behaviour)
        return directory

    def behave(self, identifier='cloud', **behaviour):
        directory = self.directory / 'plugins' / identifier
        # Whole, whenever it is read.
        (directory / 'behaviour.new').write_text(json.dumps(behaviour))
        (directory / 'behaviour.new').rename(directory / 'behaviour.json')

    def asked_of(self, identifier='cloud'):
        """(method, arguments) of each call that it got."""
        calls = self.directory / 'plugins' / identifier / 'calls.jsonl'
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def wait_for_provider(self, identifier='cloud'):
        """Until it was chosen and told what it knows."""
        path = f'{PATH}/provider/{identifier}'
        wait_for(lambda: self.watcher.get('Provider') == path, 'the provider to be chosen')
        # Told at the end of all that it is asked, in the same breath as it counts.
        wait_for(lambda: any(interface == PROVIDER and changed.get('InstanceId') for interface, changed, _ in self.properties),
                 'its instance')

    def end_daemon(self):
        """Politely, so that a sanitizer has its say: an end that is not clean fails the test."""
        status = self.daemon.kill(signal.SIGTERM)
        output = self.daemon.output()
        if status != 0 or 'Sanitizer' in output or 'runtime error' in output:
            raise AssertionError(f'snoozed ended with {status}:\n{output}')

    def close(self):
        try:
            if self.daemon and not self.daemon.ended():
                self.end_daemon()
        finally:
            self.close_rest()

    def close_rest(self):
        for client in self.clients:
            client.close()
        for process in reversed(self.processes):
            process.close()
        if getattr(self, 'bus', None) and self.bus.poll() is None:
            self.bus.terminate()
            self.bus.wait(TIMEOUT)
        shutil.rmtree(self.directory, ignore_errors=True)


class BusTest(unittest.TestCase):
    """A house for each test."""

    configuration = {}
    daemon = True
    plugins = False

    def setUp(self):
        self.house = House(self.configuration, daemon=self.daemon, plugins=self.plugins)
        self.addCleanup(self.house.close)
        self.client = self.house.client()

    def assertFails(self, name, method, signature='()', arguments=(), client=None, part='', **more):
        with self.assertRaises(GLib.Error) as caught:
            (client or self.client).call(method, signature, arguments, **more)
        self.assertEqual(error_name(caught.exception), name, caught.exception.message)
        self.assertIn(part, caught.exception.message)
        return caught.exception.message

    def explain(self):
        """What everybody said, for whoever reads why a test failed."""
        for log in sorted(self.house.directory.glob('*.log')):
            for line in log.read_text(errors='replace').splitlines()[-40:]:
                yield f'{log.name}: {line}'


class SharedBusTest(BusTest):
    """One house for all tests of a class that leave it as they found it."""

    @classmethod
    def setUpClass(cls):
        cls.house = House(cls.configuration, plugins=cls.plugins)
        cls.addClassCleanup(cls.house.close)

    def setUp(self):
        self.house.reset_polkit()
        self.client = self.house.client()
        self.addCleanup(self.client.close)
