# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Both forms of the example, as jobs: all_reduce_test.py LOCKSTEP ALL_REDUCE SHARED_OBJECT."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LOCKSTEP, ALL_REDUCE, SHARED_OBJECT = (os.path.abspath(path) for path in sys.argv[1:4])
DEADLINE_S = 60


class AllReduceTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")  # short enough for a socket's path
        self.addCleanup(shutil.rmtree, self.folder)

    def run_ranks(self, program, ranks, *words):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE"))}
        environment.update(XDG_STATE_HOME=self.folder, XDG_RUNTIME_DIR=self.folder, HOME=self.folder)
        run = subprocess.run([LOCKSTEP, "run", "-np", str(ranks), *words, program], capture_output=True, text=True,
                             timeout=DEADLINE_S, env=environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        return sorted(line.split("rank ", 1)[1] for line in run.stdout.splitlines() if "rank " in line)

    def expect_sums(self, program):
        self.assertEqual(self.run_ranks(program, 3), [
            "0 of 3: sum 6, average of its half 1.0",
            "1 of 3: sum 6, average of its half 1.0",
            "2 of 3: sum 6, average of its half 1.0",
        ])

    def expect_sums_of_two_nodes(self, program):
        self.assertEqual(self.run_ranks(program, 4, "--simulate-hosts", "--nnodes", "2"), [
            "0 of 4: sum 10, average of its half 1.0",
            "1 of 4: sum 10, average of its half 2.0",
            "2 of 4: sum 10, average of its half 1.0",
            "3 of 4: sum 10, average of its half 2.0",
        ])

    def compile_c(self, source):
        program = os.path.join(self.folder, "program")
        folder = os.path.dirname(SHARED_OBJECT)
        subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I.", source, "-L" + folder,
                        "-llockstep_collectives", "-Wl,-rpath," + folder, "-o", program], check=True, timeout=60)
        return program

    def test_in_cpp(self):
        self.expect_sums(ALL_REDUCE)
        self.expect_sums_of_two_nodes(ALL_REDUCE)

    def test_in_c_against_the_shared_object(self):
        program = self.compile_c("examples/all_reduce/all_reduce.c")
        self.expect_sums(program)
        self.expect_sums_of_two_nodes(program)

    def test_the_shared_object_shows_its_c_interface_alone(self):
        names = subprocess.run(["nm", "-D", "--defined-only", SHARED_OBJECT], check=True, capture_output=True,
                               text=True, timeout=60).stdout.split("\n")
        shown = {line.split()[-1].split("@")[0] for line in names if line and line.split()[-2] != "A"}
        self.assertIn("lockstep_all_reduce", shown)
        self.assertEqual([name for name in shown if not name.startswith("lockstep_")], [])
        needed = subprocess.run(["readelf", "-d", SHARED_OBJECT], check=True, capture_output=True, text=True,
                                timeout=60).stdout
        libraries = {line.split("[")[1].rstrip("]") for line in needed.splitlines() if "(NEEDED)" in line}
        self.assertLessEqual(libraries, {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"})

    def test_an_error_is_told_in_c(self):
        source = os.path.join(self.folder, "wrong.c")
        with open(source, "w") as file:
            file.write('''
                #include <stdio.h>
                #include "collectives/c/lockstep_collectives.h"
                #include "runtime/rank/c/lockstep_rank.h"
                int main(void) {
                  lockstep_session* session; lockstep_group* world; lockstep_status status;
                  const lockstep_options here = LOCKSTEP_HERE;
                  float x[8] = {0};
                  if (lockstep_session_open(&session, &status) != 0) return 2;
                  if (lockstep_session_world_group(session, 0, &world, &status) != 0) return 2;
                  const lockstep_buffer b = {x, lockstep_group_rank(world) == 2 ? 7 : 8, LOCKSTEP_F32, LOCKSTEP_CPU, 0};
                  lockstep_finish(lockstep_all_reduce(world, &b, &b, LOCKSTEP_SUM, &here), &status);
                  printf("rank %d: code %d class %d blamed %d %s\\n", lockstep_group_rank(world), status.code,
                         status.failure_class, status.blamed_rank, status.text);
                  lockstep_work* null_buffer = lockstep_all_reduce(world, NULL, NULL, LOCKSTEP_SUM, NULL);
                  lockstep_finish(null_buffer, NULL);
                  lockstep_group_free(world);
                  lockstep_session_close(session);
                  return 0;
                }''')
        for line in self.run_ranks(self.compile_c(source), 3):
            self.assertRegex(line, r"^\d: code 9 class 1 blamed 2 .*rank 2 called all_reduce\(f32, sum, 7\) at wrong.c:7")


if __name__ == "__main__":
    unittest.main()
