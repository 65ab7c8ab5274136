# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What checkpoints meet in life: a full disk, damage, another world size."""
import os
import random
import re
import shutil
import subprocess

from training import CHECKPOINT_EVERY, STEPS, TrainingTest

RANKS = 2
BEFORE_LAST = STEPS // CHECKPOINT_EVERY * CHECKPOINT_EVERY  # the one before that of the last step
# A disk of which nothing is left when its last process has ended: with two checkpoints it is full.
SMALL_DISK = ["unshare", "--mount", "--map-root-user", "/bin/sh", "-c",
              'mount -t tmpfs -o size=3m none "$0" && exec "$@"']


class FullDiskTest(TrainingTest):

    def setUp(self):
        super().setUp()
        os.mkdir(self.checkpoints)
        mounted = subprocess.run([*SMALL_DISK, self.checkpoints, "true"], stderr=subprocess.PIPE, text=True, timeout=30)
        if mounted.returncode != 0:
            self.skipTest("no file system can be mounted here: " + mounted.stderr.strip())

    def test_training_goes_on_and_a_restart_takes_the_last_checkpoint_that_had_room(self):
        run = self.start(RANKS, wrapper=[*SMALL_DISK, self.checkpoints])
        victim = run.processes()[1]
        run.wait_for_line(re.compile(r"step %d/%d " % (4 * CHECKPOINT_EVERY, STEPS)))

        self.assertTrue(victim.kill())

        self.assertEqual(self.final_weights(run), self.undisturbed_weights(RANKS), run.output)
        self.assertIn("restored step %d " % (2 * CHECKPOINT_EVERY), run.output)
        told = re.search(r"RESOURCE_EXHAUSTED: .*", run.output)[0]
        third = os.path.join(self.checkpoints, "step-%d" % (3 * CHECKPOINT_EVERY))
        self.assertIn(third + " was not saved, checkpoints of other steps are kept; make room", told)
        self.assertRegex(told, r"write %s.tmp/state.safetensors \(\d+ bytes, of which \d+ were written\): No space" % third)


class DamagedCheckpointTest(TrainingTest):

    def path_of(self, step):
        return os.path.join(self.checkpoints, "step-%d" % step, "state.safetensors")

    def train(self):
        return self.final_weights(self.start(RANKS))

    def flip_bit(self, path, choice):
        with open(path, "r+b") as file:
            offset = choice.randrange(os.path.getsize(path))
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << choice.randrange(8)]))
        return "bit at %d" % offset

    def cut_off(self, path, choice):
        size = choice.randrange(os.path.getsize(path))
        os.truncate(path, size)
        return "cut off at %d" % size

    def expect_it_is_refused_and_the_one_before_taken(self, damage):
        expected = self.undisturbed_weights(RANKS)
        self.train()
        whole = self.checkpoints
        for seed in range(1, 4):
            self.checkpoints = "%s-%d" % (whole, seed)
            shutil.copytree(whole, self.checkpoints)
            what = damage(self.path_of(STEPS), random.Random(seed))
            with self.subTest(what, seed=seed):
                run = self.start(RANKS)
                self.assertEqual(self.final_weights(run), expected, run.output)
                self.assertIn("step-%d is refused: " % STEPS, run.output)
                self.assertIn("restored step %d " % BEFORE_LAST, run.output)

    def test_flipped_bit_is_refused_and_the_one_before_taken(self):
        self.expect_it_is_refused_and_the_one_before_taken(self.flip_bit)

    def test_file_cut_off_is_refused_and_the_one_before_taken(self):
        self.expect_it_is_refused_and_the_one_before_taken(self.cut_off)

    def test_nothing_whole_is_an_error_and_no_fresh_start(self):
        self.train()
        for step in (BEFORE_LAST - CHECKPOINT_EVERY, BEFORE_LAST, STEPS):
            self.flip_bit(self.path_of(step), random.Random(step))

        run = self.start(RANKS, max_restarts=0)

        self.assertEqual(run.wait(), 1, run.output)
        self.assertIn("none of the 3 checkpoints in %s is whole; move them away to start afresh" % self.checkpoints,
                      run.output)

    def test_other_world_size_is_refused(self):
        self.train()

        run = self.start(RANKS + 1, max_restarts=0)

        self.assertEqual(run.wait(), 1, run.output)
        self.assertIn("the checkpoint was saved by 2 ranks, this job has 3: start it with -np 2, or with another "
                      "checkpoint directory to begin anew", run.output)
