# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Collectives of four ranks, two on each of two nodes, against values known beforehand."""
import datetime

import lockstep_c10d  # noqa: F401
import torch
import torch.distributed as dist

WORLD = 4
COUNTS = [1, 1000, 300001]  # inline, in one piece, in several


def equal(got, wanted):
    assert torch.equal(got, torch.as_tensor(wanted, dtype=got.dtype).expand(got.shape)), "got %s, wanted %s" % (got, wanted)


def all_reduce(rank, group=None, members=range(WORLD)):
    for count in COUNTS:
        tensor = torch.full((count,), float(rank + 1))
        dist.all_reduce(tensor, group=group)
        equal(tensor, float(sum(member + 1 for member in members)))
    largest = torch.tensor([rank])
    dist.all_reduce(largest, dist.ReduceOp.MAX, group=group)
    equal(largest, [max(members)])


def broadcast(rank, group=None, members=range(WORLD)):
    for root in members:
        for count in COUNTS:
            tensor = torch.full((count,), rank)
            dist.broadcast(tensor, root, group=group)
            equal(tensor, root)


def all_gather(rank, group=None, members=range(WORLD)):
    for count in COUNTS:
        tensors = [torch.zeros(count) for _ in members]
        dist.all_gather(tensors, torch.full((count,), float(rank)), group=group)
        for member, tensor in zip(members, tensors):
            equal(tensor, float(member))


def send_and_recv(rank):
    """To the neighbour, which is on this node or on the other."""
    got = torch.zeros(300001)
    ops = [dist.P2POp(dist.isend, torch.full((300001,), float(rank)), (rank + 1) % WORLD),
           dist.P2POp(dist.irecv, got, (rank - 1) % WORLD)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    equal(got, float((rank - 1) % WORLD))


def in_new_group(*members):
    """The same in a group of these ranks; the others make it with them, as torch wants it."""

    def op(rank):
        group = dist.new_group(list(members))
        if rank in members:
            for each in (all_reduce, broadcast, all_gather):
                each(rank, group, members)

    op.__name__ = "new_group_" + "_".join(map(str, members))
    return op


OPS = [all_reduce, broadcast, all_gather, send_and_recv,
       in_new_group(0, 1), in_new_group(2, 3), in_new_group(1, 2), in_new_group(0, 3), in_new_group(0, 2, 3), all_reduce]


def main():
    dist.init_process_group("lockstep", timeout=datetime.timedelta(seconds=60))
    for op in OPS:
        op(dist.get_rank())
        print("rank %d: %s" % (dist.get_rank(), op.__name__), flush=True)
    dist.destroy_process_group()


main()
