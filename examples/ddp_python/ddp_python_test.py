# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The example as a job: ddp_python_test.py LOCKSTEP PACKAGE_FILE SCRIPT SCRIPT_OVER_GLOO"""
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LOCKSTEP, IN_PACKAGE, SCRIPT, OVER_GLOO = (os.path.abspath(path) for path in sys.argv[1:5])
DEADLINE_S = 120


def code_of(path):
    """Its lines behind the comments that it begins with."""
    with open(path) as file:
        text = file.read()
    return text[text.index("import argparse"):].splitlines()


class DdpPythonTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")  # short enough for a socket's path
        self.addCleanup(shutil.rmtree, self.folder)

    def lines_of(self, *command):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE", "MASTER_"))}
        environment.update(XDG_STATE_HOME=self.folder, XDG_RUNTIME_DIR=self.folder, HOME=self.folder,
                           PYTHONPATH=os.path.dirname(os.path.dirname(IN_PACKAGE)))
        run = subprocess.run([LOCKSTEP, "run", "-np", "2", "/usr/bin/python3", *command, "--steps", "60"],
                             capture_output=True, text=True, timeout=DEADLINE_S, env=environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        return sorted(run.stdout.splitlines())

    def test_one_word_differs_from_the_script_over_gloo(self):
        changed = [line for line in difflib.ndiff(code_of(OVER_GLOO), code_of(SCRIPT)) if line[0] in "+-"]
        self.assertEqual([line.split("#")[0].rstrip() for line in changed],
                         ['-     dist.init_process_group("gloo")', '+     dist.init_process_group("lockstep")'])

    def test_it_trains_as_over_gloo(self):
        lines = self.lines_of("-m", "lockstep_c10d", SCRIPT)
        self.assertEqual(len(lines), 5)
        self.assertEqual(lines, self.lines_of(OVER_GLOO))


if __name__ == "__main__":
    unittest.main()
