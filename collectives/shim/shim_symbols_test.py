# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What the preloaded object asks of the programs that it comes into, and what it shows them."""
import re
import subprocess
import sys
import unittest

OBJECT, LIBRARY = sys.argv[1:3]
# What the object may show, some of which it must, and what it may not need.
SHOWN = {"mpi": r"MPI_\w+$|mpi_\w+_$", "nccl": r"nccl[A-Z]\w+$"}[LIBRARY]
SOME = {
    "mpi": ("MPI_Init", "MPI_Allreduce", "MPI_Iallreduce", "MPI_Waitall", "mpi_init_", "mpi_iallreduce_"),
    "nccl": ("ncclCommInitRank", "ncclAllReduce", "ncclSend", "ncclGroupEnd", "ncclCommSplit"),
}[LIBRARY]
UNNEEDED = {"mpi": r"P?MPI_|p?mpi_|ompi_", "nccl": r"p?nccl|cu[A-Z]|cuda"}[LIBRARY]
NEWEST_GLIBC = (2, 28)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def symbols(which):
    """[(type, name with its version)]"""
    return [tuple(line.split()[-2:]) for line in run("nm", "-D", "--with-symbol-versions", which, OBJECT).splitlines()]


def versions(names):
    """{name: its version of glibc}, of those that name one."""
    found = {}
    for name in names:
        match = re.match(r"(\w+)@+GLIBC_([\d.]+)$", name)
        if match:
            found[match.group(1)] = tuple(int(part) for part in match.group(2).split("."))
    return found


class ShimSymbolsTest(unittest.TestCase):

    def test_it_runs_on_the_glibc_of_older_systems(self):
        needed = versions(name for _, name in symbols("--undefined-only"))
        self.assertIn("malloc", needed)
        newer = {name: version for name, version in needed.items() if version > NEWEST_GLIBC}
        self.assertEqual(newer, {}, "take another function, or its older version (old_glibc.h)")

    def test_a_newer_version_is_told_from_an_older_one(self):
        self.assertEqual(versions(["fstat@GLIBC_2.33", "malloc@GLIBC_2.2.5"]), {"fstat": (2, 33), "malloc": (2, 2, 5)})
        self.assertGreater((2, 33), NEWEST_GLIBC)
        self.assertLess((2, 2, 5), NEWEST_GLIBC)

    def test_it_does_not_need_the_library(self):
        needed = [name for _, name in symbols("--undefined-only")]
        self.assertEqual([name for name in needed if re.match(UNNEEDED, name)], [])

    def test_it_brings_nothing_that_a_program_has_not(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", OBJECT))
        self.assertLessEqual(set(needed), {"libc.so.6", "ld-linux-x86-64.so.2"})

    def test_a_program_without_libdl_starts_with_it(self):
        weak = {name.split("@")[0] for kind, name in symbols("--undefined-only") if kind in "wv"}
        self.assertLessEqual({"dlsym", "dladdr", "dlopen"}, weak)

    def test_it_shows_functions_of_the_library_alone(self):
        shown = [name for _, name in symbols("--defined-only")]
        self.assertEqual([name for name in shown if not re.match(SHOWN, name)], [])
        for name in SOME:
            self.assertIn(name, shown)


if __name__ == "__main__":
    unittest.main()
