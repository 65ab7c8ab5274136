# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What the others are told when rank 1 does something wrong: faults.py FAULT"""
import datetime
import os
import signal
import sys
import time

import lockstep_c10d  # noqa: F401
import torch
import torch.distributed as dist


def told(call):
    """What `call` raises, and how long it took."""
    begin = time.monotonic()
    try:
        call()
    except RuntimeError as error:
        print("after %.1f s: %s" % (time.monotonic() - begin, error), flush=True)
    else:
        print("nothing", flush=True)


def killed(rank):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    told(lambda: dist.all_reduce(torch.ones(4)))


def returned(rank):
    if rank != 1:
        told(lambda: dist.all_reduce(torch.ones(4)))
        told(lambda: dist.barrier())


def returned_from_ddp(rank):
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
    if rank != 1:
        told(lambda: model(torch.ones(1, 4)).sum().backward())


def other_dtype(rank):
    told(lambda: dist.all_reduce(torch.ones(4, dtype=torch.float64 if rank == 1 else torch.float32)))


def other_op(rank):
    told(lambda: dist.barrier() if rank == 1 else dist.all_reduce(torch.ones(4)))


def never_made(rank):
    if rank != 1:
        told(lambda: dist.new_group([0, 1, 2], timeout=datetime.timedelta(seconds=2)))


def subset_first(rank):
    pass


def main():
    fault = globals()[sys.argv[1]]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault is subset_first:
        dist.init_process_group("gloo")
        told(lambda: dist.new_group([0], backend="lockstep"))
        return
    dist.init_process_group("lockstep", timeout=datetime.timedelta(seconds=2))
    fault(dist.get_rank())


main()
