# SPDX-License-Identifier: Apache-2.0
"""System monitors on a real kernel: what netlink, PSI and full file systems tell becomes events, and is called off."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from gi.repository import GLib

import host
import tap
from harness import BUILD, MANAGER, PATH, BusTest, wait_for


NETWORK = '''
set -e
mount -t sysfs sysfs /sys
ip link set lo up
ip link add way type veth peer name out
ip address add 198.51.100.1/24 dev way
ip link set out up
ip link set way up
ip route add default via 198.51.100.2
exec "$@"
'''

# A disk with a file system of a program over it that answers nothing, not even that it is there: $1 is a directory, the daemon the rest.
# The program's end is kept open where the daemon runs, and closed with it.
COVERED = '''
import ctypes, os, subprocess, sys

folder = sys.argv[1]
subprocess.run(["truncate", "-s", "16M", folder + "/image"], check=True)
subprocess.run(["mkfs.ext4", "-q", folder + "/image"], check=True)
for name in ("covered", "open"):
    os.mkdir(f"{folder}/{name}")
subprocess.run(["mount", "-o", "loop", folder + "/image", folder + "/covered"], check=True)
subprocess.run(["truncate", "-s", "17M", folder + "/another"], check=True)
subprocess.run(["mkfs.ext4", "-q", folder + "/another"], check=True)
subprocess.run(["mount", "-o", "loop", folder + "/another", folder + "/open"], check=True)
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"silent", f"{folder}/covered".encode(), b"fuse", 0, options):
    raise OSError(ctypes.get_errno(), "fuse")
os.set_inheritable(fuse, True)
os.execvp(sys.argv[2], sys.argv[2:])
'''


# A disk below a directory that is closed to others: $1 has both, the daemon is the rest, and may no more than any user where it owns nothing.
CLOSED = '''
set -e
truncate -s 16M "$1/image"
mkfs.ext4 -q "$1/image"
mkdir -p "$1/closed/disk"
mount -o loop "$1/image" "$1/closed/disk"
chown 65534 "$1/closed"
chmod 0700 "$1/closed"
shift
exec setpriv --inh-caps=-dac_override,-dac_read_search --bounding-set=-dac_override,-dac_read_search "$@"
'''


def no_disk():
    """None where a test may mount a disk, else why not, for a skip."""
    if host.no_mounts():
        return host.no_mounts()
    with tempfile.TemporaryDirectory() as directory:
        tried = subprocess.run(['unshare', '--mount', 'sh', '-c', CLOSED, 'sh', directory, 'true'], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return 'impossible here: no loop devices: ' + ' '.join(tried.stderr.split()[-12:]) if tried.returncode else None


def no_covered_disk():
    """None where a test may mount a disk and a file system of a program, else why not, for a skip."""
    if host.no_mounts():
        return host.no_mounts()
    with tempfile.TemporaryDirectory() as directory:
        tried = subprocess.run(['unshare', '--mount', sys.executable, '-c', COVERED, directory, 'true'], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return 'impossible here: no loop devices or no FUSE: ' + ' '.join(tried.stderr.split()[-12:]) if tried.returncode else None


def no_name_spaces():
    """None where a test may have a network of its own, else why not, for a skip."""
    if os.geteuid() != 0:
        return 'impossible here: a network name space takes root'
    tried = subprocess.run(['unshare', '--net', 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two'], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return 'impossible here: no network name spaces: ' + ' '.join(tried.stderr.split()) if tried.returncode else None


class MonitorTest(BusTest):
    daemon = False

    def setUp(self):
        super().setUp()
        self.received = self.client.listen(MANAGER, 'EventReceived', PATH)

    def start(self, **configuration):
        self.house.configure(configuration)
        self.house.start_daemon()

    def events(self, kind):
        return [event for _, found, event in self.received if found == kind]

    def fence(self):
        """What comes behind it is later than whatever the daemon had to say by itself."""
        self.client.call('ListEvents', '(u)', (100,))
        identifier = self.client.call('EmitEvent', '(suta{sv})', ('custom.fence', 0, 0, {}))[0]
        wait_for(lambda: any(event['id'] == identifier for event in self.events('custom.fence')), 'the fence')

    def wait_for_event(self, kind):
        wait_for(lambda: self.events(kind), kind)
        return self.events(kind)[0]


class Network(MonitorTest):
    def setUp(self):
        problem = host.no_mounts() or no_name_spaces()
        if problem:
            self.skipTest(problem)
        super().setUp()
        self.house.daemon_prefix = ['unshare', '--net', '--mount', 'sh', '-c', NETWORK, 'sh']
        self.start(network_down_seconds=0.2)

    def ip(self, *arguments):
        subprocess.run(['nsenter', '-t', str(self.house.daemon.popen.pid), '-n', 'ip', *arguments], check=True)

    def test_a_cable_that_is_pulled_and_put_back(self):
        cancelled = self.client.listen(MANAGER, 'EventCancelled', PATH)
        self.ip('link', 'set', 'out', 'down')
        event = self.wait_for_event('system.network.down')
        self.assertEqual((event['source'], event['severity'], event['data']), ('snoozed/network', 1, {'interface': 'way'}))
        self.ip('link', 'set', 'out', 'up')
        wait_for(lambda: (event['id'], 'snoozed/network') in cancelled, 'the end of it')
        self.ip('link', 'set', 'out', 'down')
        wait_for(lambda: len(self.events('system.network.down')) == 2, 'the second time')

    def test_a_route_that_is_taken_away(self):
        self.ip('route', 'delete', 'default')
        self.wait_for_event('system.network.down')


class Pressure(MonitorTest):
    def test_cpus_that_are_fought_for(self):
        if not os.access('/proc/pressure/cpu', os.R_OK):
            self.skipTest('impossible here: the kernel tells no pressure')
        self.start(cpu_pressure_percent=1, check_interval_seconds=10, sample_interval_seconds=0.5)
        busy = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(2 * len(os.sched_getaffinity(0)) + 1)]
        try:
            event = self.wait_for_event('system.cpu.high')
        finally:
            for process in busy:
                process.kill()
                process.wait()
        self.assertEqual((event['source'], event['severity']), ('snoozed/cpu', 0))
        self.assertGreaterEqual(event['data']['percent'], 1)


class Disk(MonitorTest):
    def test_a_disk_is_low_and_then_has_room(self):
        self.start(disk_low_percent=0.000001)
        event = self.wait_for_event('system.disk.low')
        self.assertEqual(event['source'], 'snoozed/disk')
        self.assertTrue(event['data']['path'].startswith('/'))
        # Handlers read these by name.
        self.assertEqual(set(event['data']), {'path', 'device', 'used_percent', 'used_names_percent', 'available_bytes', 'threshold_percent'})
        self.client.call('SetConfiguration', '(s)', ('{"disk_low_percent": 100}',))
        self.client.call('SetConfiguration', '(s)', ('{"disk_low_percent": 0.000001}',))
        path = event['data']['path']
        wait_for(lambda: [again['data']['path'] for again in self.events('system.disk.low')].count(path) == 2, 'the second time')

    def test_a_daemon_that_restarts_announces_nothing_again(self):
        self.cancelled = self.client.listen(MANAGER, 'EventCancelled', PATH)
        self.finished = self.client.listen(MANAGER, 'EventFinished', PATH)
        self.start(disk_low_percent=0.000001)
        first = self.wait_for_event('system.disk.low')
        wait_for(lambda: any(identifier == first['id'] for identifier, _, _ in self.finished), 'its end')
        # Other file systems come and go with what else this machine does.
        announced = {event['data']['device']: event['id'] for event in self.events('system.disk.low')}
        for sign in (signal.SIGTERM, signal.SIGKILL):
            # Its end on the disk, too: what is not written may be done once more.
            self.client.call('ListEvents', '(u)', (100,))
            self.house.restart_daemon(sign)
            self.fence()
            for event in self.events('system.disk.low'):
                self.assertEqual(event['id'], announced.setdefault(event['data']['device'], event['id']))
        # What is over is called off by the id that was announced, also after the restarts.
        self.client.call('SetConfiguration', '(s)', ('{"disk_low_percent": 100}',))
        wait_for(lambda: (first['id'], 'snoozed/disk') in self.cancelled, 'the end of it')
        self.client.call('SetConfiguration', '(s)', ('{"disk_low_percent": 0.000001}',))
        wait_for(lambda: any(event['data']['device'] == first['data']['device'] and event['id'] != first['id']
                             for event in self.events('system.disk.low')), 'the second time')

    def test_one_that_was_over_meanwhile_is_called_off(self):
        self.cancelled = self.client.listen(MANAGER, 'EventCancelled', PATH)
        self.finished = self.client.listen(MANAGER, 'EventFinished', PATH)
        self.start(disk_low_percent=0.000001)
        first = self.wait_for_event('system.disk.low')
        wait_for(lambda: any(identifier == first['id'] for identifier, _, _ in self.finished), 'its end')
        self.client.call('ListEvents', '(u)', (100,))
        self.house.end_daemon()
        self.start(disk_low_percent=0)
        wait_for(lambda: (first['id'], 'snoozed/disk') in self.cancelled, 'the end of it')
        listed = next(event for event in self.client.call('ListEvents', '(u)', (100,))[0] if event['id'] == first['id'])
        self.assertEqual((listed['finished'], listed['cancelled']), (True, True))

    def test_one_that_is_covered_by_what_never_answers(self):
        """Asked by its path, that would be asked, and the daemon would never come back."""
        problem = no_covered_disk()
        if problem:
            self.skipTest(problem)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.house.daemon_prefix = ['unshare', '--mount', sys.executable, '-c', COVERED, directory.name]
        self.start(disk_low_percent=0.000001)
        wait_for(lambda: any(event['data']['path'] == directory.name + '/open' for event in self.events('system.disk.low')),
                 'the disk beside it')
        self.client.call('CheckNow')
        self.fence()
        self.assertFalse([event for event in self.events('system.disk.low') if event['data']['path'] == directory.name + '/covered'])

    def doctor(self, check):
        """The rows about this one: what stands in each column, and at last what to do about it."""
        told = subprocess.run([BUILD / 'src/cli/cloudsnooze', 'doctor'], env=self.house.environment, capture_output=True, text=True, timeout=60,
                              check=False)
        return [row for row in (line.split('\t') for line in told.stdout.splitlines()) if row[1:2] == [check]]

    def test_one_that_cannot_be_asked_is_a_blind_row(self):
        problem = no_disk()
        if problem:
            self.skipTest(problem)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.house.daemon_prefix = ['unshare', '--mount', 'sh', '-c', CLOSED, 'sh', directory.name]
        self.start(check_interval_seconds=1, disk_low_percent=100)
        tick = GLib.timeout_add(100, lambda: GLib.SOURCE_CONTINUE)
        self.addCleanup(GLib.source_remove, tick)
        wait_for(lambda: self.doctor('disk-space'), 'the row')
        self.assertEqual(self.doctor('disk-space'), [
            ['blind', 'disk-space',
             f'below a directory that is closed to others, so that nobody is told when they fill up: {directory.name}/closed/disk',
             'Let others pass there, without reading it: chmod o+x on each directory above; or mount it elsewhere.']])
        pathlib.Path(directory.name, 'closed').chmod(0o711)
        wait_for(lambda: not self.doctor('disk-space'), 'the end of it')

    def test_off_is_off(self):
        self.start()
        self.client.call('CheckNow')
        self.fence()
        self.assertEqual([kind for _, kind, _ in self.received], ['custom.fence'])


del MonitorTest

if __name__ == '__main__':
    tap.main()
