# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""A fully static program in a root whose nsswitch.conf names an installed module must not load it; see
bazel/builtin_nss.cc. The same program without that cure is the proof that the module is found at all.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PROBE, PROBE_WITHOUT_CURE, MODULE = (os.path.abspath(argument) for argument in sys.argv[1:4])
MODULE_LOADED = 86

ETC = {
    "nsswitch.conf": "passwd: trap files\ngroup: trap files\nservices: trap files\nhosts: trap files dns\n",
    "passwd": "root:x:0:0:::\n",
    "group": "root:x:0:\n",
    "services": "probe-service 4242/tcp\n",
    "hosts": "127.0.0.1 probe-host\n",
}


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(content)


def libc_folder():
    """Where this machine's glibc lies and looks for modules."""
    with open("/proc/self/maps") as maps:
        return next(os.path.dirname(line.split()[-1]) for line in maps if line.rstrip().endswith("/libc.so.6"))


class NssTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        for name, content in ETC.items():
            write(os.path.join(self.root, "etc", name), content)
        modules = self.root + libc_folder()
        os.makedirs(modules)
        shutil.copy(MODULE, os.path.join(modules, "libnss_trap.so.2"))
        # What a module itself needs.
        for name in ("libc.so.6", "ld-linux-x86-64.so.2"):
            shutil.copy(os.path.join(libc_folder(), name), modules)
        os.makedirs(self.root + "/lib64")
        shutil.copy("/lib64/ld-linux-x86-64.so.2", self.root + "/lib64")
        if self.enter("/bin/true", copy="/bin/busybox").returncode != 0:
            self.skipTest("this machine lets us enter no other root (user namespaces and chroot are refused)")

    def enter(self, name, copy):
        """Runs a copy of a static program as `name` in the root, as its root user and with no environment."""
        inside = self.root + name
        os.makedirs(os.path.dirname(inside), exist_ok=True)
        shutil.copy(copy, inside)
        return subprocess.run(["unshare", "--user", "--map-root-user", "--root=" + self.root, name], env={},
                              capture_output=True, text=True, timeout=60)

    def test_names_come_from_files_and_no_module_is_loaded(self):
        result = self.enter("/probe", copy=PROBE)

        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "user root group root service 4242 host found\n")

    def test_without_the_cure_the_module_is_loaded(self):
        result = self.enter("/probe", copy=PROBE_WITHOUT_CURE)

        self.assertEqual(result.returncode, MODULE_LOADED, result.stderr)
