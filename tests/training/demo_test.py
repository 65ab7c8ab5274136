# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What `make demo` runs: in full, and interrupted anywhere."""
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

from training import LOCKSTEP, TRAIN, TrainingTest

SEEDS = range(1, 101) if "LOCKSTEP_SOAK" in os.environ else range(1, 4)
DEMO = os.path.abspath(sys.argv[3])
WHOLE_DEADLINE_S = 180
INTERRUPTED_DEADLINE_S = 20
SMALL = ["--limit=3000", "--batch=15", "--epochs=4", "--log_every=10"]  # 200 steps


class DemoTest(TrainingTest):

    def setUp(self):
        super().setUp()
        self.temporary = os.path.join(self.directory, "tmp")
        os.mkdir(self.temporary)

    def start_demo(self, flags, deadline_s):
        environment = dict(self.environment(), TMPDIR=self.temporary, LOCKSTEP=LOCKSTEP, LOCKSTEP_DEMO_TRAIN=TRAIN)
        # A session of its own, as a terminal's foreground job has a process group of its own.
        demo = subprocess.Popen([DEMO] + flags, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=environment, start_new_session=True)
        watchdog = threading.Timer(deadline_s, demo.kill)
        watchdog.start()
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.wait)
        self.addCleanup(demo.kill)
        self.addCleanup(watchdog.cancel)
        return demo

    def expect_nothing_left_in_files(self):
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertFalse(os.path.exists(os.path.join(self.directory, ".local")))  # no job directory either

    def test_it_reaches_88_percent_and_ends_with_the_same_weights(self):
        demo = self.start_demo([], WHOLE_DEADLINE_S)

        output = demo.communicate()[0]

        self.assertEqual(demo.returncode, 0, output)
        self.assertIn("rank 2 failed first: killed by signal 9 (SIGKILL)", output)
        self.assertIn("restored step ", output)
        self.assertEqual(len(set(re.findall(r"final weights.* ([0-9a-f]{16})$", output, re.M))), 1, output)
        self.assertGreaterEqual(float(re.search(r"== accuracy +([\d.]+) %", output)[1]), 88)
        self.expect_nothing_left_in_files()

    def end(self, demo, number, send):
        """Sends the signal; returns what was printed from there on."""
        with contextlib.suppress(ProcessLookupError):  # it may have ended
            send(demo.pid, number)
        deadline = threading.Timer(INTERRUPTED_DEADLINE_S, demo.kill)
        deadline.start()
        output = demo.stdout.read()
        demo.wait()
        deadline.cancel()
        self.expect_nothing_left_in_files()
        return output

    def interrupt(self, moment, number=signal.SIGINT, send=os.killpg):
        """Sends the signal when a line has come in which `moment` is found."""
        demo = self.start_demo(SMALL, 60)
        output = ""
        for line in demo.stdout:
            output += line
            if re.search(moment, line):
                break
        self.assertRegex(output, moment)
        output += self.end(demo, number, send)
        self.assertEqual(demo.returncode, 130, output)
        self.assertIn("interrupted", output)

    def test_ctrl_c_when_it_has_just_begun(self):
        self.interrupt("undisturbed training")

    def test_ctrl_c_in_training(self):
        self.interrupt(r"step 20/200 ")

    def test_ctrl_c_between_the_trainings(self):
        self.interrupt("of which rank 2 will be killed")

    def test_ctrl_c_when_the_rank_is_killed(self):
        self.interrupt("SIGKILL to rank 2")

    def test_ctrl_c_at_the_restart(self):
        self.interrupt("next +restart 1")

    def test_ctrl_c_after_the_restart(self):
        self.interrupt("restored step")

    def test_end_of_the_demo_alone_ends_the_job_too(self):
        self.interrupt(r"step 20/200 ", signal.SIGTERM, os.kill)

    def interrupt_with_seed(self, seed):
        delay_s = random.Random(seed).uniform(0, 6)  # as long as it takes
        print("seed %d: %.3f s" % (seed, delay_s))
        demo = self.start_demo(SMALL, 60)
        time.sleep(delay_s)  # tidy:allow sleep: the moment of the signal is the subject

        output = self.end(demo, signal.SIGINT, os.killpg)

        # By the signal itself before it is ready for one; 0 when it was through.
        self.assertIn(demo.returncode, (130, -signal.SIGINT, 0), output)


def case_of(seed):
    return lambda test: test.interrupt_with_seed(seed)


for number in SEEDS:
    setattr(DemoTest, "test_ctrl_c_at_random_with_seed_%d" % number, case_of(number))
