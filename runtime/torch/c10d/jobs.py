# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What the tests of the backend share: jobs of real ranks. Their arguments: LOCKSTEP PACKAGE_FILE FILE..."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

LOCKSTEP, IN_PACKAGE = (os.path.abspath(path) for path in sys.argv[1:3])
FILES = {os.path.basename(path): os.path.abspath(path) for path in sys.argv[3:]}
PACKAGE = os.path.dirname(os.path.dirname(IN_PACKAGE))
DEBIANS = "/usr/bin/python3"
DEADLINE_S = 240  # torch alone takes seconds to import where two cores are busy


class Jobs(unittest.TestCase):

    cache = None  # for compiled extensions; None: the case's own folder

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")  # short enough for a socket's path
        self.addCleanup(shutil.rmtree, self.folder)

    def run_job(self, *command, flags=("-np", "2"), package=PACKAGE):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE", "MASTER_"))}
        environment.update(XDG_STATE_HOME=self.folder, XDG_RUNTIME_DIR=self.folder, XDG_CACHE_HOME=self.cache or self.folder,
                           HOME=self.folder, PYTHONPATH=package, PYTHONDONTWRITEBYTECODE="1")
        return subprocess.run([LOCKSTEP, "run", *flags, *command], capture_output=True, text=True, timeout=DEADLINE_S,
                              env=environment)

    def run_well(self, *command, **arguments):
        job = self.run_job(*command, **arguments)
        self.assertEqual(job.returncode, 0, job.stdout + job.stderr)
        return job.stdout

    def expect_ops(self, python):
        output = self.run_well(python, FILES["ops.py"], flags=("-np", "3"))
        ops = set(re.findall(r"^OPS = \[([^]]*)\]", open(FILES["ops.py"]).read(), re.MULTILINE)[0].replace(
            "\n", " ").replace(" ", "").split(","))
        self.assertEqual(set(re.findall(r"rank \d: (\w+)", output)), ops)
        self.assertEqual(output.count(": all_reduce\n"), 3)

    def expect_gloos_losses(self, python, script):
        gloo = self.run_well(python, FILES[script], "gloo")
        ours = self.run_well(python, "-m", "lockstep_c10d", FILES[script], "lockstep")
        self.assertEqual(ours.count("loss"), 40)
        self.assertEqual(sorted(ours.splitlines()), sorted(gloo.splitlines()))

    def expect_survivors(self, python):
        output = self.run_well(python, FILES["survivors.py"], flags=("-np", "3", "--on-rank-failure", "keep"))
        for rank in range(3):
            self.assertIn("rank %d: lost {}" % rank, output)
        for rank in range(2):
            self.assertRegex(output, r"rank %d: .*rank 2 is gone \(killed by signal 9" % rank)
            self.assertIn("rank %d: %d of 2, sum 3, lost {2: 'killed by signal 9 (SIGKILL)'}" % (rank, rank), output)

    def told_to_others(self, python, fault, flags=("-np", "3"), others="02"):
        """What `others` print when rank 1 does `fault` of faults.py, and the job; TERM leaves them the time to."""
        job = self.run_job(python, FILES["faults.py"], fault, flags=(*flags, "--grace", "20s"))
        lines = re.findall(r"(?m)^\[(?:\d\.)?([%s])\] after ([\d.]+) s: (.*)$" % others, job.stdout)
        self.assertEqual({rank for rank, _, _ in lines}, set(others), job.stdout + job.stderr)
        for _, seconds, _ in lines:
            self.assertLess(float(seconds), 15)
        return [text for _, _, text in lines], job
