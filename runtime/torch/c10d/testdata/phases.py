# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""phases.py SECONDS AT_MOST: rank 1 comes to its second all_reduce so late, and says in a phase that it may."""
import os
import sys
import time

import torch
import torch.distributed

import lockstep_c10d  # noqa: F401
import lockstep_rank

seconds, at_most = (float(word) for word in sys.argv[1:])
torch.distributed.init_process_group("lockstep")
rank = torch.distributed.get_rank()
for step in range(1, 3):
    if rank == 1 and step == 2:
        with lockstep_rank.phase("save", at_most=at_most), lockstep_rank.phase("checkpoint"):
            time.sleep(seconds)
    sums = torch.ones(4)
    torch.distributed.all_reduce(sums)
    lockstep_rank.report_step(step)
    lockstep_rank.report_samples(32)
assert not lockstep_rank.stop_requested()
child = os.fork()
if child == 0:  # as a worker of a DataLoader: nobody is told
    lockstep_rank.report_step(1000)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("rank %d: through" % rank)
