# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What `make gpu-bundle` makes, run from a copied folder: without an environment, without a GPU, and as on an old kernel."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

OLD_KERNEL = os.path.abspath(sys.argv[1])
HERE = os.path.abspath("tests/gpu")
BYTES_MAX = 40 << 20
HOST = ("host_contract", "host_groups", "host_processes", "tcp_contract")
# glibc's own; and the loader.
ALLOWED = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"}


class BundleTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(dir="/tmp")
        subprocess.run([HERE + "/assemble", HERE, cls.scratch + "/made"], check=True)
        shutil.copytree(cls.scratch + "/made", cls.scratch + "/copied")
        shutil.rmtree(cls.scratch + "/made")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.scratch)

    def files(self):
        return [os.path.join(folder, name) for folder, _, names in os.walk(self.scratch + "/copied") for name in names
                if not folder.endswith("/results")]

    def run_bundle(self, parts, prefix=(), **environment):
        command = ["env", "-i", "PATH=/usr/bin:/bin", "OUT=" + self.scratch + "/results"]
        command += ["%s=%s" % pair for pair in environment.items()]
        command += list(prefix) + [self.scratch + "/copied/run.sh"] + parts
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200, cwd="/")

    def test_it_is_small_and_needs_glibc_alone(self):
        self.assertLess(sum(os.path.getsize(path) for path in self.files()), BYTES_MAX)
        for path in self.files():
            if path.endswith("run.sh"):
                continue
            head = subprocess.run(["readelf", "-d", path], stdout=subprocess.PIPE, text=True, check=True).stdout
            needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", head))
            self.assertLessEqual(needed, ALLOWED, path)

    def test_the_parts_without_a_gpu_pass_and_the_others_say_why_not(self):
        done = self.run_bundle([])
        self.assertEqual(done.returncode, 0, done.stdout)
        for part in HOST + ("fake_contract", "fake_faults", "fake_exits", "real", "bench"):
            self.assertRegex(done.stdout, r"PASS %s: " % part)
        self.assertIn("all that could run has passed", done.stdout)
        self.assertNotRegex(done.stdout, r"PASS (%s|fake_contract|fake_faults|fake_exits): 0 passed" % "|".join(HOST))
        if not os.path.exists("/dev/nvidiactl"):
            self.assertRegex(done.stdout, r"skipped \d+ times: .*no GPU here: there is no /dev/nvidiactl")
            self.assertIn("skipped over NCCL: ", done.stdout)

    def test_the_host_part_passes_where_newer_calls_are_missing(self):
        for errno in ("ENOSYS", "EPERM"):
            done = self.run_bundle(["host"], [OLD_KERNEL], OLD_KERNEL_ERRNO=errno)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_bench_works_over_the_fake(self):
        done = subprocess.run([self.scratch + "/copied/gpu_bench",
                               self.scratch + "/copied/collectives/nccl/testing/libfake_nccl_2_30.so", "32768"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"a record: \d+ ns")
        self.assertIn("over NCCL 2.30.7, 2 ranks", done.stdout)

    def test_a_failure_is_told_and_is_the_exit_status(self):
        broken = self.scratch + "/broken"
        shutil.copytree(self.scratch + "/copied", broken)
        os.unlink(broken + "/collectives/nccl/testing/libfake_nccl_2_30.so")
        done = subprocess.run(["env", "-i", "PATH=/usr/bin:/bin", broken + "/run.sh", "fake"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=850, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("FAIL fake_contract: exit status ", done.stdout)

    def test_an_unknown_part_is_refused(self):
        done = self.run_bundle(["gpu"])
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no part gpu; there are host, network, fake, real, bench", done.stdout)
