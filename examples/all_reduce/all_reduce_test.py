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

    def compile_text(self, text):
        source = os.path.join(self.folder, "program.c")
        with open(source, "w") as file:
            file.write(text)
        return self.compile_c(source)

    def test_survivors_go_on_in_c(self):
        program = self.compile_text('''
            #include <signal.h>
            #include <stdio.h>
            #include <unistd.h>
            #include "collectives/c/lockstep_collectives.h"
            #include "runtime/rank/c/lockstep_rank.h"
            int main(void) {
              lockstep_session* session; lockstep_group *world, *pair = NULL, *left; lockstep_status status;
              const lockstep_options here = LOCKSTEP_HERE;
              const int32_t members[2] = {1, 0};
              lockstep_lost_rank lost[1] = {{-1, ""}};
              float x = 1;
              const lockstep_buffer b = {&x, 1, LOCKSTEP_F32, LOCKSTEP_CPU, 0};
              if (lockstep_session_open(&session, &status) != 0) return 2;
              if (lockstep_session_world_group(session, 0, &world, &status) != 0) return 2;
              const int rank = lockstep_group_rank(world);
              if (rank != 2 && lockstep_subset(world, members, 2, &here, &pair, &status) != 0) return 3;
              if (lockstep_session_lost_ranks(session, NULL, 0) != 0) return 4;  /* all meet below */
              if (lockstep_finish(lockstep_all_reduce(world, &b, &b, LOCKSTEP_SUM, &here), &status) != 0) return 5;
              if (rank == 2) kill(getpid(), SIGKILL);
              if (lockstep_finish(lockstep_all_reduce(world, &b, &b, LOCKSTEP_SUM, &here), &status) == 0) return 6;
              if (lockstep_shrink_to_survivors(world, &here, &left, &status) != 0) {
                fprintf(stderr, "%s\\n", status.text);
                return 7;
              }
              x = 10;
              if (lockstep_finish(lockstep_all_reduce(left, &b, &b, LOCKSTEP_SUM, &here), &status) != 0) return 8;
              const size_t count = lockstep_session_lost_ranks(session, lost, 1);
              printf("rank %d of %d: keeps %d, in its pair %d, sum %.0f, lost %zu: %d %s\\n", lockstep_group_rank(left),
                     lockstep_group_size(left), lockstep_session_keeps_survivors(session), lockstep_group_rank(pair), x,
                     count, lost[0].rank, lost[0].why);
              lockstep_group_free(left);
              lockstep_group_free(pair);
              lockstep_group_free(world);
              lockstep_session_close(session);
              return 0;
            }''')
        self.assertEqual(self.run_ranks(program, 3, "--on-rank-failure", "keep")[-2:], [
            "0 of 2: keeps 1, in its pair 1, sum 20, lost 1: 2 killed by signal 9 (SIGKILL)",
            "1 of 2: keeps 1, in its pair 0, sum 20, lost 1: 2 killed by signal 9 (SIGKILL)",
        ])

    def test_outputs_are_compared_in_c(self):
        program = self.compile_text('''
            #include <stdio.h>
            #include "collectives/c/lockstep_collectives.h"
            #include "runtime/rank/c/lockstep_rank.h"
            int main(void) {
              lockstep_session* session; lockstep_group* world; lockstep_status status;
              lockstep_options here = LOCKSTEP_HERE;
              float x[8] = {1};
              const lockstep_buffer b = {x, 8, LOCKSTEP_F32, LOCKSTEP_CPU, 0};
              here.verify = 1;
              if (lockstep_session_open(&session, &status) != 0) return 2;
              if (lockstep_session_world_group(session, 0, &world, &status) != 0) return 2;
              lockstep_work* work = lockstep_all_reduce(world, &b, &b, LOCKSTEP_SUM, &here);
              const int compared = lockstep_test(work);  /* it has ended on all when the call returns */
              const int code = lockstep_finish(work, &status);
              lockstep_finish(lockstep_barrier(world, &here), &status);
              printf("rank %d: ended %d code %d sum %.0f, barrier %s\\n", lockstep_group_rank(world), compared, code, x[0],
                     status.text);
              lockstep_group_free(world);
              lockstep_session_close(session);
              return 0;
            }''')
        for line in self.run_ranks(program, 2):
            self.assertRegex(line, r"^\d: ended 1 code 0 sum 2, barrier .*verify is of all_reduce")

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
