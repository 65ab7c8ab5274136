# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""asked_rank.py: a rank of a gang that torch's Gloo holds together; rank 1 does not come to the fourth op. Gloo has no pipe for
those who want what is recorded, as the process group of NCCL has: a thread here stands for it, and dumps what torch gives it.
"""
import os
import threading

import torch
import torch._C._distributed_c10d as c10d
import torch.distributed as dist

CULPRIT = "1"
OPS = 3  # that end well
RANK = os.environ["RANK"]


def answer():
    path = os.environ["TORCH_NCCL_DEBUG_INFO_PIPE_FILE"] + RANK + ".pipe"
    os.mkfifo(path, 0o666)
    pipe = os.open(path, os.O_RDWR)  # with a writer of our own there is no end of file
    while os.read(pipe, 128):
        told = c10d._dump_fr_trace()
        with open(os.environ["TORCH_FR_DUMP_TEMP_FILE"] + RANK, "wb") as file:
            file.write(told)


dist.init_process_group("gloo")
threading.Thread(target=answer, daemon=True).start()
for _ in range(OPS):
    dist.all_reduce(torch.ones(16))
if RANK != CULPRIT:
    dist.all_reduce(torch.ones(16))
threading.Event().wait()
