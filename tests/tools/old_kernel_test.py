# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""That //tests/tools:old_kernel bites: what the calls answer below it, and that glibc's own fallbacks still work."""
import ast
import os
import subprocess
import sys
import unittest

OLD_KERNEL = os.path.abspath(sys.argv[1])

# Numbers are the same on every architecture for calls this new. Arguments are such that a kernel that has the call
# answers something else than the two refusals.
PROBE = """
import ctypes, errno, os, subprocess, threading
libc = ctypes.CDLL(None, use_errno=True)
def answer(number, *arguments):
    ctypes.set_errno(0)
    done = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(argument) for argument in arguments]) >= 0
    return "ok" if done else errno.errorcode[ctypes.get_errno()]
name = ctypes.create_string_buffer(b"probe")
answers = {
    "clone3": answer(435, 0, 0),
    "pidfd_open": answer(434, os.getpid(), 0),
    "pidfd_send_signal": answer(424, -1, 0, 0, 0),
    "pidfd_getfd": answer(438, -1, 0, 0),
    "close_range": answer(436, 900, 901, 0),
    "memfd_create": answer(%d, ctypes.addressof(name), 0),
}
thread = threading.Thread(target=lambda: answers.update(thread="ran"))
thread.start()
thread.join()
answers["child"] = subprocess.run(["true"]).returncode
answers["system"] = os.system("true")
print(answers)
""" % {"x86_64": 319, "aarch64": 279}[os.uname().machine]

NEWER_CALLS = ("clone3", "pidfd_open", "pidfd_send_signal", "pidfd_getfd", "close_range", "memfd_create")


def probe(*wrapper, **env):
    output = subprocess.run([*wrapper, "/usr/bin/python3", "-c", PROBE], env={**os.environ, **env}, check=True,
                            capture_output=True, text=True, timeout=60).stdout
    return ast.literal_eval(output)


class OldKernelTest(unittest.TestCase):
    def test_newer_calls_answer_enosys(self):
        answers = probe(OLD_KERNEL)

        self.assertEqual({call: answers[call] for call in NEWER_CALLS}, dict.fromkeys(NEWER_CALLS, "ENOSYS"))

    def test_newer_calls_but_clone3_answer_eperm_when_asked(self):
        answers = probe(OLD_KERNEL, OLD_KERNEL_ERRNO="EPERM")

        self.assertEqual({call: answers[call] for call in NEWER_CALLS},
                         {**dict.fromkeys(NEWER_CALLS, "EPERM"), "clone3": "ENOSYS"})

    def test_threads_and_children_still_start(self):
        for error in ("ENOSYS", "EPERM"):
            answers = probe(OLD_KERNEL, OLD_KERNEL_ERRNO=error)

            self.assertEqual((answers["thread"], answers["child"], answers["system"]), ("ran", 0, 0))

    def test_the_refusals_are_its_doing(self):
        answers = probe()

        if "ENOSYS" in answers.values():
            self.skipTest("this kernel itself lacks a call: %s" % answers)
        self.assertNotIn("EPERM", answers.values())

    def test_the_exit_status_is_the_command_s(self):
        self.assertEqual(subprocess.run([OLD_KERNEL, "sh", "-c", "exit 7"]).returncode, 7)
        self.assertEqual(subprocess.run([OLD_KERNEL, "/no/such/program"], stderr=subprocess.DEVNULL).returncode, 127)
        self.assertEqual(subprocess.run([OLD_KERNEL], stderr=subprocess.DEVNULL).returncode, 2)
