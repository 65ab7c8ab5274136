# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""tools/test_suites with fake tools that write down what they were given."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TEST_SUITES = os.path.abspath(sys.argv[1])

# bazel also fails in one suite, if asked to; what counts the cases has the last word on the status.
FAKES = {
    "bin/bazel": 'echo "bazel $*" >> "$CALLS"; [[ "$*" != *"${FAILING:-nothing}"* ]]',
    "tools/prune_cache": 'echo "prune_cache $*" >> "$CALLS"',
    "tools/count_tests": 'echo "count_tests $#" >> "$CALLS"; echo "3 passed, 0 failed, 0 skipped"; exit 7',
}


class TestSuitesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        for name, body in FAKES.items():
            path = os.path.join(self.folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write("#!/bin/bash\n" + body + "\n")
            os.chmod(path, 0o755)
        shutil.copy(TEST_SUITES, os.path.join(self.folder, "tools/test_suites"))

    def run_suites(self, *suites, **env):
        calls = os.path.join(self.folder, "calls")
        path = os.path.join(self.folder, "bin") + ":/usr/bin:/bin"
        result = subprocess.run([os.path.join(self.folder, "tools/test_suites"), *suites], capture_output=True, text=True,
                                timeout=60, env={"PATH": path, "CALLS": calls, **env})
        with open(calls) as file:
            return result, file.read().splitlines()

    def test_opt_comes_last_so_that_bazel_bin_holds_the_ordinary_programs(self):
        _, calls = self.run_suites()

        configs = [re.search(r"--config=(\w+)", call).group(1) for call in calls if call.startswith("bazel")]
        self.assertEqual(configs, ["asan", "tsan", "static", "opt", "opt", "opt"])
        self.assertNotIn("--run_under", calls[5])
        self.assertIn("--nobuild_tests_only", calls[5])  # it also proves that everything else builds

    def test_the_old_kernel_refuses_in_both_ways(self):
        _, calls = self.run_suites("old_kernel", "old_kernel_eperm")

        self.assertNotIn("EPERM", calls[0])
        self.assertIn("--test_env=OLD_KERNEL_ERRNO=EPERM", calls[1])
        for call in calls[:2]:
            self.assertIn("--run_under=//tests/tools:old_kernel", call)
            self.assertIn("--test_tag_filters=old-kernel", call)

    def test_a_suite_that_fails_does_not_keep_the_others_from_running(self):
        result, calls = self.run_suites("asan", "opt", FAILING="--config=asan")

        self.assertIn("--config=opt", calls[1])
        self.assertEqual(calls[-1], "count_tests 2")
        self.assertEqual(result.stdout.splitlines()[-1], "3 passed, 0 failed, 0 skipped")
        self.assertEqual(result.returncode, 7)

    def test_the_cache_that_bazel_used_is_brought_under_its_limit(self):
        _, calls = self.run_suites("opt")
        self.assertEqual(calls[-2], "prune_cache ")

        _, calls = self.run_suites("opt", BAZEL_FLAGS="--disk_cache=/first --jobs=1 --disk_cache=/ci/cache")
        self.assertEqual(calls[-2], "prune_cache /ci/cache")
        self.assertIn("--jobs=1", calls[-3])

    def test_an_unknown_suite_is_named(self):
        result = subprocess.run([os.path.join(self.folder, "tools/test_suites"), "optt"], capture_output=True, text=True)

        self.assertEqual(result.returncode, 2)
        self.assertIn("no suite 'optt'; there are: asan tsan", result.stderr)
