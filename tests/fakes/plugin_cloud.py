# SPDX-License-Identifier: Apache-2.0
"""A provider on a private bus before a fake of its cloud."""

import os
import tempfile

from gi.repository import Gio, GLib

import plugin_bus
from client import FakeCloud
from plugin_bus import ERROR, iterate_until, s

PROVIDER = ".CloudProvider"
SOURCE = ".EventSource"


def variants(options):
    """Options of a call from keywords: a text is a string, True a boolean."""
    return {key.replace("_", "-"): GLib.Variant("b" if isinstance(value, bool) else "s", value) for key, value in options.items()}


class CloudTestCase(plugin_bus.PluginTestCase):
    """PROGRAM, ID and FAKE are the subclass's. Pauses of the provider before it asks again are short by HASTE, its patience with an API that does
    not answer by IMPATIENCE, the time that it has for all that it is asked by BREVITY."""

    HASTE = 20
    IMPATIENCE = 1
    BREVITY = 1

    def setUp(self):
        super().setUp()
        self.cloud = FakeCloud(self.FAKE)
        self.addCleanup(self.cloud.stop)
        self.root = tempfile.TemporaryDirectory()
        self.addCleanup(self.root.cleanup)

    def dmi(self, **texts):
        directory = os.path.join(self.root.name, "sys/class/dmi/id")
        os.makedirs(directory, exist_ok=True)
        for name, text in texts.items():
            with open(os.path.join(directory, name), "w") as f:
                f.write(text + "\n")

    def configuration(self, **settings):
        def variant(value):
            kind = "b" if isinstance(value, bool) else "x" if isinstance(value, int) else "d" if isinstance(value, float) else "s"
            return GLib.Variant(kind, value)

        return {key: variant(value) for key, value in settings.items()}

    def provider(self, *, greet=True, environment=None, **settings):
        environment = {f"SNOOZE_{self.ID.upper()}_ROOT": self.root.name, "SNOOZE_HASTE": str(self.HASTE),
                       "SNOOZE_IMPATIENCE": str(self.IMPATIENCE), "SNOOZE_BREVITY": str(self.BREVITY), **(environment or {})}
        plugin = self.plugin(self.PROGRAM, self.ID, environment=environment)
        return plugin.greet(self.configuration(**settings)) if greet else plugin

    def ask(self, plugin, member, signature=None, *arguments, interface=PROVIDER):
        """The main context runs meanwhile, so that signals come in."""
        answers = plugin.call_later(interface, member, signature, *arguments)
        iterate_until(lambda: answers, 60)
        if isinstance(answers[0], GLib.Error):
            raise answers[0]
        return answers[0]

    def stop_with(self, plugin, instance="", **options):
        return self.ask(plugin, "StopInstance", "(sa{sv})", instance, variants(options))

    def missing(self, plugin):
        """What CheckPermissions does not grant, and why."""
        return {name: text for name, granted, text in self.ask(plugin, "CheckPermissions")[0] if not granted}

    def refused(self, name, function, *arguments, **keywords):
        """The message of the error of that name."""
        with self.assertRaises(GLib.Error) as context:
            function(*arguments, **keywords)
        self.assertEqual(Gio.DBusError.get_remote_error(context.exception), ERROR + name, context.exception.message)
        return context.exception.message

    def watch(self, plugin):
        """Events and cancellations from now on, as they come."""
        events, cancelled = [], []

        def heard(connection, sender, path, interface, member, parameters):
            (events if member == "Event" else cancelled).append(parameters.unpack()[0])

        subscription = self.bus.connection.signal_subscribe(
            plugin.owner, plugin_bus.NAME + SOURCE, None, plugin_bus.PATH, None, Gio.DBusSignalFlags.NONE, heard)
        self.addCleanup(self.bus.connection.signal_unsubscribe, subscription)
        self.ask(plugin, "Watch", interface=SOURCE)
        return events, cancelled

    def until(self, condition, seconds=30):
        iterate_until(condition, seconds)

    def until_asked(self, match, times=1, seconds=30):
        """The fake was asked so often; looked at between turns of the main context."""
        wake = GLib.timeout_add(50, lambda: GLib.SOURCE_CONTINUE)
        try:
            iterate_until(lambda: len(self.cloud.requests(match)) >= times, seconds)
        finally:
            GLib.source_remove(wake)


text = s
