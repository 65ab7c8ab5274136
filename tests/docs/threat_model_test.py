# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The tests that docs/threat_model.md names are there. Finds the tree as protocols_test.py does."""
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.realpath(sys.argv[1]))
FOLDERS = ("collectives", "launcher", "runtime", "tests")


def cases():
    """Each suite, and each case as Suite.Case."""
    found = set()
    for folder in FOLDERS:
        for parent, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if not name.endswith("_test.cc"):
                    continue
                with open(os.path.join(parent, name), errors="replace") as file:
                    for suite, case in re.findall(r"\bTEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", file.read()):
                        found.update((suite, "%s.%s" % (suite, case)))
    return found


class ThreatModelTest(unittest.TestCase):
    def test_every_test_that_is_named_exists(self):
        with open(os.path.join(ROOT, "docs/threat_model.md")) as file:
            named = set(re.findall(r"`(\w+Test(?:\.\w+)?)`", file.read()))
        self.assertGreater(len(named), 30)
        self.assertEqual(sorted(named - cases()), [])
