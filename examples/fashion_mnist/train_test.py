# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The example alone, as a world of one, on the first 3,000 images: train_test.py TRAIN."""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

TRAIN = os.path.abspath(sys.argv[1])
FLAGS = ["--limit=3000", "--epochs=1", "--batch=60", "--log_every=1", "--checkpoint_every=7"]
STEPS = 50
DEADLINE_S = 120


def environment():
    """Without what an outer job would say of ranks."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("LOCKSTEP_", "RANK", "WORLD_SIZE"))}


class TrainTest(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, *flags):
        process = subprocess.Popen([TRAIN] + FLAGS + list(flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=environment())
        watchdog = threading.Timer(DEADLINE_S, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        return process

    def train(self, *flags):
        output, errors = self.start(*flags).communicate()
        return output, errors

    def final_weights(self, output):
        match = re.search(r"accuracy ([\d.]+) %, final weights ([0-9a-f]{16})$", output.strip())
        self.assertIsNotNone(match, output)
        self.assertGreater(float(match.group(1)), 60)  # of ten classes; 70 is usual
        return match.group(2)

    def kill_after(self, step):
        """SIGKILLs a training when it has said that it has done `step`."""
        process = self.start("--checkpoint_dir=" + self.directory)
        for line in process.stdout:
            if re.search(r" step %d/" % step, line):
                process.kill()
                break
        process.communicate()
        self.assertEqual(process.returncode, -9)

    def test_two_runs_end_with_the_same_weights_and_another_seed_with_others(self):
        weights = self.final_weights(self.train()[0])

        self.assertEqual(self.final_weights(self.train()[0]), weights)
        self.assertNotEqual(self.final_weights(self.train("--seed=2")[0]), weights)

    def test_training_killed_thrice_ends_with_the_weights_of_an_undisturbed_one(self):
        expected = self.final_weights(self.train()[0])
        seed = int(os.environ.get("LOCKSTEP_SEED", "1"))
        for step in sorted(random.Random(seed).sample(range(1, STEPS - 1), 3)):
            self.kill_after(step)

        output, _ = self.train("--checkpoint_dir=" + self.directory)

        self.assertIn("restored step ", output)
        self.assertEqual(self.final_weights(output), expected, "killed with seed %d" % seed)

    def test_damaged_checkpoint_is_named_and_the_one_before_taken(self):
        expected = self.final_weights(self.train("--checkpoint_dir=" + self.directory)[0])
        newest = os.path.join(self.directory, "step-%d" % STEPS, "state.safetensors")
        with open(newest, "r+b") as file:
            file.seek(5000)
            byte = file.read(1)
            file.seek(5000)
            file.write(bytes([byte[0] ^ 1]))

        output, errors = self.train("--checkpoint_dir=" + self.directory)

        self.assertIn("step-%d is refused" % STEPS, errors)
        self.assertIn("restored step 49 ", output)
        self.assertEqual(self.final_weights(output), expected)

    def test_missing_data_set_names_its_package(self):
        _, errors = self.train("--data=/nowhere")

        self.assertIn("dataset-fashion-mnist", errors)
