# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""An ordinary torch.distributed script, which knows nothing of Lockstep, under `lockstep run` as under torchrun."""
import os
import re
import sys

from training import Run, TrainingTest

SCRIPT = os.path.abspath(sys.argv[4])
PYTHON = "/usr/bin/python3"  # Debian's, which has python3-torch


class PythonScriptTest(TrainingTest):

    def test_two_ranks_meet_over_gloo_and_learn_the_same(self):
        run = Run(self, 2, [SCRIPT, "--steps", "60"], ["--python", PYTHON], deadline_s=60)

        self.assertEqual(run.wait(), 0, run.output)

        errors = re.findall(r"^\[(\d)\] rank \1 of 2: largest error of a weight ([\d.]+)$", run.output, re.M)
        self.assertEqual({rank for rank, _ in errors}, {"0", "1"}, run.output)
        self.assertEqual(len({error for _, error in errors}), 1, run.output)
        self.assertLess(float(errors[0][1]), 0.05)
