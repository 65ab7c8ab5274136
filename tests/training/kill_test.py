# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""A rank killed at any moment: the job ends with the weights of one that nobody touched."""
import os
import random
import re
import signal
import time

from training import CHECKPOINT_EVERY, STEPS, TrainingTest, eventually, leftovers

SEEDS = range(1, 401) if "LOCKSTEP_SOAK" in os.environ else range(1, 21)
ATTEMPTS = 8  # to hit a moment of a few milliseconds
KILLED = "rank %d failed first: killed by signal 9 (SIGKILL)"


class KilledRankTest(TrainingTest):

    def expect_same_weights(self, run, expected_output):
        weights = self.final_weights(run)
        self.assertEqual(weights, self.undisturbed_weights(run.ranks), run.output)
        self.assertIn(expected_output, run.output)

    def kill_after(self, run, victim, step, delay_s=0.0):
        """Kills when `step` was reported done and then `delay_s` have passed; False when the rank had ended before."""
        process = run.processes()[victim]
        if step > 0:
            run.wait_for_line(re.compile(r"step %d/%d " % (step, STEPS)))
        time.sleep(delay_s)  # tidy:allow sleep: the moment of the kill is the subject
        return process.kill()

    def kill_with_seed(self, seed):
        choice = random.Random(seed)
        ranks = choice.randint(2, 4)
        victim = choice.randrange(ranks)
        step = choice.randint(0, STEPS)  # 0: on the way to the first one
        delay_s = choice.uniform(0, 0.6 if step == 0 else 0.02)
        moment = "seed %d: rank %d of %d, %.1f ms after step %d" % (seed, victim, ranks, 1e3 * delay_s, step)
        for attempt in range(ATTEMPTS):  # on a busy machine the end can be there first
            self.checkpoints = os.path.join(self.directory, str(attempt))
            run = self.start(ranks)

            was_killed = self.kill_after(run, victim, step, delay_s)

            print(moment, "" if was_killed else "(it had ended)")
            self.expect_same_weights(run, KILLED % victim if was_killed else "")
            if was_killed or step > STEPS - 10:
                return
        self.fail("%s: %d times the rank had ended before" % (moment, ATTEMPTS))

    def test_on_the_way_to_the_first_step(self):
        for delay_s in (0, 0.1, 0.3):  # attaching, loading data, meeting the others: which, the machine decides
            self.checkpoints = os.path.join(self.directory, str(delay_s))
            run = self.start(2)
            self.assertTrue(self.kill_after(run, 1, 0, delay_s))
            self.expect_same_weights(run, KILLED % 1)

    def test_before_the_first_checkpoint_it_starts_afresh(self):
        for attempt in range(ATTEMPTS):
            self.checkpoints = os.path.join(self.directory, str(attempt))
            run = self.start(2)
            self.assertTrue(self.kill_after(run, 1, CHECKPOINT_EVERY - 4))
            self.expect_same_weights(run, KILLED % 1)
            # The killed rank's last part may be there already, and the other one, told to end, saves with it.
            if "restored step" not in run.output:
                return
        self.fail("%d times the rank that was left could still save" % ATTEMPTS)

    def test_after_a_checkpoint_it_goes_on_from_there(self):
        run = self.start(2)

        self.assertTrue(self.kill_after(run, 1, 3 * CHECKPOINT_EVERY + 1))

        self.expect_same_weights(run, KILLED % 1)
        self.assertIn("restored step %d " % (3 * CHECKPOINT_EVERY), run.output)

    def kill_in_writing(self, step):
        """Kills rank 0 when it has begun to write the checkpoint of `step`; False when that was finished nevertheless."""
        path = os.path.join(self.checkpoints, "step-%d" % step)
        run = self.start(2)
        writer = run.processes()[0]
        run.wait_for_line(re.compile(r"step %d/%d " % (step - 1, STEPS)))
        self.assertTrue(eventually(lambda: os.path.exists(path + ".tmp"), 20))
        self.assertTrue(writer.kill())
        was_hit = os.path.exists(path + ".tmp") and not os.path.exists(path)
        self.expect_same_weights(run, KILLED % 0)
        if was_hit:
            self.assertIn("restored step %d " % (step - CHECKPOINT_EVERY), run.output)
        return was_hit

    def test_while_a_checkpoint_is_written_the_one_before_is_taken(self):
        choice = random.Random(1)
        for attempt in range(ATTEMPTS):
            self.checkpoints = os.path.join(self.directory, str(attempt))
            if self.kill_in_writing(CHECKPOINT_EVERY * choice.randint(2, STEPS // CHECKPOINT_EVERY)):
                return
        self.fail("none of %d kills came while the checkpoint was being written" % ATTEMPTS)

    def test_in_the_last_step(self):
        for attempt in range(ATTEMPTS):
            self.checkpoints = os.path.join(self.directory, str(attempt))
            run = self.start(2)
            was_killed = self.kill_after(run, 1, STEPS - 1)
            self.expect_same_weights(run, KILLED % 1 if was_killed else "")
            if was_killed:
                return
        self.fail("%d times the rank had ended before it could be killed" % ATTEMPTS)


class EndedJobTest(TrainingTest):

    def test_lockstep_killed_with_its_ranks_goes_on_when_started_again(self):
        killed = self.start(2)
        killed.wait_for_line(re.compile(r"step %d/%d " % (2 * CHECKPOINT_EVERY + 3, STEPS)))

        killed.process.kill()

        self.assertEqual(killed.wait(), -signal.SIGKILL)
        self.assertTrue(eventually(lambda: not leftovers(self.tag), 10), leftovers(self.tag))
        going_on = self.start(2)
        self.assertEqual(self.final_weights(going_on), self.undisturbed_weights(2), going_on.output)
        # Its agent, which is told by nobody, still lets the ranks save.
        self.assertRegex(going_on.output, r"restored step \d+ ")

    def test_ctrl_c_saves_the_step_and_the_next_run_goes_on_there(self):
        stopped = self.start(2)
        stopped.wait_for_line(re.compile(r"step %d/%d " % (2 * CHECKPOINT_EVERY + 3, STEPS)))

        stopped.process.send_signal(signal.SIGINT)

        self.assertEqual(stopped.wait(), 128 + signal.SIGINT, stopped.output)
        last_step = re.findall(r"step (\d+)/", stopped.output)[-1]
        going_on = self.start(2)
        self.assertEqual(self.final_weights(going_on), self.undisturbed_weights(2), going_on.output)
        self.assertIn("restored step %s " % last_step, going_on.output)


def case_of(seed):
    return lambda test: test.kill_with_seed(seed)


for number in SEEDS:
    setattr(KilledRankTest, "test_at_random_with_seed_%d" % number, case_of(number))
