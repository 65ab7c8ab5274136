# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Dumps of a real torch's flight recorder, and ours before torch's own analyzer: flight_recorder_test.py LOCKSTEP HANG_RANK
FAULT_RANK ASKED_RANK TORCH2

TORCH2 is a file that says where tools/setup_extras has installed torch 2; $LOCKSTEP_TORCH2_PYTHON names another Python that has it.
"""
import json
import os
import sys
import unittest

from torch_jobs import TorchJobs

LOCKSTEP, HANG_RANK, FAULT_RANK, ASKED_RANK, TORCH2_FILE = (os.path.abspath(path) for path in sys.argv[1:])
RANKS = 3


def find_torch2():
    """The Python that has it, or None."""
    with open(TORCH2_FILE) as file:
        folder = file.read().strip()
    return os.environ.get("LOCKSTEP_TORCH2_PYTHON") or (os.path.join(folder, "bin/python3") if folder else None)


TORCH_2 = find_torch2()


@unittest.skipUnless(TORCH_2, "no torch 2 here; tools/setup_extras installs one")
class FlightRecorderTest(TorchJobs):

    def dump(self, fault):
        """The folder of what three ranks of Gloo have recorded while rank 1 does `fault`."""
        folder = os.path.join(self.folder, fault)
        os.mkdir(folder)
        job = self.call(LOCKSTEP, "run", "-np", str(RANKS), TORCH_2, FAULT_RANK, fault, folder)
        self.assertEqual(job.returncode, 0, job.stdout + job.stderr)
        return folder

    def diagnose(self, *what):
        told = self.call(LOCKSTEP, "diagnose", "--json", *what)
        self.assertEqual(told.returncode, 0, told.stderr)
        return json.loads(told.stdout), told.stderr

    def expect_culprit(self, fault, verdict_class, why, victims, confidence="HIGH"):
        folder = self.dump(fault)
        for form in ("rank_%d", "recorder_%d.json"):
            verdict, told = self.diagnose(*(os.path.join(folder, form % rank) for rank in range(RANKS)))
            self.assertEqual(verdict["class"], verdict_class, told)
            self.assertEqual([culprit["rank"] for culprit in verdict["culprits"]], [1])
            self.assertIn(why, verdict["culprits"][0]["why"])
            self.assertEqual(verdict["victims"], victims)
            self.assertEqual(verdict["confidence"], confidence)
            self.assertEqual(verdict["group"], "default_pg")
            self.assertEqual(told.count("PyTorch flight recorder, "), RANKS)
        return folder

    def test_a_rank_that_does_not_come(self):
        folder = self.expect_culprit("missing", "MISSING_RANK", "has not come to all_reduce(f32, 16), op 4", [0, 2])
        verdict, told = self.diagnose(os.path.join(folder, "rank_0"), os.path.join(folder, "rank_2"))
        self.assertEqual((verdict["class"], verdict["culprits"]), ("UNKNOWN", []), "of the one that matters there is no dump")
        self.assertIn("of rank 1 there is no dump", told)

        with open(os.path.join(folder, "rank_1"), "r+b") as file:
            file.truncate(100)
        os.remove(os.path.join(folder, "recorder_1.json"))
        verdict, told = self.diagnose(folder)
        self.assertEqual((verdict["class"], verdict["culprits"]), ("UNKNOWN", []), "nor where it is cut short")
        self.assertIn("rank_1: pickle: it is cut short", told)
        named = self.call(LOCKSTEP, "diagnose", *(os.path.join(folder, "rank_%d" % rank) for rank in range(RANKS)))
        self.assertEqual((named.returncode, named.stdout), (64, ""), named.stderr)

    def test_another_op(self):
        self.expect_culprit("other_op", "MISMATCH", "called broadcast(f32, 16)", [0, 2])

    def test_an_op_that_is_left_out(self):
        self.expect_culprit("order", "MISMATCH", "called all_reduce(f32, 16)", [0, 2])

    def test_another_dtype_of_which_no_rank_was_told(self):
        self.expect_culprit("dtype", "MISMATCH", "the dtypes differ", [])

    def test_another_count_of_which_no_rank_was_told(self):
        self.expect_culprit("count", "MISMATCH", "the counts differ", [])

    def test_an_op_that_gloo_gave_up(self):
        self.expect_culprit("fails", "MISSING_RANK", "has not come to all_reduce(f32, 16), op 4", [0, 2], "MEDIUM")

    def test_ranks_that_are_through_wait_for_nobody(self):
        verdict, _ = self.diagnose(self.dump("healthy"))
        self.assertEqual((verdict["culprits"], verdict["victims"]), ([], []))

    def test_torchs_analyzer_reads_what_we_have_recorded(self):
        job = self.call(LOCKSTEP, "run", "--name", "stops", "-np", str(RANKS), HANG_RANK, "stops", "1")
        self.assertIn("rank 1 has not come to", job.stderr)
        folder = os.path.join(self.folder, "exported")
        exported = self.call(LOCKSTEP, "diagnose", "--export-flight-recorder", folder, "stops")
        self.assertEqual(exported.returncode, 0, exported.stderr)
        database = os.path.join(self.folder, "database")
        told = self.call(TORCH_2, "-m", "torch.distributed.flight_recorder.fr_trace", folder, "-o", database)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        lines = (told.stdout + told.stderr).splitlines()
        for line in ("Not all ranks joining collective, sequence number: 11", "missing ranks: {1}", "collective: nccl:all_reduce",
                     "input sizes: [[1000]]", "expected ranks: {0, 1, 2}", "collective state: started"):
            self.assertIn(line, lines)
        self.assertEqual(sum("sequence number" in line for line in lines), 1, "ten ops have ended well")
        self.assertTrue(any(line.strip().startswith("at hang_rank_main.cc:") for line in lines), lines)
        count = "import pickle; print(len(pickle.load(open(%r, 'rb'))[1].collectives))" % database
        self.assertEqual(self.call(TORCH_2, "-c", count).stdout.strip(), "11")
        verdict, _ = self.diagnose(folder)
        self.assertEqual((verdict["class"], verdict["culprits"][0]["rank"], verdict["seq"]), ("MISSING_RANK", 1, "11"))

    def test_what_torch_has_recorded_is_asked_for_while_the_gang_stands_still(self):
        job = self.call(LOCKSTEP, "run", "--name", "asked", "-np", str(RANKS), "--on-hang", "abort", "--hang-action-after", "3s",
                        TORCH_2, ASKED_RANK)
        self.assertEqual(job.returncode, 69, job.stdout + job.stderr)
        told = " ".join(job.stderr.split())
        self.assertIn("rank 1 has not come to all_reduce(f32, 16), op 4 of group default_pg: its process sleeps", told)
        self.assertRegex(told, r"all_reduce\(f32, 16\), op 4 of group default_pg at asked_rank.py:\d+")
        verdict, _ = self.diagnose("asked")
        self.assertEqual((verdict["class"], verdict["culprits"][0]["rank"], verdict["victims"]), ("MISSING_RANK", 1, [0, 2]))

    def test_torch_dumps_into_the_folder_of_the_round(self):
        """As NCCL's watchdog does, which a machine without a GPU has not: by the prefix that the ranks find in their environment."""
        program = ("import os, json; rank = os.environ['RANK']; "
                   "dump = {'version': '2.10', 'pg_config': {'0': {'name': '0', 'desc': 'default_pg', 'ranks': '[0, 1]'}}, 'entries': "
                   "[{'record_id': 0, 'process_group': ['0', 'default_pg'], 'profiling_name': 'nccl:all_reduce', "
                   "'collective_seq_id': 1, 'state': 'started', 'input_sizes': [[4]]}] if rank == '0' else []}; "
                   "assert os.environ['TORCH_FR_BUFFER_SIZE'] == '2000'; "
                   "json.dump(dump, open(os.environ['TORCH_FR_DUMP_TEMP_FILE'] + rank, 'w'))")
        job = self.call(LOCKSTEP, "run", "--name", "dumps", "-np", "2", TORCH_2, "-c", program)
        self.assertEqual(job.returncode, 0, job.stderr)
        verdict, told = self.diagnose("dumps")
        self.assertEqual((verdict["class"], verdict["culprits"][0]["rank"]), ("MISSING_RANK", 1), told)
