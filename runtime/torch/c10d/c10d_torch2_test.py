# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The backend `lockstep` of the torch 2 that tools/setup_extras installs, or of the Python that $LOCKSTEP_TORCH2_PYTHON names:
c10d_torch2_test.py LOCKSTEP PACKAGE_FILE FILE...

Of the files `torch2` says where it is.
"""
import os
import shutil
import subprocess
import tempfile
import unittest

from jobs import FILES, PACKAGE, Jobs

COMPILATION_DEADLINE_S = 480  # a minute where nothing else runs


def find_torch2():
    """The Python that has it, or None."""
    with open(FILES["torch2"]) as file:
        folder = file.read().strip()
    return os.environ.get("LOCKSTEP_TORCH2_PYTHON") or (os.path.join(folder, "bin/python3") if folder else None)


TORCH_2 = find_torch2()


@unittest.skipUnless(TORCH_2, "no torch 2 here; tools/setup_extras installs one")
class Torch2Test(Jobs):

    @classmethod
    def setUpClass(cls):
        """Compiles the extension once for all cases, in a time of its own."""
        cls.cache = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")
        cls.addClassCleanup(shutil.rmtree, cls.cache)
        subprocess.run([TORCH_2, "-c", "import lockstep_c10d"], check=True, timeout=COMPILATION_DEADLINE_S,
                       env=dict(os.environ, PYTHONPATH=PACKAGE, XDG_CACHE_HOME=cls.cache, PYTHONDONTWRITEBYTECODE="1"))

    def test_each_op_gives_known_values(self):
        self.expect_ops(TORCH_2)

    def test_ddp_gives_the_losses_of_gloo_to_the_last_bit(self):
        self.expect_gloos_losses(TORCH_2, "ddp.py")

    def test_fully_shard_gives_the_losses_of_gloo_to_the_last_bit(self):
        self.expect_gloos_losses(TORCH_2, "fsdp.py")

    def test_a_killed_rank_is_named(self):
        texts, _ = self.told_to_others(TORCH_2, "killed")
        for text in texts:
            self.assertIn("ran out of its 2s: rank 1 never called it", text)

    def test_survivors_go_on_in_their_processes(self):
        self.expect_survivors(TORCH_2)
