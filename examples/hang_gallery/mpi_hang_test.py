# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What run_all says of a program of MPI: mpi_hang_test.py RUN_ALL LOCKSTEP MPI_HANG_OF_MPICH MPI_HANG_OF_OPENMPI."""
import os
import shutil
import subprocess
import sys
import unittest

RUN_ALL, LOCKSTEP, MPICH, OPENMPI = (os.path.abspath(path) for path in sys.argv[1:5])
SECONDS_MAX = 100


class MpiHangTest(unittest.TestCase):

    def expect_named(self, mpi, program, faults):
        if shutil.which("mpirun." + mpi) is None:
            self.skipTest("%s is not installed" % mpi)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE", "OMPI_", "PMI"))}
        environment.update(LOCKSTEP=LOCKSTEP, MPI_HANG=program)
        run = subprocess.run([sys.executable, RUN_ALL, "--mpi", mpi, "--action-after", "3s", *faults],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment,
                             timeout=SECONDS_MAX)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_over_mpich(self):
        self.expect_named("mpich", MPICH, ["is-killed", "stops", "op", "sleeps", "count", "dtype", "root"])

    def test_over_open_mpi(self):
        self.expect_named("openmpi", OPENMPI, ["is-killed", "stops", "op", "sleeps", "root"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
