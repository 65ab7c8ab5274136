# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The program over MPI and the same over Lockstep's groups, under each MPI's own mpirun."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = {"openmpi": os.path.abspath(sys.argv[1]), "mpich": os.path.abspath(sys.argv[2])}
WITH_LOCKSTEP, LOCKSTEP = (os.path.abspath(path) for path in sys.argv[3:5])
LIBRARY = {"openmpi": os.path.abspath(sys.argv[5]), "mpich": os.path.abspath(sys.argv[6])}
# Of three ranks in ten batches: the mean of rank + batch is 1 + batch.
SAID = sorted("rank %d of 3: weight 55.0" % rank for rank in range(3))


class MpiProgramCase(unittest.TestCase):
    """The tests, for the MPI that a subclass names."""
    mpi = None

    def setUp(self):
        self.mpirun = "mpirun." + self.mpi
        if shutil.which(self.mpirun) is None:
            self.skipTest("%s is not installed" % self.mpirun)
        self.folder = tempfile.mkdtemp(dir="/tmp")  # short: Open MPI and agents have sockets in it
        self.addCleanup(shutil.rmtree, self.folder, True)

    def start(self, words):
        command = [self.mpirun, "-np", "3"] + words
        if self.mpi == "openmpi":
            command[1:1] = ["--oversubscribe", "--mca", "btl", "vader,self"]
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                           LOCKSTEP_MPI_LIBRARY=LIBRARY[self.mpi], LOCKSTEP_HOME=self.folder + "/home",
                           TMPDIR=self.folder)
        # Into a file: hydra dies of SIGPIPE on a pipe now and then.
        with open(self.folder + "/output", "w") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment,
                                       start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.send_signal(signal.SIGTERM)  # to mpirun, which ends its ranks
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def assert_hangs(self, process, seconds):
        with self.assertRaises(subprocess.TimeoutExpired, msg=self.output()):
            process.wait(seconds)

    def output(self):
        with open(self.folder + "/output", errors="replace") as file:
            return file.read()

    def lines_of_ranks(self):
        return sorted(line for line in self.output().splitlines() if line.startswith("rank "))

    def test_both_programs_say_the_same(self):
        for words in ([PROGRAM[self.mpi]], [WITH_LOCKSTEP], [LOCKSTEP, "exec", "--", WITH_LOCKSTEP]):
            with self.subTest(words[0]):
                process = self.start(words)
                self.assertEqual(process.wait(60), 0, self.output())
                self.assertEqual(self.lines_of_ranks(), SAID, self.output())

    def test_a_batch_too_few_hangs_over_mpi(self):
        # Line by line: rank 1 has no batch left, and waits for the others where MPI ends.
        process = self.start(["stdbuf", "-oL", PROGRAM[self.mpi], "9"])
        limit = time.monotonic() + 60
        while not self.lines_of_ranks() and time.monotonic() < limit:
            self.assert_hangs(process, 0.1)
        self.assert_hangs(process, 8)
        self.assertEqual(self.lines_of_ranks(), ["rank 1 of 3: weight 45.0"], self.output())

    def run_lockstep(self, words):
        environment = dict(os.environ, LOCKSTEP_HOME=self.folder + "/home", TMPDIR=self.folder)
        return subprocess.run([LOCKSTEP, "run", "-np", "3", "--watch=mpi"] + words, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, timeout=60)

    def test_it_needs_no_mpirun(self):
        run = self.run_lockstep(["--log-prefix=false", PROGRAM[self.mpi]])
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(sorted(run.stdout.splitlines()), SAID, run.stderr)

    def test_a_batch_too_few_is_named_over_mpi(self):
        run = self.run_lockstep([PROGRAM[self.mpi], "9"])
        self.assertNotEqual(run.returncode, 0)
        screen = " ".join(run.stderr.split())
        self.assertIn("rank 1 called Finalize", screen)
        self.assertIn("all_reduce(f32, sum, 1000)", screen)

    def test_a_batch_too_few_is_an_error_that_names_the_rank(self):
        begun = time.monotonic()
        process = self.start([WITH_LOCKSTEP, "9"])
        self.assertNotEqual(process.wait(60), 0, self.output())
        self.assertLess(time.monotonic() - begun, 30)
        self.assertIn("rank 1 left the group", self.output())
        self.assertIn("all_reduce(f32, avg, 1000), op 10 of group world", self.output())


class OpenMpiTest(MpiProgramCase):
    mpi = "openmpi"


class MpichTest(MpiProgramCase):
    mpi = "mpich"


del MpiProgramCase  # a base, not a suite
