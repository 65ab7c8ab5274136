# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The program `lockstep` needs nothing of a machine but glibc, fully static not even that; and no big library is linked
into it either: what needs one is a helper process.
"""
import re
import subprocess
import sys
import unittest

PROGRAM, PROBE_WITH_LIBRARY = sys.argv[1], sys.argv[2]
FULLY_STATIC = sys.argv[3] == "static"

OF_GLIBC = re.compile(r"(libc|libm|libpthread|libdl|librt|libresolv|libutil|ld-linux-[a-z0-9-]+)\.so\.[0-9]+$")
# A symbol that every program has which links the library.
FOREIGN = {
    "libcurl": r"curl_\w+",
    "gRPC": r"grpc_\w+",
    "LibTorch": r"_ZN[2-9]?[K0-9]*(at|c10|torch)[0-9]\w*",
    "MPI": r"(MPI|PMPI)_[A-Z]\w+",
    "libpmix": r"PMIx_\w+",
    "NVML": r"nvml[A-Z]\w+",
}


def needed(path):
    listing = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", listing)


def symbols(path):
    listing = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in listing.splitlines()}


def foreign(path):
    names = symbols(path)
    return sorted(library for library, pattern in FOREIGN.items() if any(re.fullmatch(pattern, name) for name in names))


class LinkageTest(unittest.TestCase):
    def test_only_glibc_is_loaded_at_run_time(self):
        libraries = needed(PROGRAM)
        if FULLY_STATIC:
            self.assertEqual(libraries, [])
        else:
            self.assertIn("libc.so.6", libraries)
            self.assertEqual([name for name in libraries if not OF_GLIBC.match(name)], [],
                             "link it statically (bazel/defs.bzl, cc_app), or move its user into a helper process")

    def test_no_big_library_is_linked_in(self):
        self.assertIn("main", symbols(PROGRAM), "the program is stripped: nothing can be told")
        self.assertEqual(foreign(PROGRAM), [], "move its user into a helper process")

    def test_a_program_that_breaks_the_rules_is_found(self):
        self.assertEqual(foreign(PROBE_WITH_LIBRARY), ["MPI", "libcurl"])
        if not FULLY_STATIC:
            self.assertIn("libstdc++.so.6", needed(PROBE_WITH_LIBRARY))


if __name__ == "__main__":
    unittest.main()
