# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import tempfile
import unittest

PRUNE_CACHE = os.path.abspath(sys.argv[1])
MEGABYTE_IN_GB = 1 / 1024


class PruneCacheTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])

    def add(self, name, used_at, size=2**20):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(size)
        os.utime(path, used_at)

    def prune(self, limit_gb):
        subprocess.run([PRUNE_CACHE, self.folder, str(limit_gb)], check=True, timeout=60, stdout=subprocess.DEVNULL)
        return sorted(name for _, _, names in os.walk(self.folder) for name in names)

    def test_what_was_used_longest_ago_goes_first(self):
        self.add("ac/old", used_at=(1000, 1000))
        self.add("cas/read since", used_at=(3000, 1000))
        self.add("cas/written since", used_at=(1000, 2000))

        self.assertEqual(self.prune(2 * MEGABYTE_IN_GB), ["read since", "written since"])

    def test_a_linked_program_goes_before_objects_of_the_same_day(self):
        day = 24 * 3600
        self.add("cas/yesterday's object", used_at=(day, day))
        self.add("cas/object", used_at=(day + 10, day + 10))
        self.add("cas/program", used_at=(2 * day + 5, 2 * day + 5), size=9 * 2**20)

        self.assertEqual(self.prune(10 * MEGABYTE_IN_GB), ["object", "program"])
        self.assertEqual(self.prune(9 * MEGABYTE_IN_GB), ["object"])

    def test_a_cache_at_its_limit_keeps_everything(self):
        self.add("cas/one", used_at=(1000, 1000))
        self.add("cas/two", used_at=(2000, 2000))

        self.assertEqual(self.prune(2 * MEGABYTE_IN_GB), ["one", "two"])

    def test_an_absent_cache_is_no_error(self):
        os.rmdir(self.folder)

        self.assertEqual(self.prune(1), [])
