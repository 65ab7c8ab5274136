#!/usr/bin/python3
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What mpirun alone says of a faulty rank, and when, beside what `lockstep run` says of the same program:

    diagnosis_table.py LOCKSTEP MPI=PROGRAM... [--quick] [FAULT...]

MPI is openmpi or mpich; PROGRAM is examples/hang_gallery/mpi_hang, built with it. Prints a table and a bar. Whatever has not ended
after SECONDS_MAX is killed: it hangs. --quick: two faults. Exit status: 1 when the bar is missed; 77 when no MPI is installed.
"""
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RANKS = 3
SECONDS_MAX = 10
# The program's word, and what `lockstep run` has to say.
FAULTS = {
    "count": "the counts differ",
    "dtype": "the dtypes differ",
    "op": "the ops differ",
    "root": "the roots differ",
    "stops": "its process is stopped by a signal",
}
QUICK = ("op", "stops")
MARK = "LOCKSTEP_BENCH_MARK"
WORDS_MAX = 90  # of what somebody says, in the table


def command_of(mpi, program, fault):
    if mpi == "openmpi":
        return ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-np", str(RANKS), program, fault]
    return ["mpiexec.hydra", "-n", str(RANKS), program, fault]


class Said:
    """What a command has said, line by line with the time since its start, until its end or `seconds_max`."""

    def __init__(self, command, mark, environment):
        self.lines = []
        self.status = None  # None: it did not end
        begun = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=dict(environment, **{MARK: mark}), start_new_session=True)
        try:
            self.read(process.stdout, begun)
            left = max(0, begun + SECONDS_MAX - time.monotonic())
            self.status = process.wait(timeout=left)
        except subprocess.TimeoutExpired:
            pass
        self.seconds = time.monotonic() - begun
        end_all(mark)
        process.wait()
        process.stdout.close()

    def read(self, output, begun):
        os.set_blocking(output.fileno(), False)
        selector = selectors.DefaultSelector()
        selector.register(output, selectors.EVENT_READ)
        text = b""
        while time.monotonic() - begun < SECONDS_MAX:
            if not selector.select(timeout=max(0, begun + SECONDS_MAX - time.monotonic())):
                break
            block = output.read(65536)
            if not block:
                break
            text += block
            *whole, text = text.split(b"\n")
            self.lines += [(time.monotonic() - begun, line.decode(errors="replace")) for line in whole]
        selector.close()

    def when(self, words):
        """When a line with these words was said; None: it was not."""
        return next((at for at, line in self.lines if words in line), None)


def end_all(mark):
    """Kills whatever carries the mark: what a launcher that was killed leaves."""
    wanted = ("%s=%s" % (MARK, mark)).encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as file:
                if wanted in file.read().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass


def clipped(text):
    text = " ".join(text.split()).replace("|", "/")
    return text if len(text) <= WORDS_MAX else text[:WORDS_MAX - 3] + "..."


def alone(said):
    """(What mpirun said, when) for the table."""
    words = [(at, line) for at, line in said.lines if line.strip(" -=\t")]
    # The first line that tells something: MPI's own error before its launcher's.
    first = next(((at, line) for at, line in words if "MPI_ERR_" in line), words[0] if words else None)
    quoted = ': "%s"' % clipped(first[1]) if first else ", without a word"
    if said.status is None:
        return "hangs%s" % quoted, "> %d s" % SECONDS_MAX
    if said.status == 0:
        return "exit status 0%s" % quoted, "%.1f s" % said.seconds
    return "exit status %d%s" % (said.status, quoted), "%.1f s" % (first[0] if first else said.seconds)


def row(mpi, program, fault, lockstep, environment):
    """A line of the table, and whether lockstep named the rank."""
    mark = "%d-%s-%s" % (os.getpid(), mpi, fault)
    theirs = alone(Said(command_of(mpi, program, fault), mark, environment))
    ours = Said([lockstep, "run", "-np", str(RANKS), "--grace", "200ms", "--", program, fault], mark, environment)
    text = " ".join(line for _, line in ours.lines)
    named = "lockstep: rank 1 " in text and FAULTS[fault] in " ".join(text.split())
    at = ours.when("lockstep: rank 1 ")
    verdict = text[text.rfind("lockstep: rank 1 ") + len("lockstep: "):] if at is not None else text
    sentence = verdict.split("   when ")[0].split("  when ")[0]
    print("| %s | %s | %s | %s | %s | %s |" %
          ("Open MPI" if mpi == "openmpi" else "MPICH", fault, *theirs, " ".join(sentence.split()).replace("|", "/"),
           "%.1f s" % at if at is not None else "never"), flush=True)
    return named


def main():
    words = [word for word in sys.argv[1:] if word != "--quick"]
    lockstep = os.path.abspath(words[0])
    programs = [word.split("=", 1) for word in words[1:] if "=" in word]
    faults = [word for word in words[1:] if "=" not in word] or (QUICK if "--quick" in sys.argv else list(FAULTS))
    programs = [(mpi, os.path.abspath(path)) for mpi, path in programs if shutil.which(command_of(mpi, "", "")[0])]
    if not programs:
        print("no MPI is installed (libopenmpi-dev, mpich)", file=sys.stderr)
        return 77
    folder = tempfile.mkdtemp(prefix="lockstep-table-", dir="/tmp")  # short enough for a socket's path
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE", "OMPI_", "PMI"))}
    environment["LOCKSTEP_HOME"] = folder
    print("%d ranks of which rank 1 is at fault in step 10, 1.1 s after MPI_Init; whatever runs after %d s is killed. "
          "Times since the launch. Exit status 0 of a program whose calls differ means that its ranks go on with other data each.\n" %
          (RANKS, SECONDS_MAX))
    print("| MPI | fault | what mpirun alone says | when | what `lockstep run` says | when |\n|---|---|---|---|---|---|")
    try:
        named = [row(mpi, program, fault, lockstep, environment) for mpi, program in programs for fault in faults]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    holds = all(named)
    print("\nbar %s: lockstep names rank 1 and its fault in %d of %d" %
          ("holds" if holds else "MISSED", sum(named), len(named)), flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
