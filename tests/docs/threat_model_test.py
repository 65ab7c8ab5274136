# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The tests that docs/threat_model.md and docs/testing.md name are there. Finds the tree as protocols_test.py does."""
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
                if not name.endswith(("_test.cc", "_tests.cc")):  # those of contracts
                    continue
                with open(os.path.join(parent, name), errors="replace") as file:
                    for suite, case in re.findall(r"\bTEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", file.read()):
                        found.update((suite, "%s.%s" % (suite, case)))
    return found


class ThreatModelTest(unittest.TestCase):
    def named_in(self, page):
        with open(os.path.join(ROOT, "docs", page)) as file:
            return set(re.findall(r"`(\w+Test(?:\.\w+)?)`", file.read()))

    def test_every_test_that_is_named_exists(self):
        found = cases()
        for page, least in (("threat_model.md", 30), ("testing.md", 25)):
            with self.subTest(page):
                named = self.named_in(page)
                self.assertGreater(len(named), least)
                self.assertEqual(sorted(named - found), [])
