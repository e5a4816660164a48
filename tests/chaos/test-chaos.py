# SPDX-License-Identifier: Apache-2.0
"""Many plugins that fall ill at random (moody-plugin.c), and what must hold all the while: no word of an ill one counts as idle, nor does one
that is stopped or dead, the machine is never idle while one that is required is ill, whether it is asked for a round or comes to that by
itself, and when all are well again each of them runs or is rightly quarantined, and the daemon has no more memory than before.

SNOOZE_CHAOS_SECONDS, SNOOZE_CHAOS_PLUGINS and SNOOZE_CHAOS_SEED say how long, how many and which; the seed is printed."""

import os
import pathlib
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'bus'))

from gi.repository import GLib  # noqa: E402

import tap  # noqa: E402
from harness import BUILD, ERROR, MANAGER, PATH, PLUGIN, QUIET, House, error_name, wait_for, wait_for_file  # noqa: E402

SECONDS = float(os.environ.get('SNOOZE_CHAOS_SECONDS', 20))
PLUGINS = int(os.environ.get('SNOOZE_CHAOS_PLUGINS', 50))
SEED = int(os.environ.get('SNOOZE_CHAOS_SEED', random.SystemRandom().randrange(1 << 32)))
SANITIZED = os.environ.get('SNOOZE_SANITIZE', 'none') != 'none'

# An ill one stays so until its mood changes: no honest "idle" can come from it, whatever is done to its process.
MOODS = ['hang', 'deaf', 'die', 'stillborn', 'error', 'lie', 'rubbish', 'huge', 'deep', 'late', 'twice', 'flood', 'break']
# What is done to a process that may well be replaced by a good one at once.
BLOWS = [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV]
MAX_RESTARTS = 4
WINDOW_SECONDS = 30
TIMEOUTS = {'start': 10, 'initialize': 2, 'check': 2 if SANITIZED else 1, 'shutdown': 1}
GROWTH_MAX_KB = 512
# What one said while it was well is worn out by then, and whatever was decided before has been heard of: two check intervals, the time-out,
# and what a machine under such a load is late.
FORGOTTEN_SECONDS = 14


class Patient:
    """One plugin, and what this test knows of it."""

    def __init__(self, house, number):
        self.id = f'moody-{number}'
        self.file = house.directory / f'{self.id}.mood'
        self.pid_file = house.directory / f'{self.id}.pid'
        self.path = f'{PATH}/plugin/moody_2d{number}'
        self.state = None
        self.failures = []
        self.deserved = True
        self.ill_since = None
        self.silent = self.silent_since = None
        self.set('well')
        house.install_plugin(self.id, BUILD / 'tests/chaos/moody-plugin', contracts=['IdleCheck'], timeouts=TIMEOUTS,
                             arguments=(self.id, house.directory, 'channel' if number % 2 else 'bus'))

    def set(self, mood):
        # Whole, whenever it is read.
        new = self.file.with_suffix('.new')
        new.write_text(mood)
        new.rename(self.file)
        self.mood = mood
        self.ill_since = None if mood == 'well' else time.monotonic()

    def pid(self):
        """Of its latest process; 0: it never had one."""
        return int(self.pid_file.read_text()) if self.pid_file.exists() else 0

    def look(self):
        """Its latest process if that is stopped or dead, so that nobody can speak for it; None: one may."""
        pid = self.pid()
        try:
            # Behind the name, which may have blanks and brackets.
            state = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            state = 'X'
        silent = pid if state in 'TZX' else None
        if silent != self.silent:
            self.silent, self.silent_since = silent, time.monotonic()
        return silent


class Chaos(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f'seed {SEED}, {PLUGINS} plugins, {SECONDS:g} s', file=sys.stderr)
        cls.random = random.Random(SEED)
        cls.house = House({'check_interval_seconds': 1, 'unknown_grace_seconds': 0, 'provider': 'none',
                           'plugins': {'max_restarts': MAX_RESTARTS, 'restart_window_minutes': WINDOW_SECONDS / 60}}, daemon=False)
        cls.addClassCleanup(cls.house.close)
        cls.house.replay(QUIET)
        cls.patients = [Patient(cls.house, number) for number in range(PLUGINS)]
        cls.by_path = {patient.path: patient for patient in cls.patients}
        cls.house.watcher.connection.signal_subscribe(None, PLUGIN, 'StateChanged', None, None, 0, cls.on_state)
        cls.slips = []
        # Below what comes in: at that moment all of it had been heard.
        cls.heard_all = time.monotonic()
        cls.addClassCleanup(GLib.source_remove, GLib.timeout_add(100, cls.on_silence, priority=GLib.PRIORITY_LOW))
        cls.house.watcher.connection.signal_subscribe(None, MANAGER, 'StateChanged', PATH, None, 0, cls.on_decision)
        cls.house.start_daemon()

    @classmethod
    def on_silence(cls):
        cls.heard_all = time.monotonic()
        return True

    @classmethod
    def on_decision(cls, connection, sender, path, interface, member, parameters):
        """In rounds of its own the daemon asks every second, whoever else does."""
        state, previous, reason = parameters.unpack()
        if state not in ('idle', 'warning'):
            return
        # Since then it may have been decided, whenever this is heard.
        long_ago = cls.heard_all - FORGOTTEN_SECONDS
        ill = [f'{patient.id} ({patient.mood})' for patient in cls.patients if patient.ill_since and patient.ill_since < long_ago]
        ill += [f'{patient.id} (stopped or dead)' for patient in cls.patients
                if patient.look() is not None and patient.silent_since < long_ago]
        if ill:
            cls.slips.append(f'{previous} → {state} ({reason}), although ill: {", ".join(ill)}')

    def tearDown(self):
        self.assertEqual(self.slips, [])

    @classmethod
    def on_state(cls, connection, sender, path, interface, member, parameters):
        patient = cls.by_path[path]
        patient.state = parameters.unpack()[0]
        if patient.state in ('failed', 'quarantined'):
            patient.failures.append(time.monotonic())
        if patient.state == 'quarantined':
            recent = [moment for moment in patient.failures if time.monotonic() - moment < WINDOW_SECONDS + 5]
            patient.deserved = len(recent) > MAX_RESTARTS

    # What is looked at

    def explain(self):
        yield f'SNOOZE_CHAOS_SEED={SEED}'
        for patient in self.patients:
            if patient.mood != 'well' or patient.state != 'running':
                yield f'{patient.id}: {patient.mood}, {patient.state}, failed {len(patient.failures)} times'
        for line in self.house.daemon.output().splitlines()[-60:]:
            yield line

    def properties(self, client):
        """{path: properties}. One question for all: each sender has so many calls a second."""
        objects, = client.call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')
        return {patient.path: objects[patient.path][PLUGIN] for patient in self.patients}

    def assert_nothing_poisonous(self):
        """State and votes of one moment. Returns {source: verdict}."""
        state, _, votes = self.house.watcher.call('Explain')
        for source, verdict, reason, _ in votes:
            if verdict == 'idle':
                self.assertNotIn('poison', reason, source)
            if source.startswith('moody-') and verdict != 'idle':
                self.assertEqual(state, 'active', f'although {source} says {verdict}: {reason}')
        return {source: verdict for source, verdict, _, _ in votes}

    def verdict(self, patient):
        return next(verdict for source, verdict, _, _ in self.house.watcher.call('Explain')[2] if source == patient.id)

    def check_now(self):
        """A whole round: (idle, reason). No source that was ill from its beginning to its end may let it be idle, and who had no process
        that could have answered anything all the while counts as unknown."""
        before = {patient: patient.look() for patient in self.patients}
        began = time.monotonic()
        client = self.house.client()
        try:
            result = client.send('CheckNow')
            wait_for(lambda: result, 'the round to end')
        finally:
            self.house.clients.remove(client)
            client.close()
        answer, error = result[0]
        if error and error_name(error) == ERROR + 'LimitsExceeded':
            # Of one user, too, only so many a second.
            over = []
            GLib.timeout_add(200, lambda: over.append(True) or False)
            wait_for(lambda: over, 'the next check that is allowed')
            return self.check_now()
        self.assertIsNone(error, error and error_name(error))
        ill = [patient for patient in self.patients if patient.ill_since and patient.ill_since < began]
        if ill:
            self.assertFalse(answer[0], f'idle although ill: {", ".join(f"{p.id} ({p.mood})" for p in ill)}')
        verdicts = self.assert_nothing_poisonous()
        self.silent = [patient for patient in self.patients if before[patient] is not None and patient.look() == before[patient]]
        for patient in self.silent:
            self.assertFalse(answer[0], f'idle although {patient.id} is stopped or dead')
            self.assertEqual(verdicts[patient.id], 'unknown', f'{patient.id} is stopped or dead')
        return answer

    def private_dirty(self):
        lines = pathlib.Path(f'/proc/{self.house.daemon.pid}/smaps_rollup').read_text().splitlines()
        return int(next(line for line in lines if line.startswith('Private_Dirty:')).split()[1])

    # What is done

    def sicken(self, patient, mood, pid):
        patient.set(mood)
        if mood == 'stillborn':
            # That shows only when it is started.
            self.strike(patient, signal.SIGKILL, pid)
            patient.ill_since = time.monotonic()

    def strike(self, patient, number, pid):
        if not pid:
            return
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            # Now that nobody else can become this process: is it ours?
            if b'moody-plugin' not in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes() and \
                    patient.id.encode() not in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes():
                return
            signal.pidfd_send_signal(pidfd, number)
        except (ProcessLookupError, FileNotFoundError):
            pass
        finally:
            os.close(pidfd)

    def cure(self):
        """All well and running again. Who is in quarantine must have deserved it, and leaves it by Restart."""
        for patient in self.patients:
            patient.set('well')
        ticker = GLib.timeout_add(200, lambda: True)
        try:
            wait_for(self.settled, 'every plugin to run or to be quarantined', 180)
        finally:
            GLib.source_remove(ticker)
        quarantined = [patient for patient in self.patients if patient.state == 'quarantined']
        for patient in quarantined:
            self.release(patient, self.house.watcher.call)
        ticker = GLib.timeout_add(200, lambda: True)
        try:
            wait_for(self.recovered, 'the machine to be idle, and every plugin to run and to be healthy', 180)
        finally:
            GLib.source_remove(ticker)
        return len(quarantined)

    def idle(self):
        """Whether a round says so. One that is well and was too slow too often comes back first."""
        for patient in self.patients:
            if patient.state == 'quarantined':
                self.release(patient, self.house.watcher.call)
        return self.check_now()[0]

    def recovered(self):
        return self.idle() and all((properties['State'], properties['Healthy']) == ('running', True)
                                   for properties in self.properties(self.house.watcher).values())

    def release(self, patient, ask):
        """From a quarantine that it must have deserved. What it did before does not count for the next one."""
        self.assertTrue(patient.deserved, f'{patient.id} is in quarantine')
        patient.failures.clear()
        ask('Restart', interface=PLUGIN, path=patient.path)

    def settled(self):
        # One that was stopped is known to be so when it is asked the next time.
        self.check_now()
        return all(patient.state in ('running', 'quarantined') for patient in self.patients)

    def test_1_each_illness_alone_keeps_the_machine_on(self):
        self.cure()
        for mood in MOODS:
            for patient in self.random.sample(self.patients, 1 if SECONDS < 60 else 4):
                with self.subTest(mood=mood, patient=patient.id):
                    self.sicken(patient, mood, self.properties(self.house.watcher)[patient.path]['Pid'])
                    try:
                        if mood == 'stillborn':
                            wait_for_file(lambda: patient.look() is not None, 'its end')
                        self.assertFalse(self.check_now()[0])
                        if mood == 'stillborn':
                            self.assertIn(patient, self.silent)
                        # One that was ill before may fall only now, so the reason need not name this one; its vote says it.
                        self.assertNotEqual(self.verdict(patient), 'idle')
                    finally:
                        # The next illness is to be alone, too.
                        patient.set('well')
                    wait_for(self.idle, f'idleness after {mood}')

    def test_2_one_that_is_stopped_alone_keeps_the_machine_on(self):
        self.cure()
        for patient in self.random.sample(self.patients, 1 if SECONDS < 60 else 4):
            with self.subTest(patient=patient.id):
                # Another process of it may come before a round has been held without it.
                wait_for(lambda: self.stopped(patient), 'a round without it')
                wait_for(self.idle, 'idleness after that')

    def stopped(self, patient):
        """Whether a whole round knew it no other way."""
        pid = patient.pid()
        self.strike(patient, signal.SIGSTOP, pid)
        wait_for_file(lambda: patient.look() is not None or patient.pid() != pid, 'it to be stopped')
        self.check_now()
        return patient in self.silent

    def test_3_storm(self):
        self.released = self.silences = 0
        # First what such a storm needs at a time has to be there: buffers, tables, what the allocator keeps.
        self.storm(max(3, SECONDS / 2))
        self.cure()
        before = self.private_dirty()
        asked = self.storm(SECONDS)
        quarantined = self.cure()
        after = self.private_dirty()
        print(f'{asked} rounds, {self.silences} times one was stopped or dead all the while, {self.released} came back from quarantine, '
              f'{quarantined} quarantined at the end, private dirty {before} → {after} kB', file=sys.stderr)
        self.assertGreater(asked, 0)
        if not SANITIZED:
            self.assertLess(after - before, GROWTH_MAX_KB)

    def storm(self, seconds):
        end = time.monotonic() + seconds
        rounds = 0
        while time.monotonic() < end:
            self.strike_some()
            self.check_now()
            rounds += 1
            self.silences += len(self.silent)
        return rounds

    def strike_some(self):
        client = self.house.client()
        properties = self.properties(client)
        for patient in self.random.sample(self.patients, max(1, PLUGINS // 8)):
            what = self.random.choice(MOODS + ['well'] * 6 + BLOWS * 2)
            if isinstance(what, str):
                self.sicken(patient, what, properties[patient.path]['Pid'])
            else:
                self.strike(patient, what, properties[patient.path]['Pid'])
            # Nothing befalls one that is not there: it comes back, be it to fall ill again. Asked by one who stays.
            if patient.state == 'quarantined':
                self.released += 1
                self.release(patient, self.house.watcher.send)
        self.house.clients.remove(client)
        client.close()


if __name__ == '__main__':
    tap.main()
