#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stop that everybody was told of, and what comes between: a person who wants another, changed settings, a pause."""

import tap
from stops import HASTY, StopTest

# Idle at once; then there is all the time for what comes between.
WARNED = {**HASTY, 'warning_minutes': 60}


class Requested(StopTest):
    """A person wants what the machine was about to do by itself."""

    settings = WARNED

    def test_what_is_on_record_is_the_persons_word(self):
        self.start()
        self.wait_for_state('warning')
        self.stop('the server room is on fire')
        self.wait_for_state('stopped')
        row, = [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0] if row['kind'] == 'stop']
        for told in (self.record(), row):
            self.assertIn('the server room is on fire', told['reason'])
            self.assertEqual(told['idle_since'], 0)


if __name__ == '__main__':
    tap.main()
