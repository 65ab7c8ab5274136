# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The backend `lockstep` of Debian's torch.distributed between two nodes, which are agents on this machine:
c10d_nodes_test.py LOCKSTEP PACKAGE_FILE FILE...
"""
import re
import struct

from jobs import DEBIANS, FILES, Jobs

NODES = ("--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2")


def losses(output):
    """By rank and step."""
    return {(int(rank), int(step)): struct.unpack(">f", bytes.fromhex(loss))[0]
            for rank, step, loss in re.findall(r"rank (\d) step (\d+) loss (\w{8})", output)}


class NodesTest(Jobs):

    def test_ops_within_and_across_nodes_give_known_values(self):
        output = self.run_well(DEBIANS, FILES["nodes.py"], flags=NODES)

        for rank in range(4):
            self.assertEqual(re.findall(r"rank %d: (\w+)" % rank, output),
                             ["all_reduce", "broadcast", "all_gather", "send_and_recv", "new_group_0_1", "new_group_2_3",
                              "new_group_1_2", "new_group_0_3", "new_group_0_2_3", "all_reduce"])

    def test_ddp_gives_the_losses_of_gloo(self):
        """But for the last bits: four addends, in another order."""
        gloo = losses(self.run_well(DEBIANS, FILES["ddp.py"], "gloo", flags=NODES))
        ours = losses(self.run_well(DEBIANS, "-m", "lockstep_c10d", FILES["ddp.py"], "lockstep", flags=NODES))

        self.assertEqual(len(gloo), 80)
        self.assertEqual(set(ours), set(gloo))
        for place, loss in gloo.items():
            self.assertAlmostEqual(ours[place] / loss, 1, places=4, msg=place)

    def test_a_killed_rank_is_named_on_its_node_and_on_the_other(self):
        texts, job = self.told_to_others(DEBIANS, "killed", flags=NODES, others="023")

        for text in texts:
            self.assertRegex(text, r"all_reduce\(f32, sum, 4\), op 1 of group world.*: rank 1 .*(without calling|never called) it")
        self.assertIn("rank 1 failed first: killed by signal 9", job.stderr)

    def test_a_rank_that_returned_is_named_on_both_nodes_and_stays_the_cause(self):
        texts, _ = self.told_to_others(DEBIANS, "returned", flags=NODES, others="023")

        self.assertEqual(len(texts), 6)
        for text in texts:
            self.assertRegex(text, r"op 1 of group world: rank 1 .* without calling it")
        self.assertEqual(sum("failed before this call" in text for text in texts), 3)
