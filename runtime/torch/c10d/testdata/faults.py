# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What the others are told when rank 1 does something wrong: faults.py FAULT"""
import datetime
import os
import signal
import sys
import time

import lockstep_c10d
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


def wait_for_end(pid):
    """Of rank 0."""
    until = time.monotonic() + 30
    while os.path.exists("/proc/%d" % pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            raise RuntimeError("rank 0 does not end")
        time.sleep(0.05)


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


def verified_by_others(rank):
    told(lambda: dist.all_reduce(torch.ones(4)))
    told(lambda: dist.barrier())


def never_at_the_barrier(rank):
    """Neither of the others calls it. Each failure ends its group, so there are two."""
    timeout = datetime.timedelta(seconds=2)
    groups = [dist.new_group(timeout=datetime.timedelta(seconds=20)) for _ in range(2)]
    pids = [None] * dist.get_world_size()
    dist.all_gather_object(pids, os.getpid())
    if rank != 0:
        wait_for_end(pids[0])
        return
    for group, wait_all_ranks in zip(groups, (False, True)):
        told(lambda: group.monitored_barrier(timeout, wait_all_ranks=wait_all_ranks))


def never_made(rank):
    if rank != 1:
        told(lambda: dist.new_group([0, 1, 2], timeout=datetime.timedelta(seconds=2)))


def late(rank, destroy=True):
    """Rank 1 calls nothing while rank 0 ends with an op in flight, at whose end Python is called."""
    pids = [None, None]
    dist.all_gather_object(pids, os.getpid())
    if rank == 0:
        dist.all_reduce(torch.ones(4), async_op=True).get_future().then(lambda _: None)
        if destroy:
            dist.destroy_process_group()
        return
    wait_for_end(pids[0])
    print("rank 0 ended", flush=True)


def late_and_kept(rank):
    late(rank, destroy=False)


def subset_first(rank):
    pass


def main():
    fault = globals()[sys.argv[1]]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault is subset_first:
        dist.init_process_group("gloo")
        told(lambda: dist.new_group([0], backend="lockstep"))
        return
    options = lockstep_c10d.Options(verify=fault is verified_by_others and os.environ["RANK"] != "1")
    # A busy machine imports torch seconds apart: the store waits for all, and then they meet within the 2 s.
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), size, rank == 0)
    dist.init_process_group("lockstep", timeout=datetime.timedelta(seconds=2), store=store, rank=rank, world_size=size,
                            pg_options=options)
    # Rank 0 holds the store, and does not end before the others are through with it.
    if rank != 0:
        store.set("through_%d" % rank, "")
    fault(rank)
    if rank == 0:
        store.wait(["through_%d" % other for other in range(1, size)], datetime.timedelta(seconds=60))


main()
