# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""run_all finds each fault named as what it is: hang_test.py RUN_ALL LOCKSTEP HANG."""
import concurrent.futures
import os
import subprocess
import sys
import unittest

RUN_ALL, LOCKSTEP, HANG = (os.path.abspath(path) for path in sys.argv[1:4])
FAULTS = ("is-killed fails count dtype reduction op root stops exits loops sleeps reads saves in-pair deadlock").split()
AT_ONCE = 3  # each job waits more than it computes
SECONDS_MAX = 100


def run_all(*words, lockstep=LOCKSTEP):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE"))}
    environment.update(LOCKSTEP=lockstep, HANG=HANG)
    return subprocess.run([sys.executable, RUN_ALL, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=environment, timeout=SECONDS_MAX)


class HangTest(unittest.TestCase):

    def test_each_fault_is_named(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            runs = pool.map(lambda fault: run_all("--action-after", "3s", fault), FAULTS)
            for fault, run in zip(FAULTS, runs):
                with self.subTest(fault):
                    self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
                    self.assertIn("== " + fault + ", exit status ", run.stdout)

    def test_on_nodes_of_their_own(self):
        run = run_all("--nodes", "3", "stops", "deadlock")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_these_are_all_faults(self):
        usage = subprocess.run([HANG], capture_output=True, text=True, timeout=SECONDS_MAX)
        self.assertEqual(usage.returncode, 64)
        # Whoever never joins is blamed after two minutes only; //tests/faults:hang_test sees it said.
        self.assertEqual(sorted(FAULTS + ["never-joins"]), sorted(usage.stderr.split(":")[1].split()))
        self.assertIn("there are " + " ".join(FAULTS), run_all("no-such-fault").stderr)

    def test_a_screen_that_names_nobody_is_an_error(self):
        run = run_all("stops", lockstep="/bin/true")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("run_all: stops: class None instead of MISSING_RANK", run.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
