# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The attach client is C alone: it links into a program that a C compiler links, and brings no library but libc."""
import os
import subprocess
import tempfile
import unittest

SOURCES = ["attach_client.c", "attach_wire.c", "fork_guard.c", "shared_memory.c", "testdata/c_program.c"]


class CProgramTest(unittest.TestCase):

    def test_links_without_libstdcxx_and_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I.", "-o", program] +
                           ["runtime/attach/" + source for source in SOURCES], check=True, timeout=60)
            dynamic = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True, timeout=60)
            needed = [line.split("[")[1].rstrip("]") for line in dynamic.stdout.splitlines() if "(NEEDED)" in line]
            self.assertEqual(needed, ["libc.so.6"])
            run = subprocess.run([program, "/nonexistent/s", "ab" * 32], capture_output=True, text=True, timeout=60)
            self.assertEqual(run.returncode, 0)
            self.assertRegex(run.stdout, "^6 .*/nonexistent/s.*No such file")


if __name__ == "__main__":
    unittest.main()
