# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What tests of jobs of Python programs share: a state folder of their own, and an environment without a launcher's words."""
import os
import shutil
import subprocess
import tempfile
import unittest


class TorchJobs(unittest.TestCase):

    deadline_s = 240

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")  # short enough for a socket's path
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE", "MASTER_", "TORCH_"))}
        self.environment.update(XDG_STATE_HOME=self.folder, XDG_RUNTIME_DIR=self.folder, HOME=self.folder,
                                PYTHONDONTWRITEBYTECODE="1")

    def call(self, *command):
        return subprocess.run(command, capture_output=True, text=True, timeout=self.deadline_s, env=self.environment)
