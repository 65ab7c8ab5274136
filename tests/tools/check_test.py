# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""tools/check in a repository of its own, with fake tools that write down what they were given."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

CHECK, LINT = (os.path.abspath(path) for path in sys.argv[1:3])

FAKES = ("bazel", "clang-format-19", "clang-tidy-19")
FAKE = """#!/bin/bash
name=$(basename "$0")
echo "$name $*" >> "$CALLS"
[[ " ${FAILING:-} " != *" $name "* ]]
"""


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        self.calls = self.folder + ".calls"
        os.makedirs(os.path.join(self.folder, "bin"))
        for name in FAKES:
            self.write("bin/" + name, FAKE, 0o755)
        self.write("tools/compdb", "#!/bin/bash\n", 0o755)
        shutil.copy(CHECK, os.path.join(self.folder, "tools/check"))
        self.git("init", "-q")
        self.commit()

    def write(self, name, content, mode=0o644):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(content)
        os.chmod(path, mode)

    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], cwd=self.folder, check=True)

    def commit(self):
        self.git("add", ".")
        self.git("commit", "-q", "-m", "x", "--allow-empty")

    def check(self, **env):
        open(self.calls, "w").close()
        path = os.path.join(self.folder, "bin") + ":/usr/bin:/bin"
        result = subprocess.run([os.path.join(self.folder, "tools/check")], capture_output=True, text=True, timeout=60,
                                env={"PATH": path, "HOME": self.folder, "CALLS": self.calls, **env})
        with open(self.calls) as file:
            return result.returncode, result.stdout + result.stderr, file.read()

    def test_a_commit_without_c_files_is_good(self):
        for change in ("README.md", None, "runtime/torch/tensor.h"):
            if change:
                self.write(change, "text\n")
            status, output, _ = self.check()

            self.assertEqual(status, 0, output)
            self.assertIn("check: all good", output)

    def test_changed_files_are_looked_at(self):
        self.write("launcher/new.cc", "")
        self.write("runtime/torch/slow.cc", "")
        self.write("notes.txt", "")

        status, output, calls = self.check()

        self.assertEqual(status, 0, output)
        self.assertIn("clang-format-19 --dry-run -Werror launcher/new.cc runtime/torch/slow.cc\n", calls)
        self.assertIn("--warnings-as-errors=* launcher/new.cc\n", calls)  # LibTorch's headers cost a minute a file

    def test_parts_that_fail_are_named_and_the_others_still_run(self):
        self.write("launcher/new.cc", "")

        status, output, calls = self.check(FAILING="clang-format-19 clang-tidy-19")

        self.assertEqual(status, 1)
        self.assertIn("check: failed: format tidy\n", output)
        self.assertIn("bazel test", calls)


class LintTest(unittest.TestCase):
    """.clang-tidy with the real program."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        shutil.copy(LINT, os.path.join(self.folder, ".clang-tidy"))

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(content)

    # Every file that included a message was refused for what protoc had written.
    def test_own_headers_are_looked_at_and_generated_ones_are_not(self):
        self.write("runtime/proto/own.h", "inline int* Own() { return 0; }\n")
        self.write("bazel-out/k8-opt/bin/runtime/proto/x.pb.h", "inline int* Generated() { return 0; }\n")
        self.write("launcher/a.cc", '#include "runtime/proto/own.h"\n#include "runtime/proto/x.pb.h"\n')

        result = subprocess.run(["clang-tidy-19", "--quiet", "launcher/a.cc", "--", "-I.", "-Ibazel-out/k8-opt/bin"],
                                cwd=self.folder, capture_output=True, text=True, timeout=60)

        self.assertNotEqual(result.returncode, 0)
        self.assertIn("own.h:1:28: error: use nullptr", result.stdout)
        self.assertNotIn("x.pb.h", result.stdout)
