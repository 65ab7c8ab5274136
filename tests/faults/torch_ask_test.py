# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Ranks that have no ring, and are asked for what torch has recorded: torch_ask_test.py LOCKSTEP TORCH_RANK

TORCH_RANK stands for torch with NCCL, which needs a GPU.
"""
import json
import os
import sys
import unittest

from torch_jobs import TorchJobs

LOCKSTEP, TORCH_RANK = (os.path.abspath(path) for path in sys.argv[1:])


class TorchAskTest(TorchJobs):

    def run_job(self, fault, action_after="600ms", more=("--on-hang", "abort")):
        """Stderr of a job that stands still, and its verdict."""
        job = self.call(LOCKSTEP, "run", "--name", "asked", "-np", "3", "--hang-grace", "200ms", "--hang-action-after", action_after,
                        *more, "/usr/bin/python3", TORCH_RANK, fault)
        self.assertEqual(job.returncode, 69, job.stdout + job.stderr)
        with open(os.path.join(self.job_folder(), "verdict.json")) as file:
            return " ".join(job.stderr.split()), json.load(file)

    def job_folder(self):
        jobs = os.path.join(self.folder, "lockstep", "jobs")
        (job,) = (name for name in os.listdir(jobs) if name.startswith("asked"))
        return os.path.join(jobs, job)

    def test_a_rank_that_does_not_come_is_named(self):
        told, verdict = self.run_job("missing", "1900ms")  # `lockstep diagnose` takes shorter waits than 2 s for none
        self.assertEqual((verdict["class"], [culprit["rank"] for culprit in verdict["culprits"]]), ("MISSING_RANK", [1]), told)
        self.assertEqual((verdict["victims"], verdict["op"], verdict["seq"]), ([0, 2], "all_reduce(f32, 16)", "4"), told)
        self.assertIn("rank 1 has not come to all_reduce(f32, 16), op 4 of group default_pg: its process sleeps", told)
        self.assertIn("all_reduce(f32, 16), op 3 of group default_pg at train.py:30", told)
        self.assertIn("torch's flight recorder, which ranks 0, 1, 2 were", told)

        kept = os.listdir(os.path.join(self.job_folder(), "round-0", "evidence"))
        self.assertEqual(sorted(name for name in kept if name.endswith(".flight")),
                         ["rank-%d.flight" % rank for rank in range(3)])
        again = self.call(LOCKSTEP, "diagnose", "--json", "asked")
        self.assertEqual(again.returncode, 0, again.stderr)
        seen = json.loads(again.stdout)
        for key in ("class", "culprits", "victims", "seq", "op", "group", "confidence"):
            self.assertEqual(seen[key], verdict[key], key)

    def test_another_op_is_named(self):
        told, verdict = self.run_job("other_op")
        self.assertEqual((verdict["class"], [culprit["rank"] for culprit in verdict["culprits"]]), ("MISMATCH", [1]), told)
        self.assertIn("rank 1 called broadcast(f32, 16) at train.py:32 where the others called all_reduce(f32, 16) at "
                      "train.py:34 as op 4", told)

    def test_where_all_have_come_nobody_is_named_and_nobody_survives(self):
        told, verdict = self.run_job("stall", more=("--hang-deadline", "900ms", "--on-rank-failure", "keep"))
        self.assertEqual((verdict["class"], verdict["culprits"], verdict["victims"]), ("LIBRARY_STALL", [], [0, 1, 2]), told)
        self.assertEqual((verdict["action"], verdict["exit_code"]), ("END_JOB", 69), told)
        self.assertIn("all have come to all_reduce(f32, 16), op 4 of group default_pg, and nothing moves", told)

        (log,) = (name for name in os.listdir(self.job_folder()) if name.startswith("events."))
        with open(os.path.join(self.job_folder(), log)) as file:
            events = [json.loads(line) for line in file]
        (ended,) = (event["round_ended"] for event in events if "round_ended" in event)
        self.assertEqual(ended["verdict_class"], "LIBRARY_STALL")
        self.assertNotIn("culprit", ended)
        self.assertFalse([event for event in events if "survivors_go_on" in event])

        again = self.call(LOCKSTEP, "diagnose", "--json", "asked")
        self.assertEqual(again.returncode, 0, again.stderr)
        seen = json.loads(again.stdout)
        self.assertEqual((seen["class"], seen["culprits"]), ("LIBRARY_STALL", []), again.stdout)
        self.assertEqual([one["rank"] for one in seen["evidence"] if one["kind"] == "STACK"], [0, 1, 2], again.stdout)

    def test_one_that_is_stopped_cannot_answer_and_is_named(self):
        told, verdict = self.run_job("stopped")
        self.assertEqual((verdict["class"], [culprit["rank"] for culprit in verdict["culprits"]]), ("MISSING_RANK", [1]), told)
        self.assertIn("stopped by a signal", told)
        self.assertIn("rank 1: it is held, and was not asked what torch has recorded", told)
