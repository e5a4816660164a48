# SPDX-License-Identifier: Apache-2.0
"""TAP for tests that share one expensive thing: each case is a function, named by its documentation."""

import traceback


class Skip(Exception):
    """Raised by a case that cannot be tried here, with the reason."""


class Plan:
    """Runs cases one after the other, prints a line for each, and knows whether all of them passed."""

    def __init__(self, explain=lambda: ()):
        """`explain` gives what should be read below the trace of a case that failed, line by line."""
        self.number = 0
        self.failed = 0
        self.explain = explain

    def case(self, function, *arguments):
        """True unless it failed."""
        self.number += 1
        name = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
        try:
            function(*arguments)
        except Skip as reason:
            print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # pylint: disable=W0718
            self.failed += 1
            print(f"not ok {self.number} - {name}")
            for line in [*traceback.format_exc().splitlines(), *self.explain()]:
                print("#", line, flush=True)
            return False
        else:
            print(f"ok {self.number} - {name}", flush=True)
        return True

    def cases(self, functions, *arguments):
        """All of them, unless the first fails, on which the others build."""
        if self.case(functions[0], *arguments):
            for function in functions[1:]:
                self.case(function, *arguments)

    def end(self):
        print(f"1..{self.number}", flush=True)
        return 1 if self.failed else 0

    @staticmethod
    def skip_all(reason):
        # With TAP any other exit status would be a failure.
        print(f"1..0 # SKIP {reason}", flush=True)
        return 0
