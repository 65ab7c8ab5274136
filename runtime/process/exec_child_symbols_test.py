# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What runs between clone and exec calls nothing that it must not: it shares memory with a parent that runs on, whose
other threads may hold any lock, and thread-local storage with the thread that cloned it.
"""
import os
import subprocess
import sys
import tempfile
import unittest

OBJECT = sys.argv[1]

# What a compiler makes of copies and of empty structs, and the table through which it finds addresses. Not syscall(), _exit()
# or execve(): safe after fork(), but they write errno, which here is the parent's too. Not __stack_chk_fail, whose message
# libc makes: exec_child.cc is compiled without it.
ALLOWED = {"memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_"}


def symbols(path, which):
    listing = subprocess.run(["nm", which, path], check=True, capture_output=True, text=True, timeout=60).stdout
    return {line.split()[-1] for line in listing.splitlines()}


def needed(path):
    """What the object leaves to others to define."""
    return symbols(path, "--undefined-only")


class ExecChildSymbolsTest(unittest.TestCase):

    def test_the_child_needs_nothing_that_is_unsafe_between_clone_and_exec(self):
        self.assertIn("_ZN8lockstep7process9ExecChildEPv", symbols(OBJECT, "--defined-only"), "this is another object")

        unsafe = needed(OBJECT) - ALLOWED

        self.assertEqual(unsafe, set(), "runtime/process/exec_child.cc uses these; take CallKernel() of raw_syscall.h, or "
                         "prepare in the parent what they would make")

    def test_an_unsafe_call_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            source, made = os.path.join(folder, "x.c"), os.path.join(folder, "x.o")
            with open(source, "w") as file:
                file.write("#include <stdlib.h>\n#include <string.h>\n"
                           "void *f(const void *p, size_t n) { void *m = malloc(n); return memcpy(m, p, n); }\n")
            subprocess.run(["gcc", "-fno-builtin", "-c", "-o", made, source], check=True, timeout=60)

            self.assertEqual(needed(made) - ALLOWED, {"malloc"})


if __name__ == "__main__":
    unittest.main()
