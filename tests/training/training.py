# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: `lockstep run` of the Fashion-MNIST example in a folder of its own."""
import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

LOCKSTEP, TRAIN = (os.path.abspath(path) for path in sys.argv[1:3])
STEPS = 50  # of two epochs, so that epochs begin and end in all of it
CHECKPOINT_EVERY = 7
RUN_DEADLINE_S = 90

PROGRESS = re.compile(r"step (\d+)/%d " % STEPS)
WEIGHTS = re.compile(r"accuracy [\d.]+ %, final weights ([0-9a-f]{16})")
TAG = "LOCKSTEP_TEST_TAG"


def small_training(ranks):
    """The program: 3,000 images, twice, in 25 steps each."""
    return [TRAIN, "--limit=3000", "--epochs=2", "--batch=%d" % (120 // ranks), "--log_every=1",
            "--checkpoint_every=%d" % CHECKPOINT_EVERY]


def leftovers(tag):
    """By pid, the command lines of the processes that carry the tag, zombies left out."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % pid, "rb") as file:
                is_ours = ("%s=%s" % (TAG, tag)).encode() in file.read().split(b"\0")
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # gone meanwhile, or somebody else's
        if is_ours and command:  # a zombie's is empty
            found[int(pid)] = command
    return found


def eventually(holds, at_most_s):
    """Polls facts of /proc or of a folder, which no event announces; False at the deadline."""
    give_up = time.monotonic() + at_most_s
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.001)  # tidy:allow sleep: between two looks
    return True


class Process:
    """A rank, held so that its pid cannot become another process's."""

    def __init__(self, pid):
        self.fd = os.pidfd_open(pid)

    def kill(self):
        """False when it had ended before. Waits until it is dead."""
        try:
            had_ended = self.ended(0)
            signal.pidfd_send_signal(self.fd, signal.SIGKILL)
        except ProcessLookupError:
            had_ended = True
        if not self.ended(10):
            raise TimeoutError("a process outlives SIGKILL")
        return not had_ended

    def ended(self, timeout_s):
        return bool(select.select([self.fd], [], [], timeout_s)[0])

    def close(self):
        os.close(self.fd)


class Run:
    """A `lockstep run`; killed when it outlives its deadline."""

    def __init__(self, test, ranks, program, flags=(), wrapper=(), deadline_s=RUN_DEADLINE_S):
        self.test = test
        self.ranks = ranks
        self.name = "job%d" % test.next_job()
        command = [*wrapper, LOCKSTEP, "run", "-np", str(ranks), "--name=" + self.name, *flags, *program]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        errors="replace", env=test.environment())
        self.output = ""
        watchdog = threading.Timer(deadline_s, self.process.kill)
        watchdog.start()
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)
        test.addCleanup(watchdog.cancel)

    def lines(self):
        for line in self.process.stdout:
            self.output += line
            yield line

    def wait_for_line(self, pattern):
        for line in self.lines():
            if pattern.search(line):
                return
        self.test.fail("the run ended before %s:\n%s" % (pattern.pattern, self.output))

    def wait(self):
        """Its exit status."""
        for _ in self.lines():
            pass
        return self.process.wait()

    def processes(self):
        """The ranks' processes as soon as all of them are there."""
        pids = {}

        def all_are_there():
            status = subprocess.run([LOCKSTEP, "status", self.name, "--json"], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, env=self.test.environment(), timeout=30)
            if status.returncode != 0:
                return False
            pids.update((entry.get("rank", 0), int(entry["pid"]))
                        for entry in json.loads(status.stdout)["ranks"] if entry.get("pid"))
            return len(pids) == self.ranks

        self.test.assertTrue(eventually(all_are_there, 20), "the ranks were never seen")
        processes = [Process(pids[rank]) for rank in range(self.ranks)]
        for process in processes:
            self.test.addCleanup(process.close)
        return processes


class TrainingTest(unittest.TestCase):
    """A folder of its own for each case; fails when the case leaves a process behind."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="lst", dir="/tmp")  # short: sockets live in it
        self.addCleanup(shutil.rmtree, self.directory)
        self.tag = "%s-%d" % (os.path.basename(self.directory), os.getpid())
        self.checkpoints = os.path.join(self.directory, "checkpoints")
        self.jobs = 0
        self.addCleanup(self.expect_nothing_left)  # after the cleanups of runs, which come later

    def expect_nothing_left(self):
        eventually(lambda: not leftovers(self.tag), 5)
        left = leftovers(self.tag)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.assertEqual(left, {})

    def next_job(self):
        self.jobs += 1
        return self.jobs

    def environment(self):
        return {"HOME": self.directory, "XDG_RUNTIME_DIR": self.directory, "TMPDIR": self.directory,
                "PATH": "/usr/local/bin:/usr/bin:/bin", TAG: self.tag}

    def start(self, ranks, max_restarts=3, wrapper=()):
        """The small training, with checkpoints."""
        return Run(self, ranks, small_training(ranks),
                   ["--max-restarts=%d" % max_restarts, "--checkpoint-dir=" + self.checkpoints], wrapper)

    def final_weights(self, run):
        """Of a run that must succeed. Ranks that were restarted after the end say them again."""
        status = run.wait()
        self.assertEqual(status, 0, run.output)
        weights = set(WEIGHTS.findall(run.output))
        self.assertEqual(len(weights), 1, run.output)
        return weights.pop()

    _undisturbed = {}

    def undisturbed_weights(self, ranks):
        """What a run that nobody touched ends with; without checkpoints, so that these cannot matter."""
        if ranks not in self._undisturbed:
            self._undisturbed[ranks] = self.final_weights(Run(self, ranks, small_training(ranks)))
        return self._undisturbed[ranks]
