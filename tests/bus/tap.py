# SPDX-License-Identifier: Apache-2.0
"""Runs a module's unittest cases and reports them in TAP, so that meson counts each of them."""

import sys
import traceback
import unittest


class TapResult(unittest.TestResult):
    def __init__(self, stream):
        super().__init__()
        self.stream = stream
        self.number = 0

    def say(self, status, test, comment=''):
        self.number += 1
        name = test.id().removeprefix('__main__.')
        print(f'{status} {self.number} - {name}{comment}', file=self.stream, flush=True)

    def explain(self, test, error):
        lines = ''.join(traceback.format_exception(*error)).splitlines()
        lines += getattr(test, 'explain', lambda: [])()
        for line in lines:
            print(f'# {line}', file=self.stream, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say('ok', test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.say('not ok', test)
        self.explain(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.say('not ok', test)
        self.explain(test, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say('ok', test, f' # SKIP {reason}')

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        # A part that went well is counted with its test; one that failed stands for it.
        if error is not None:
            self.say('not ok', subtest)
            self.explain(test, error)


def main(names=None):
    """The module's tests, or those that names or the command line name."""
    names = sys.argv[1:] if names is None else names
    # Whatever a test prints must not be taken for TAP.
    stream, sys.stdout = sys.stdout, sys.stderr
    loader = unittest.TestLoader()
    if names:
        suite = loader.loadTestsFromNames(names, sys.modules['__main__'])
    else:
        suite = loader.loadTestsFromModule(sys.modules['__main__'])
    result = TapResult(stream)
    suite.run(result)
    print(f'1..{result.number}', file=stream, flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
