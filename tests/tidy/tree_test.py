# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The repository keeps its own rules: one case for each rule of rules.py.

Bazel cannot name every file as an input, so the test finds the tree behind the link to one known file, and its tag
`external` makes Bazel run it each time.
"""
import os
import sys
import unittest

import rules

KNOWN_FILE = sys.argv[1]
# Folders that Bazel, git or tools/compdb make; .ci is the one hidden folder of ours.
SKIPPED = ("bazel-", "external", ".")
FILE_BYTES_MAX = 2**20


def read_tree(root):
    tree = {}
    for parent, folders, names in os.walk(root):
        if parent == root:
            folders[:] = [name for name in folders if name == ".ci" or not name.startswith(SKIPPED)]
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and os.path.getsize(path) <= FILE_BYTES_MAX:
                with open(path, errors="replace") as file:
                    tree[os.path.relpath(path, root)] = file.read()
    return tree


class TreeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = read_tree(os.path.dirname(os.path.realpath(KNOWN_FILE)))

    def test_the_tree_was_found(self):
        for path in ("BUILD", "runtime/base/status.h", "tests/tidy/rules.py"):
            self.assertTrue(path in self.tree, path)  # not assertIn, which would print the tree


def add_case(rule):
    def case(self):
        complaints = sorted(rule(self.tree))
        if complaints:
            self.fail("%d places:\n%s" % (len(complaints), "\n".join(complaints)))

    setattr(TreeTest, "test_" + rule.__name__, case)


for each_rule in rules.ALL:
    add_case(each_rule)
