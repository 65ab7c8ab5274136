# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What an MPI makes of a rank's mistake, by itself and below Lockstep's groups: what docs/lessons.md says of it is true.

traps is a program over MPI alone, with MPI_ERRORS_RETURN (traps_main.c), traps_with_lockstep one over Lockstep's groups over
the same MPI; in both rank 1 of three does something wrong. Each rank writes down what its call came back with, and whether.
"""
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RAW = {"openmpi": os.path.abspath(sys.argv[1]), "mpich": os.path.abspath(sys.argv[2])}
WITH_LOCKSTEP = os.path.abspath(sys.argv[3])
LIBRARY = {"openmpi": os.path.abspath(sys.argv[4]), "mpich": os.path.abspath(sys.argv[5])}

# By trap and MPI what ranks 0, 1 and 2 get: a value comes with MPI_SUCCESS ("?" = one that is different each time), "error" is
# another code, "hung" a call that did not come back. Ranks 0, 1 and 2 sum up 1, 2 and 3: 6 is right. Of the broadcasts 1 is.
TRAPS = {
    "half_count": {"openmpi": ["hung", "error", "hung"], "mpich": ["?", "?", "hung"]},
    "half_count_of_many": {"openmpi": ["hung", "error", "hung"], "mpich": ["2", "2", "2"]},
    "int_for_float": {"openmpi": ["-1.5", "-1.5", "inf"], "mpich": ["-1.5", "-1.5", "-1.5"]},
    "max_for_sum": {"openmpi": ["3", "3", "5"], "mpich": ["3", "3", "3"]},
    "other_root": {"openmpi": ["1", "2", "2"], "mpich": ["1", "1", "1"]},
    "other_root_of_many": {"openmpi": ["hung", "hung", "1"], "mpich": ["hung", "hung", "1"]},
    "broadcast_for_sum": {"openmpi": ["hung"] * 3, "mpich": ["hung"] * 3},
}
MAY_CRASH = [("half_count_of_many", "openmpi")]  # of SIGSEGV in MPI_Allreduce: 2 of 9 runs
CRASHED = 128 + signal.SIGSEGV
TIMEOUT_MS = 600  # of Lockstep's ops here
SLACK_MS = 1000  # a Work ends within its deadline and a second


class TrapCase(unittest.TestCase):
    """The tests, for the MPI that a subclass names."""
    mpi = None

    def setUp(self):
        self.mpirun = "mpirun." + self.mpi
        if shutil.which(self.mpirun) is None:
            self.skipTest("%s is not installed" % self.mpirun)
        self.folder = tempfile.mkdtemp(dir="/tmp")  # short: Open MPI has sockets in it
        self.addCleanup(shutil.rmtree, self.folder, True)

    # --- Running ---

    def start(self, words, size=3, mpirun_words=()):
        """`words` and, behind the first, the folder that ranks write to."""
        for name in os.listdir(self.folder):
            if name.startswith("rank_"):
                os.unlink(os.path.join(self.folder, name))
        command = [self.mpirun, "-np", str(size), *mpirun_words, *words]
        if self.mpi == "openmpi":
            command[1:1] = ["--oversubscribe", "--mca", "btl", "vader,self"]
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", TMPDIR=self.folder)
        # Into a file: hydra dies of SIGPIPE on a pipe now and then.
        with open(self.folder + "/output", "w") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment,
                                       start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """Also of what mpirun does not end: it hangs itself now and then, and a stopped rank answers nothing."""
        if process.poll() is None:
            process.kill()
            process.wait()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid) as file:
                    if self.folder in file.read():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass

    def lines(self, rank):
        """Those that are complete."""
        try:
            with open("%s/rank_%d" % (self.folder, rank)) as file:
                return file.read().rpartition("\n")[0].splitlines()
        except FileNotFoundError:
            return []

    def output(self):
        with open(self.folder + "/output", errors="replace") as file:
            return file.read()[-4000:]

    def await_word(self, process, ranks, limit_s=60):
        """Until each of `ranks` has told of its call, or that it hangs; returns their first lines, none after a crash."""
        until = time.monotonic() + limit_s
        while not all(self.lines(rank) for rank in ranks):
            self.assertLess(time.monotonic(), until, "not all of ranks %s told of their call:\n%s" % (ranks, self.output()))
            try:
                process.wait(0.05)
                break
            except subprocess.TimeoutExpired:
                pass
        told = [self.lines(rank) for rank in ranks]
        if not all(told) and process.returncode == CRASHED:
            return []
        self.assertTrue(all(told), "mpirun ended with %s before all had told: %s\n%s" % (process.returncode, told, self.output()))
        return [lines[0] for lines in told]

    # --- MPI by itself ---

    def raw(self, trap, ranks=(0, 1, 2), size=3, mpirun_words=()):
        """What each of `ranks` got from its call: "hung", "error", or a value."""
        process = self.start([RAW[self.mpi], self.folder, trap], size, mpirun_words)
        got = []
        for line in self.await_word(process, ranks):
            word, code, value = line.split()
            got.append("hung" if word == "hung" else "error" if code != "0" else value)
        self.end(process)
        return got

    def test_calls_that_differ_end_well_and_wrong_or_never(self):
        for trap, expected in TRAPS.items():
            with self.subTest(trap):
                got = self.raw(trap)
                print("%s, %s: %s" % (trap, self.mpi, ", ".join(got) or "SIGSEGV"))
                if not got:
                    self.assertIn((trap, self.mpi), MAY_CRASH)
                for rank, (value, wanted) in enumerate(zip(got, expected[self.mpi])):
                    if wanted == "?":
                        self.assertNotIn(value, ("hung", "error"), "rank %d" % rank)
                    else:
                        self.assertEqual(value, wanted, "rank %d" % rank)

    def test_other_mistakes_hang_for_ever(self):
        for trap, ranks in (("other_order", (0, 1, 2)), ("never_calls", (0, 2)), ("stops", (0, 2)), ("sends_first_much", (0, 1, 2))):
            with self.subTest(trap):
                self.assertEqual(self.raw(trap, ranks), ["hung"] * len(ranks))

    def test_who_sends_first_is_well_as_long_as_it_is_little(self):
        self.assertEqual(self.raw("sends_first_little"), ["3", "1", "2"])

    def test_mpirun_ends_the_others_of_a_dead_rank(self):
        begun = time.monotonic()
        process = self.start([RAW[self.mpi], self.folder, "dies"])
        self.assertNotEqual(process.wait(60), 0)
        print("%s: a rank is killed, mpirun ends after %.1f s" % (self.mpi, time.monotonic() - begun))
        self.assertEqual(sum((self.lines(rank) for rank in range(3)), []), [])

    def test_nothing_goes_on_behind_computing(self):
        left = max(float(value) for value in self.raw("overlap", (0, 1), 2))
        print("%s: behind its own time of computing, %.0f %% of a sum of 16 MiB are left to wait for" % (self.mpi, 100 * left))
        self.assertGreater(left, 0.1)

    def test_who_waits_for_a_late_rank_burns_a_processor(self):
        burnt = float(self.raw("waits", (0, 1), 2)[0])
        print("%s: who waits for a late rank burns %.0f %% of a processor" % (self.mpi, 100 * burnt))
        self.assertGreater(burnt, 0.05)

    def test_more_ranks_than_processors(self):
        # Beside other work a processor that spins may keep the others waiting beyond the limit.
        us = max(math.inf if value == "hung" else float(value) for value in self.raw("small_sums", range(4), 4))
        print("%s: 4 bytes among 4 ranks on %d processors take %.0f us" % (self.mpi, len(os.sched_getaffinity(0)), us))
        if self.mpi == "mpich" and len(os.sched_getaffinity(0)) <= 2:
            self.assertGreater(us, 500)  # slices of the scheduler

    # --- Below Lockstep's groups ---

    def with_lockstep(self, trap, check, ranks=(0, 1, 2)):
        """What each of `ranks` was told: code, milliseconds, value, error. mpirun ends by itself."""
        process = self.start([WITH_LOCKSTEP, LIBRARY[self.mpi], self.folder, trap, check])
        process.wait(50)
        told = [self.lines(rank) for rank in ranks]
        self.assertTrue(all(told), self.output())
        return [lines[-1].split("\t", 4)[1:] for lines in told]

    def test_with_compared_calls_all_are_told_who_called_what_and_where(self):
        for trap in TRAPS:
            with self.subTest(trap):
                told = self.with_lockstep(trap, "strict")
                self.assertEqual([code for code, _, _, _ in told], ["FAILED_PRECONDITION"] * 3, told)
                for rank, (_, _, value, error) in enumerate(told):
                    self.assertEqual(float(value), rank + 1, "nothing was moved")
                    self.assertIn("ranks 0, 2 called ", error)
                    self.assertIn("; rank 1 called ", error)
                    self.assertEqual(error.count(" at traps_with_lockstep_main.cc:"), 2, error)
                # Behind that the op is each member's own.
                self.assertEqual(len({error.split(" [job")[0] for _, _, _, error in told}), 1, told)

    def test_without_they_end_by_their_deadline(self):
        for trap in TRAPS:
            with self.subTest(trap):
                told = self.with_lockstep(trap, "plain")
                print("%s, %s below Lockstep: %s" % (trap, self.mpi, ", ".join(
                    value if code == "OK" else code for code, _, value, _ in told)))
                for _, ms, _, error in told:
                    self.assertLessEqual(int(ms), TIMEOUT_MS + SLACK_MS, error)

    def test_groups_in_another_order_end_by_the_deadline_which_names_who_is_elsewhere(self):
        for check in ("plain", "strict"):
            with self.subTest(check):
                told = self.with_lockstep("other_order", check)
                for rank, (code, ms, _, error) in enumerate(told):
                    self.assertEqual(code, "DEADLINE_EXCEEDED", error)
                    self.assertIn("ranks 0, 2 never called it" if rank == 1 else "rank 1 never called it", error)
                    self.assertLessEqual(int(ms), TIMEOUT_MS + SLACK_MS, error)

    def test_sends_first_end_by_the_deadline_and_in_a_batch_well(self):
        told = self.with_lockstep("sends_first", "plain")
        self.assertEqual([self.lines(rank)[0].split("\t")[:4:3] for rank in range(3)],
                         [["together", "3"], ["together", "1"], ["together", "2"]])
        for code, ms, _, error in told:
            self.assertIn(code, ("DEADLINE_EXCEEDED", "ABORTED"))  # of its own send, or since another's had failed
            self.assertIn("ran out of its 600ms", error)
            self.assertLessEqual(int(ms), TIMEOUT_MS + SLACK_MS, error)

    def test_who_waits_for_a_late_rank_sleeps(self):
        told = self.with_lockstep("waits", "plain")
        burnt = float(told[0][2])
        print("%s below Lockstep: who waits a second for a late rank burns %.0f ms of a processor" % (self.mpi, 1e3 * burnt))
        self.assertEqual([code for code, _, _, _ in told], ["OK"] * 3, told)


class OpenMpiTest(TrapCase):
    mpi = "openmpi"

    def test_with_recovery_the_others_of_a_dead_rank_hang_for_ever(self):
        self.assertEqual(self.raw("dies", (0, 2), mpirun_words=["--enable-recovery"]), ["hung"] * 2)


class MpichTest(TrapCase):
    mpi = "mpich"


del TrapCase  # a base, not a suite
