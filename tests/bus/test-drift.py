# SPDX-License-Identifier: Apache-2.0
"""XML, live objects, the table of actions and the policy file say the same, in both directions."""

import pathlib
import re
import unittest
import xml.etree.ElementTree as ElementTree

import methods
import tap
from harness import ACTION, BUILD, ERROR, MANAGER, NAME, PATH, PLUGIN, PROVIDER, SOURCE, House, SharedBusTest

INTERFACES = (MANAGER, PLUGIN, PROVIDER)
WITH_HELPER = (*INTERFACES, 'io.cloudsnooze.Helper1')
CHANGED = 'org.freedesktop.DBus.Property.EmitsChangedSignal'

# Free to read for everybody though the XML says nothing: that is what saying nothing means.
FOREIGN = {'org.freedesktop.DBus.Peer', 'org.freedesktop.DBus.Introspectable', 'org.freedesktop.DBus.Properties',
           'org.freedesktop.DBus.ObjectManager', 'org.freedesktop.LogControl1'}


def declared(interface):
    return ElementTree.parse(SOURCE / f'introspection/{interface}.xml').getroot().find('interface')


def arguments(element, directions=True):
    return [(a.get('name'), a.get('type'), a.get('direction', 'in') if directions else None) for a in element.findall('arg')]


def annotation(element, name, fallback=None):
    for entry in element.findall('annotation'):
        if entry.get('name') == name:
            return entry.get('value')
    return fallback


def shape(interface):
    """What a client can rely on, comparable."""
    return {
        **{('method', m.get('name')): arguments(m) for m in interface.findall('method')},
        **{('signal', m.get('name')): arguments(m, directions=False) for m in interface.findall('signal')},
        **{('property', p.get('name')): (p.get('type'), p.get('access'), annotation(p, CHANGED, 'true'))
           for p in interface.findall('property')},
    }


def documented():
    """(interface, member) → the text of the comment in front of each method."""
    result = {}
    for interface in WITH_HELPER:
        text = (SOURCE / f'introspection/{interface}.xml').read_text()
        for comment, member in re.findall(r'<!--((?:(?!-->).)*)-->\s*<method name="(\w+)"', text, re.DOTALL):
            result[interface, member] = ' '.join(comment.split())
    return result


class Live(SharedBusTest):
    plugins = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # No property of it changes from one question to the next.
        cls.house.watcher.call('LoadPlugin', '(s)', ('example',))

    def introspect(self, path):
        xml, = self.client.call('Introspect', interface='org.freedesktop.DBus.Introspectable', path=path)
        return ElementTree.fromstring(xml)

    def assert_agrees(self, path, wanted):
        served = {i.get('name'): i for i in self.introspect(path).findall('interface')}
        self.assertEqual({name for name in served if name not in FOREIGN}, set(wanted))
        for name in wanted:
            live, xml = shape(served[name]), shape(declared(name))
            self.assertEqual(live, xml)

    def test_manager(self):
        self.assert_agrees(PATH, [MANAGER])

    def test_plugin(self):
        self.assert_agrees(PATH + '/plugin/example', [PLUGIN])

    def test_provider(self):
        self.assert_agrees(PATH + '/provider/cloud', [PROVIDER])

    def test_every_object_is_one_of_these(self):
        objects, = self.client.call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')
        for path, interfaces in objects.items():
            with self.subTest(path=path):
                ours = [name for name in interfaces if name not in FOREIGN]
                self.assertTrue(ours)
                self.assertLessEqual(set(ours), set(INTERFACES))
                self.assert_agrees(path, ours)

    def test_managed_objects_are_what_each_is_alone(self):
        """The daemon puts them together; the tree and each object's properties are told by sd-bus."""
        objects, = self.client.call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')
        self.assertEqual(set(objects), {f'{PATH}/{kind}/{node.get("name")}' for kind in ('plugin', 'provider')
                                        for node in self.introspect(f'{PATH}/{kind}').findall('node')})
        for path, interfaces in objects.items():
            self.assertEqual(set(interfaces), {interface.get('name') for interface in self.introspect(path).findall('interface')})
            for name, properties in interfaces.items():
                alone, = self.client.call('GetAll', '(s)', (name,), 'org.freedesktop.DBus.Properties', path)
                self.assertEqual(list(properties.items()), list(alone.items()), f'{path} {name}')

    def test_the_tree_has_nothing_else(self):
        def walk(path):
            node = self.introspect(path)
            for interface in node.findall('interface'):
                self.assertIn(interface.get('name'), FOREIGN | set(INTERFACES), path)
            for child in node.findall('node'):
                walk(path.rstrip('/') + '/' + child.get('name'))

        walk('/')

    def test_no_property_can_be_written(self):
        for interface in INTERFACES:
            for entry in declared(interface).findall('property'):
                self.assertEqual(entry.get('access'), 'read', entry.get('name'))


class Helper(unittest.TestCase):
    def test_its_object_is_the_xmls(self):
        house = House(daemon=False, polkit=False)
        self.addCleanup(house.close)
        helper = house.spawn([BUILD / 'src/helper/snooze-helper', '--root', house.directory / 'root'], 'helper.log')
        house.wait_for_owner('io.cloudsnooze.Helper1', helper)
        xml, = house.client().call('Introspect', interface='org.freedesktop.DBus.Introspectable', path='/io/cloudsnooze/Helper1',
                                   destination='io.cloudsnooze.Helper1')
        served, = [i for i in ElementTree.fromstring(xml).findall('interface') if i.get('name') not in FOREIGN]
        self.assertEqual(shape(served), shape(declared(served.get('name'))))


    def test_the_bus_lets_each_method_through_to_whom_it_is_for(self):
        """Looking and what polkit is asked about is for everybody, the rest for the daemon's user, and nothing for both."""
        policy = ElementTree.parse(SOURCE / 'data/dbus-1/system.d/io.cloudsnooze.Helper1.conf').getroot()

        def allowed(key, value):
            return {rule.get('send_member') for entry in policy.findall('policy') if entry.get(key) == value
                    for rule in entry.findall('allow') if rule.get('send_member')}

        of_helper = {member: actions for (interface, member), actions in methods.table().items() if interface == 'io.cloudsnooze.Helper1'}
        everybody = {member for member, actions in of_helper.items() if any(actions) or member.startswith('List')}
        self.assertEqual(allowed('context', 'default'), everybody)
        self.assertEqual(allowed('user', 'snooze'), set(of_helper) - everybody)


class Actions(unittest.TestCase):
    def test_every_method_is_in_the_table_and_the_reverse(self):
        in_xml = {(i, m.get('name')) for i in WITH_HELPER for m in declared(i).findall('method')}
        self.assertEqual(set(methods.table()), in_xml)

    def test_the_xml_names_exactly_the_actions_of_the_table(self):
        comments = documented()
        for key, actions in methods.table().items():
            with self.subTest(method='.'.join(key)):
                named = set(re.findall(re.escape(ACTION) + r'[a-z]+(?:-[a-z]+)*', comments[key]))
                self.assertEqual(named, {action for action in actions if action})

    def test_the_policy_has_exactly_these_actions(self):
        policy = ElementTree.parse(BUILD / 'data/io.cloudsnooze.snooze1.policy').getroot()
        in_policy = {a.get('id') for a in policy.findall('action')}
        in_header = set(re.findall(r'SNOOZE_ACTION_PREFIX "([a-z-]+)"', (SOURCE / 'src/bus/actions.h').read_text()))
        self.assertEqual(in_policy, {ACTION + action for action in in_header})
        used = {action for actions in methods.table().values() for action in actions if action}
        self.assertEqual(in_policy, used)

    def test_the_policy_is_that_of_the_design(self):
        expected = {'hold': 'yes', 'hold-others': 'auth_admin_keep', 'check': 'yes', 'stop': 'auth_admin_keep',
                    'start': 'auth_admin_keep', 'pause': 'auth_admin_keep', 'emit-event': 'yes', 'emit-system-event': 'auth_admin',
                    'configure': 'auth_admin_keep', 'call-plugin': 'auth_admin_keep', 'manage-plugins': 'auth_admin',
                    'install-plugins': 'auth_admin', 'approve-permissions': 'auth_admin'}
        policy = ElementTree.parse(BUILD / 'data/io.cloudsnooze.snooze1.policy').getroot()
        for action in policy.findall('action'):
            name = action.get('id').removeprefix(ACTION)
            with self.subTest(action=name):
                defaults = action.find('defaults')
                self.assertEqual({d.tag: d.text for d in defaults},
                                 dict.fromkeys(('allow_any', 'allow_inactive', 'allow_active'), expected[name]))
                # polkit answers a daemon that is not root about others only for actions that name its user.
                owner = [a.text for a in action.findall('annotate') if a.get('key') == 'org.freedesktop.policykit.owner']
                self.assertEqual(owner, ['unix-user:snooze'])
                self.assertTrue(action.find('message').text)


class Events(unittest.TestCase):
    def test_the_manual_has_every_type_and_no_other(self):
        """GetHistory and EmitEvent send people there."""
        source = (SOURCE / 'src/base/event-types.c').read_text() + (SOURCE / 'src/base/names.h').read_text()
        constants = dict(re.findall(r'#define (EVENT_\w+) "([a-z.]+)"', source))
        table = re.search(r'event_types\[\] = \{(.*?)\};', source, re.DOTALL)[1]
        wanted = {(constants.get(name) or name.strip('"'), int(minutes or 1), severity.lower())
                  for name, severity, minutes in
                  re.findall(r'\{ ("[a-z.]+"|EVENT_\w+), SEVERITY_(\w+), (?:(\d+) \* )?USEC_PER_MINUTE \}', table)}
        manual = (SOURCE / 'docs/man/snoozed.8.rst').read_text()
        said = re.findall(r'^``([a-z]+(?:\.[a-z]+)*)``\n    (\d+) min, ([a-z]+)\.', manual, re.MULTILINE)
        self.assertGreater(len(wanted), 5)
        self.assertEqual({(name, int(minutes), severity) for name, minutes, severity in said}, wanted)


class Errors(unittest.TestCase):
    def test_every_error_that_the_xml_names_exists(self):
        header = (SOURCE / 'src/base/errors.h').read_text()
        known = set(re.findall(r'SNOOZE_ERROR_PREFIX "(\w+)"', header))
        for path in sorted(pathlib.Path(SOURCE / 'introspection').glob('*.xml')):
            for name in re.findall(r'\bError\.(\w+)', re.sub(r'org\.freedesktop\.DBus\.Error\.\w+', '', path.read_text())):
                with self.subTest(file=path.name, error=name):
                    self.assertIn(name, known)
        self.assertEqual(ERROR, NAME + '.Error.')


if __name__ == '__main__':
    tap.main()
