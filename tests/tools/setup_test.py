# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""tools/setup on a machine played by fake dpkg-query, apt-get, id and sudo."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SETUP = os.path.abspath(sys.argv[1])

# Each machine is a folder: a file in installed/ or offered/ for each package, apt.log with the calls of apt-get.
FAKES = {
    "dpkg-query": """
for package in "${@:4}"; do
  if [ -e "$MACHINE/installed/$package" ]; then echo "installed $package:amd64"; fi
done""",
    "apt-get": """
echo "$@" >> "$MACHINE/apt.log"
if [ -e "$MACHINE/fail_once" ]; then rm "$MACHINE/fail_once"; exit 100; fi
while [ $# -gt 0 ] && [ "$1" != install ]; do shift; done
packages=()
for word in "${@:2}"; do case $word in -*) ;; *) packages+=("$word") ;; esac; done
for package in "${packages[@]}"; do [ -e "$MACHINE/offered/$package" ] || exit 100; done
for package in "${packages[@]}"; do touch "$MACHINE/installed/$package"; done""",
    "id": 'echo "${FAKE_UID:-0}"',
    "sudo": """
[ -z "${SUDO_REFUSES:-}" ] || exit 1
touch "$MACHINE/sudo_was_used"; shift; exec "$@" """,
}


class SetupTest(unittest.TestCase):
    def setUp(self):
        self.machine = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        for folder in ("installed", "offered", "bin", "tools"):
            os.mkdir(os.path.join(self.machine, folder))
        shutil.copy(SETUP, os.path.join(self.machine, "tools/setup"))
        self.write("tools/packages.txt", "# The list.\n\n# To compile\n# things.\ngood\nneeded  # note\n\n# To test.\nrare\n")
        for name, body in FAKES.items():
            self.write("bin/" + name, "#!/bin/bash\n" + body + "\n")
            os.chmod(os.path.join(self.machine, "bin", name), 0o755)
        for package in ("good", "needed", "rare"):
            self.write("offered/" + package)
        self.write("installed/good")

    def write(self, name, content=""):
        with open(os.path.join(self.machine, name), "w") as file:
            file.write(content)

    def run_setup(self, **env):
        path = os.path.join(self.machine, "bin") + ":/usr/bin:/bin"
        result = subprocess.run([os.path.join(self.machine, "tools/setup")], capture_output=True, text=True, timeout=60,
                                env={"PATH": path, "MACHINE": self.machine, **env})
        return result.returncode, result.stdout + result.stderr

    def installations(self):
        try:
            with open(os.path.join(self.machine, "apt.log")) as file:
                return [line.split(" install ")[1].strip() for line in file if " install " in line]
        except FileNotFoundError:
            return []

    def test_only_what_is_missing_is_installed(self):
        returncode, output = self.run_setup()

        self.assertEqual(returncode, 0, output)
        self.assertEqual(self.installations(), ["--no-install-recommends needed rare"])
        self.assertIn("To compile things.\n      needed\n", output)
        self.assertIn("To test.\n      rare\n", output)

    def test_the_second_time_apt_is_not_called(self):
        self.run_setup()
        os.unlink(os.path.join(self.machine, "apt.log"))

        self.assertEqual(self.run_setup()[0], 0)
        self.assertFalse(os.path.exists(os.path.join(self.machine, "apt.log")))

    def test_a_failure_is_tried_once_more(self):
        self.write("fail_once")

        returncode, output = self.run_setup()

        self.assertEqual(returncode, 0, output)
        self.assertIn("failed with status 100", output)

    def test_what_cannot_be_had_is_named_and_keeps_nothing_back(self):
        os.unlink(os.path.join(self.machine, "offered/rare"))

        returncode, output = self.run_setup()

        self.assertEqual(returncode, 1)
        self.assertIn("could not install: rare.", output)
        self.assertTrue(os.path.exists(os.path.join(self.machine, "installed/needed")))

    def test_a_user_installs_by_sudo(self):
        self.assertEqual(self.run_setup(FAKE_UID="1000")[0], 0)
        self.assertTrue(os.path.exists(os.path.join(self.machine, "sudo_was_used")))

    def test_a_user_without_sudo_gets_the_command_to_run(self):
        returncode, output = self.run_setup(FAKE_UID="1000", SUDO_REFUSES="1")

        self.assertEqual(returncode, 1)
        self.assertIn("sudo apt-get install --no-install-recommends needed rare", output)
        self.assertEqual(self.installations(), [])
