# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The example as a job on one node and on two: keep_going_test.py LOCKSTEP KEEP_GOING."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LOCKSTEP, KEEP_GOING = (os.path.abspath(path) for path in sys.argv[1:3])
DEADLINE_S = 120


class KeepGoingTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")  # short enough for a socket's path
        self.addCleanup(shutil.rmtree, self.folder)

    def run_job(self, *words):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE"))}
        environment.update(XDG_STATE_HOME=self.folder, XDG_RUNTIME_DIR=self.folder, HOME=self.folder)
        return subprocess.run([LOCKSTEP, "run", "-np", "4", *words, KEEP_GOING], capture_output=True, text=True,
                              timeout=DEADLINE_S, env=environment)

    def expect_three_that_go_on(self, *words):
        run = self.run_job("--on-rank-failure", "keep", *words)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        ends = sorted(line.split("rank ", 1)[1] for line in run.stdout.splitlines() if "steps" in line)
        self.assertEqual(ends, [f"{rank}: 100 steps, the last with 3 ranks" for rank in (0, 2, 3)])

    def test_on_one_node(self):
        self.expect_three_that_go_on()

    def test_on_two_nodes(self):
        self.expect_three_that_go_on("--simulate-hosts", "--nnodes", "2")

    def test_without_the_flag_the_job_ends(self):
        run = self.run_job()
        self.assertEqual(run.returncode, 137, run.stdout + run.stderr)
        self.assertNotIn("steps", run.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
