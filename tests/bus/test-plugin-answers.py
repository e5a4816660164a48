# SPDX-License-Identifier: Apache-2.0
"""`snooze plugin test` finds what the daemon would refuse: it reads answers by the same code. And it says so where nothing was tried.

The plugin is the Python template's server with the contracts that it lacks. It answers what its answers.json says: a D-Bus value as
text, or two of them, over the bus and over the channel, where every contract is tried once more.
Arguments: cloudsnooze."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import tap

CLOUDSNOOZE = os.path.abspath(sys.argv[1])
del sys.argv[1:2]
ENVIRONMENT = dict(os.environ, LC_ALL='C.UTF-8', PYTHONDONTWRITEBYTECODE='1')

# Each contract's answers, in D-Bus's own terms, for what a test does not say itself.
PROGRAM = '''#!/usr/bin/python3
import json
import pathlib
import sys

import snooze_plugin
from gi.repository import GLib

HERE = pathlib.Path(__file__).resolve().parent
ANSWERS = json.loads((HERE / "answers.json").read_text())
NAME = "io.cloudsnooze.Plugin1"
snooze_plugin.XML["EventSource"] = """
  <method name="Watch"/>
  <method name="Acknowledge"><arg name="id" type="s" direction="in"/></method>
  <signal name="Event"><arg name="event" type="a{sv}"/></signal>
  <signal name="EventCancelled"><arg name="id" type="s"/></signal>"""
snooze_plugin.XML["CloudProvider"] = """
  <property name="ProviderName" type="s" access="read"/>
  <property name="ProviderVersion" type="s" access="read"/>
  <property name="StopEffect" type="s" access="read"/>
  <method name="Detect"><arg name="detected" type="b" direction="out"/></method>
  <method name="GetInstanceInfo"><arg name="instance_id" type="s" direction="in"/><arg name="info" type="a{sv}" direction="out"/></method>
  <method name="StopInstance"><arg name="instance_id" type="s" direction="in"/><arg name="options" type="a{sv}" direction="in"/></method>
  <method name="StartInstance"><arg name="instance_id" type="s" direction="in"/><arg name="options" type="a{sv}" direction="in"/></method>
  <method name="CheckPermissions"><arg name="permissions" type="a(sbs)" direction="out"/></method>
  <method name="SetTags"><arg name="tags" type="a{ss}" direction="in"/></method>"""
snooze_plugin.XML["DataProcessor"] = """
  <method name="ProcessData"><arg name="input" type="ay" direction="in"/><arg name="output" type="ay" direction="out"/></method>"""


class Server(snooze_plugin.Server):
    def on_get(self, connection, sender, path, interface, name):
        self.called_on = connection
        if interface.endswith("CloudProvider"):
            return GLib.Variant("s", self.told(name) or "stops-billing")
        return super().on_get(connection, sender, path, interface, name)

    def on_call(self, connection, sender, path, interface, member, parameters, invocation):
        self.called_on = connection
        with open(HERE / "calls.jsonl", "a") as calls:
            print(json.dumps([member, "" if member == "ProcessData" else str(parameters)]), file=calls)
        if member == "ProcessData":  # taken apart, a block is a list of numbers
            invocation.return_value(parameters)
            return
        super().on_call(connection, sender, path, interface, member, parameters, invocation)

    def answer(self, sender, member, *arguments):
        answer = super().answer(sender, member, *arguments)
        text = self.told(member)
        if text == "EIO":
            raise OSError(5, "Input/output error")
        if text == "large":
            state = GLib.Variant.new_from_bytes(GLib.VariantType("ay"), GLib.Bytes(bytes((4 << 20) + 1)), True)
            return GLib.Variant.new_tuple(GLib.Variant("u", 1), state)
        return GLib.Variant.parse(None, text, None, None) if text else answer

    def told(self, name):
        answer = ANSWERS.get(name)
        return answer[self.called_on is self.channel] if isinstance(answer, list) else answer

    def answer_Detect(self):
        return GLib.Variant("(b)", (True,))

    def answer_GetInstanceInfo(self, instance_id):
        return GLib.Variant.parse(None, "({'id': <'i-1'>, 'state': <'running'>},)", None, None)

    def answer_CheckPermissions(self):
        return GLib.Variant("(a(sbs))", ([("cloud:Stop", True, "stops it")],))

    def answer_Acknowledge(self, event_id):
        return None

    def answer_Watch(self):
        for signal in ("Event", "EventCancelled"):
            if self.told(signal):
                value = GLib.Variant.parse(None, self.told(signal), None, None)
                self.called_on.emit_signal(None, snooze_plugin.PATH, NAME + ".EventSource", signal, value)


class ThisPlugin(snooze_plugin.Plugin):
    methods = ("known",)

    def check_idle(self, metrics):
        return "idle", "nothing to do"

    def handle_event(self, event):
        if event.get("cancelled") and ANSWERS.get("cancelled") == "refuse":
            raise ValueError("what is that?")
        return True

    def export_state(self):
        return 1, b"x"

    def import_state(self, version, state):
        if bytes(state) != b"x":
            raise snooze_plugin.InvalidArgument("state: expected x")


snooze_plugin.Server = Server
sys.exit(snooze_plugin.serve(ThisPlugin))
'''


def snooze(*arguments):
    return subprocess.run([CLOUDSNOOZE, 'plugin', *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=150)


class Answers(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name) / 'subject'
        self.assertEqual(snooze('new', '--template', 'python', self.directory).returncode, 0)
        (self.directory / 'subject').write_text(PROGRAM)

    def write(self, manifest, answers):
        values = {'name': 'subject', 'version': '1.0', 'exec': 'subject', 'api': 1, 'limits': {'memory_mb': 256}, **manifest}
        (self.directory / 'plugin.json').write_text(json.dumps(values))
        (self.directory / 'answers.json').write_text(json.dumps(answers))
        (self.directory / 'calls.jsonl').unlink(missing_ok=True)

    def report(self, contracts, answers, *options, **manifest):
        self.write({'contracts': contracts, **manifest}, answers)
        result = snooze('test', '--quick', '--json', *options, self.directory)
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode, 1 if report['failed'] else 0, result.stderr)
        return report

    def failed(self, contracts, answers, *options, **manifest):
        """What failed over the bus, and what over the channel."""
        checks = self.report(contracts, answers, *options, **manifest)['checks']
        return [{c['check']: c['detail'] for c in checks if c['result'] == 'failed' and c['over'] == way} for way in ('bus', 'channel')]

    def failures(self, *arguments, **manifest):
        bus, channel = self.failed(*arguments, **manifest)
        self.assertEqual(bus, channel)
        return bus

    def calls(self, method):
        return [said for name, said in map(json.loads, (self.directory / 'calls.jsonl').read_text().splitlines()) if name == method]


ONE_VOTE = "{'name': <'a'>, 'verdict': <'idle'>, 'reason': <'r'>}"
MANY_METRICS = ', '.join(f"'m{n}': 1.0" for n in range(65))
AHEAD = int((time.time() + 3600) * 1e6)
DEEP = "(true, {'x': " + "<{'x': " * 20 + '<1>' + '}>' * 20 + '})'


def votes(details):
    return [(f"('idle', 'r', {said})", words) for said, words in details]


class Refused(Answers):
    """What each method answers that the daemon refuses, and the words of the failure."""

    CONTRACTS = ['IdleCheck', 'EventHandler', 'EventSource', 'CloudProvider', 'State', 'DataProcessor']
    EVENTS = {'custom.*': {'priority': 1, 'enabled': True}}
    # The check that fails, the method or signal that answers → its answers.
    WRONG = {
        ('CheckIdle', 'CheckIdle'): votes([
            ("{'metrics': <{'load': -1.0}>}", 'no finite number ≥ 0'),
            ("{'metrics': <{'the load': 1.0}>}", 'no finite number ≥ 0 with a short name'),
            (f"{{'metrics': <{{{MANY_METRICS}}}>}}", 'at most 64'),
            ("{'last_activity': <'long ago'>}", 'last_activity'),
            ("{'last_activity': <5.5>}", 'last_activity'),
            (f"{{'last_activity': <uint64 {AHEAD}>}}", 'lies in the future'),
            ("{'valid_seconds': <'5'>}", 'valid_seconds'),
            ("{'valid_seconds': <301>}", 'valid_seconds'),
            (f"{{'votes': <[{ONE_VOTE}, {ONE_VOTE}]>}}", 'two votes for a'),
            ("{'votes': <'none'>}", 'no list'),
            ("{'votes': <[{'name': <'a'>, 'verdict': <'idle'>, 'reason': <''>}]>}", 'empty reason'),
            ("{'votes': <[{'name': <'a'>, 'verdict': <'idle'>, 'reason': <'r'>, 'last_activity': <'long ago'>}]>}", 'last_activity'),
            (f"{{'votes': <[{{'name': <'a'>, 'verdict': <'idle'>, 'reason': <'r'>, 'last_activity': <uint64 {AHEAD}>}}]>}}",
             'lies in the future'),
            ("{'watching': <'yes'>}", 'watching'),
        ]) + [("('sleepy', 'r', @a{sv} {})", 'sleepy'), ("('idle', '', @a{sv} {})", 'empty reason'),
              ("('idle', 'two\\nlines', @a{sv} {})", 'more than one line')],
        ('GetInstanceInfo', 'GetInstanceInfo'): [
            ('EIO', 'Input/output error'), ("({'id': <5>},)", 'id has a wrong type'), ("({'launch-time': <'noon'>},)", 'launch-time')],
        ('CheckPermissions', 'CheckPermissions'): [
            ('EIO', 'Input/output error'), (f"([('{'x' * 1025}', true, 'long')],)", 'texts above 1024 bytes')],
        ('StopEffect', 'StopEffect'): [('makes-tea', 'makes-tea is none that is known')],
        ('Watch', 'Event'): [
            ("({'id': <'1'>, 'type': <'snooze.stop.pending'>},)", 'field type'),
            ("({'type': <'custom'>},)", 'without an id or a type'),
            ("({'id': <'1'>, 'type': <'custom'>, 'severity': <uint32 4>},)", 'field severity'),
            ("({'id': <'1'>, 'type': <'custom'>, 'colour': <'red'>},)", 'no such field')],
        ('HandleEvent', 'HandleEvent'): [(DEEP, 'answered with rubbish')],
        ('ExportState', 'ExportState'): [('large', 'more than 4194304')],
    }

    def test_what_the_daemon_refuses_fails(self):
        for n in range(0, max(map(len, self.WRONG.values())), 2):
            row = {key: answers[n:n + 2] for key, answers in self.WRONG.items() if answers[n:]}
            with self.subTest(row):
                told = {method: [pair[0][0], pair[1][0] if pair[1:] else None] for (_, method), pair in row.items()}
                over = self.failed(self.CONTRACTS, told, '--events', events=self.EVENTS)
                for way, failures in enumerate(over):
                    expected = {check: pair[way][1] for (check, _), pair in row.items() if pair[way:]}
                    self.assertEqual(set(failures), set(expected), failures)
                    for check, words in expected.items():
                        self.assertIn(words, failures[check])

    def test_what_it_takes_passes(self):
        for pair in (["@a{sv} {}", "{'valid_seconds': <uint32 300>, 'last_activity': <uint64 1>, 'watching': <false>}"],
                     ["{'metrics': <{'load': 0.5}>}", "{'votes': <[{'name': <'a'>, 'verdict': <'busy'>, 'reason': <'r'>}]>}"]):
            with self.subTest(pair):
                told = {'CheckIdle': [f"('idle', 'r', {details})" for details in pair], 'EventCancelled': "('1',)",
                        'Event': "({'id': <'1'>, 'type': <'cloud.spot.interrupt'>},)"}
                report = self.report(self.CONTRACTS, told, '--events', events=self.EVENTS)
                self.assertEqual([c for c in report['checks'] if c['result'] == 'failed'], [])
                said = {c['check']: c['detail'] for c in report['checks'] if c['over'] == 'bus'}
                self.assertEqual(said['GetInstanceInfo'], 'this machine is i-1, running')
                self.assertEqual(said['CheckPermissions'], 'tells of 1')
                for method in ('StopInstance', 'StartInstance', 'SetTags'):
                    self.assertEqual(self.calls(method), [])


class Contracts(Answers):
    def test_it_hears_that_its_event_moves_and_is_called_off(self):
        events = {'cloud.spot.interrupt': {'priority': 1, 'enabled': True, 'moves': True}, 'custom': {'priority': 1, 'enabled': True}}
        report = self.report(['EventHandler'], {}, '--events', events=events)
        said = [c['detail'] for c in report['checks'] if c['check'] == 'HandleEvent' and c['over'] == 'bus']
        self.assertEqual(said, ['cloud.spot.interrupt: handled', 'cloud.spot.interrupt, moved: handled',
                                'cloud.spot.interrupt, cancelled: handled', 'custom: handled', 'custom, cancelled: handled'])
        calls = self.calls('HandleEvent')[:5]
        self.assertEqual(["'moved': <true>" in call for call in calls], [False, True, False, False, False])
        self.assertEqual(["'cancelled': <true>" in call for call in calls], [False, False, True, False, True])

    def test_one_that_fails_over_a_cancelled_event(self):
        failures = self.failures(['EventHandler'], {'cancelled': 'refuse'}, '--events', events=Refused.EVENTS)
        self.assertIn('custom.*, cancelled: ', failures['HandleEvent'])

    def test_nothing_is_handed_over_unasked(self):
        self.assertEqual(self.failures(['EventHandler'], {}, events=Refused.EVENTS), {})
        self.assertEqual(self.calls('HandleEvent'), [])

    def test_who_is_no_cloud_announces_no_end(self):
        bus, channel = self.failed(['EventSource'], {'Event': ["({'id': <'1'>, 'type': <'cloud.spot.interrupt'>},)", None],
                                                     'EventCancelled': [None, "('',)"]})
        self.assertIn('the contract CloudProvider in the manifest', bus['Watch'])
        self.assertIn('cancelled an event whose id', channel['Watch'])

    def test_a_machine_of_another_cloud_is_not_asked_for(self):
        self.assertEqual(self.failures(['CloudProvider'], {'Detect': '(false,)', 'GetInstanceInfo': 'EIO', 'CheckPermissions': 'EIO'}), {})
        self.assertEqual(self.calls('GetInstanceInfo'), [])


class Untried(Answers):
    def result(self, **manifest):
        self.write({'contracts': ['IdleCheck'], **manifest}, {})
        result = snooze('test', '--quick', '--json', self.directory)
        report = json.loads(result.stdout)
        return result.returncode, {c['check']: (c['result'], c['detail']) for c in report['checks']}

    def test_a_native_one_could_not_be_tried(self):
        status, checks = self.result(runtime='native')
        self.assertEqual((status, checks['runtime'][0]), (2, 'skipped'))

    def test_what_the_daemon_does_not_serve_fails(self):
        for manifest in ({'runtime': 'jsonrpc'}, {'runtime': 'http'}, {'isolation': 'container', 'image': 'registry.example/x'}):
            with self.subTest(manifest):
                status, checks = self.result(**manifest)
                self.assertEqual((status, list(checks), checks['manifest'][0]), (1, ['manifest'], 'failed'))
                self.assertIn('which this build does not serve', checks['manifest'][1])
        self.assertFalse((self.directory / 'calls.jsonl').exists())


if __name__ == '__main__':
    tap.main()
