# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""fault_rank.py FAULT FOLDER: a rank of a gang of three that torch's Gloo holds together; rank 1 does FAULT. Each rank then
writes what its flight recorder has into FOLDER, as the pickle rank_R and the JSON recorder_R.json, and ends with status 0.
"""
import datetime
import os
import sys
import threading
import time

import torch
import torch._C._distributed_c10d as c10d
import torch.distributed as dist

CULPRIT = 1
OPS = 3  # that end well
SETTLES_S = 1.5  # until all have called what they call
TIMEOUT_S = 30


def ones(count, dtype=torch.float32):
    return torch.ones(count, dtype=dtype)


def missing(is_culprit):
    if not is_culprit:
        dist.all_reduce(ones(16))


def other_op(is_culprit):
    if is_culprit:
        dist.broadcast(ones(16), 0)
    else:
        dist.all_reduce(ones(16))


def order(is_culprit):
    """The culprit leaves the barrier out."""
    if not is_culprit:
        dist.barrier()
    dist.all_reduce(ones(16))
    dist.barrier()


def dtype(is_culprit):
    """As many bytes: Gloo adds up what it gets, and no rank is told."""
    dist.all_reduce(ones(16, torch.int32 if is_culprit else torch.float32))
    dist.barrier()


def count(is_culprit):
    """More than the root sends: Gloo leaves the rest as it was, and no rank is told."""
    dist.broadcast(ones(32 if is_culprit else 16), 0)
    dist.barrier()


def fails(is_culprit):
    """The others run out of their time: Gloo's op is over, and nothing tells that it did not end well."""
    dist.distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=SETTLES_S / 3), dist.group.WORLD)
    if not is_culprit:
        dist.all_reduce(ones(16))


def healthy(_):
    dist.all_reduce(ones(16))


def do(fault, rank):
    try:
        globals()[fault](rank == CULPRIT)
    except RuntimeError as error:  # what the others' ends bring, too
        print("rank %d: %s" % (rank, error), flush=True)


def arrive(store, key):
    if store.add(key, 1) == dist.get_world_size():
        store.set(key + " by all", "")


def wait_for_all(store, key):
    store.wait([key + " by all"], datetime.timedelta(seconds=TIMEOUT_S))


def main():
    fault, folder = sys.argv[1:]
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=TIMEOUT_S))
    rank = dist.get_rank()
    for _ in range(OPS):
        dist.all_reduce(ones(16))
    threading.Thread(target=do, args=(fault, rank), daemon=True).start()
    time.sleep(SETTLES_S)  # tidy:allow sleep: a hang gives no sign of having come
    with open(os.path.join(folder, "rank_%d" % rank), "wb") as file:
        file.write(c10d._dump_fr_trace())
    with open(os.path.join(folder, "recorder_%d.json" % rank), "wb") as file:
        file.write(c10d._dump_fr_trace_json())
    # Whoever leaves first ends the ops of the others, whose dump would say so; the store is rank 0's.
    store = dist.distributed_c10d._get_default_store()
    arrive(store, "written")
    wait_for_all(store, "written")
    arrive(store, "left")
    if rank == 0:
        wait_for_all(store, "left")
    os._exit(0)


main()
