# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Every op of c10d against values known beforehand, in a world of 3 and in groups of it: ops.py [OP...]"""
import datetime
import sys
import time

import lockstep_c10d  # noqa: F401
import torch
import torch.distributed as dist

WORLD = 3
TORCH_1 = torch.__version__.startswith("1.")
DTYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32,
          torch.float64]


def equal(got, wanted):
    wanted = torch.as_tensor(wanted, dtype=got.dtype)
    assert torch.equal(got, wanted.expand(got.shape)), "got %s, wanted %s" % (got, wanted)


def mine(rank, count=5, dtype=torch.float32):
    """What `rank` has: 10 * (rank + 1) + 0, 1, 2 ..."""
    return (torch.arange(count) + 10 * (rank + 1)).to(dtype)


def broadcast(rank):
    for root in range(WORLD):
        for dtype in DTYPES:
            tensor = mine(rank, dtype=dtype)
            dist.broadcast(tensor, root)
            equal(tensor, mine(root, dtype=dtype))
    tensor = torch.tensor([rank == 1])
    dist.broadcast(tensor, 1)
    equal(tensor, [True])


def all_reduce(rank):
    every = torch.stack([mine(r) for r in range(WORLD)])
    wanted = {dist.ReduceOp.SUM: every.sum(0), dist.ReduceOp.PRODUCT: every.prod(0), dist.ReduceOp.MIN: every.min(0)[0],
              dist.ReduceOp.MAX: every.max(0)[0], dist.ReduceOp.AVG: every.sum(0) / WORLD}
    for op, value in wanted.items():
        for dtype in (torch.int64, torch.float32, torch.float64):
            tensor = mine(rank, dtype=dtype)
            dist.all_reduce(tensor, op)
            equal(tensor, value.to(dtype))
    for dtype in DTYPES:
        tensor = torch.full((70001,), rank + 1, dtype=dtype)  # more than goes inline
        dist.all_reduce(tensor)
        equal(tensor, 6)
    for op, value in ((dist.ReduceOp.BAND, 0), (dist.ReduceOp.BOR, 7), (dist.ReduceOp.BXOR, 7)):
        tensor = torch.tensor([1 << rank])
        dist.all_reduce(tensor, op)
        equal(tensor, [value])
    if hasattr(dist, "_make_nccl_premul_sum"):
        half = torch.tensor([0.5])
        for factor in (0.5, [half] if TORCH_1 else half):
            tensor = mine(rank)
            dist.all_reduce(tensor, dist._make_nccl_premul_sum(factor))
            equal(tensor, every.sum(0) / 2)


def tensors_of_any_layout(rank):
    table = mine(rank, 12).view(3, 4)
    every = sum(mine(r, 12).view(3, 4) for r in range(WORLD))
    column = table[:, 1]
    dist.all_reduce(column)
    equal(column, every[:, 1])
    equal(table[:, 0], mine(rank, 12).view(3, 4)[:, 0])
    transposed = mine(rank, 12).view(3, 4).t()
    dist.broadcast(transposed, 2)
    equal(transposed, mine(2, 12).view(3, 4).t())
    empty = torch.empty(0)
    dist.all_reduce(empty)
    leaf = torch.nn.Parameter(mine(rank))
    dist.broadcast(leaf.data, 0)
    equal(leaf.data, mine(0))


def all_reduce_coalesced(rank):
    tensors = [mine(rank), mine(rank, 3, torch.float64)]
    options = dist.AllreduceCoalescedOptions()
    dist.group.WORLD.allreduce_coalesced(tensors, options).wait()
    equal(tensors[0], sum(mine(r) for r in range(WORLD)))
    equal(tensors[1], sum(mine(r, 3, torch.float64) for r in range(WORLD)))


def reduce(rank):
    tensor = mine(rank)
    dist.reduce(tensor, 1)
    if rank == 1:
        equal(tensor, sum(mine(r) for r in range(WORLD)))


def all_gather(rank):
    tensors = [torch.zeros(5) for _ in range(WORLD)]
    dist.all_gather(tensors, mine(rank))
    for r in range(WORLD):
        equal(tensors[r], mine(r))
    uneven = [torch.zeros(r + 1, 2) for r in range(WORLD)]
    dist.all_gather(uneven, mine(rank, 2 * rank + 2).view(-1, 2))
    for r in range(WORLD):
        equal(uneven[r], mine(r, 2 * r + 2).view(-1, 2))
    strings = [None] * WORLD
    dist.all_gather_object(strings, "rank %d" % rank)
    assert strings == ["rank 0", "rank 1", "rank 2"], strings
    flat = torch.zeros(5 * WORLD)
    dist.all_gather_into_tensor(flat, mine(rank))
    equal(flat, torch.cat([mine(r) for r in range(WORLD)]))


def all_gather_coalesced(rank):
    outputs = [[torch.zeros(5), torch.zeros(2)] for _ in range(WORLD)]
    inputs = [mine(rank), mine(rank, 2)]
    dist.all_gather_coalesced(outputs, inputs)
    for r in range(WORLD):
        equal(outputs[r][0], mine(r))
        equal(outputs[r][1], mine(r, 2))


def gather_and_scatter(rank):
    tensors = [torch.zeros(5) for _ in range(WORLD)] if rank == 2 else None
    dist.gather(mine(rank), tensors, dst=2)
    if rank == 2:
        for r in range(WORLD):
            equal(tensors[r], mine(r))
    tensor = torch.zeros(5)
    dist.scatter(tensor, [mine(r) for r in range(WORLD)] if rank == 1 else None, src=1)
    equal(tensor, mine(rank))


def reduce_scatter(rank):
    out = torch.zeros(4)
    dist.reduce_scatter(out, [mine(r + rank, 4) for r in range(WORLD)])
    equal(out, sum(mine(rank + r, 4) for r in range(WORLD)))
    out = torch.zeros(4)
    dist.reduce_scatter_tensor(out, torch.cat([mine(r + rank, 4) for r in range(WORLD)]), op=dist.ReduceOp.AVG)
    equal(out, sum(mine(rank + r, 4) for r in range(WORLD)) / WORLD)
    uneven = torch.zeros(rank + 1)
    dist.reduce_scatter(uneven, [torch.full((r + 1,), float(rank)) for r in range(WORLD)])
    equal(uneven, 3.0)


def all_to_all(rank):
    outputs = [torch.zeros(2) for _ in range(WORLD)]
    dist.all_to_all(outputs, [torch.full((2,), float(10 * rank + r)) for r in range(WORLD)])
    for r in range(WORLD):
        equal(outputs[r], float(10 * r + rank))
    out = torch.zeros(WORLD)
    dist.all_to_all_single(out, torch.tensor([10.0 * rank + r for r in range(WORLD)]))
    equal(out, [10.0 * r + rank for r in range(WORLD)])
    # Rank r gives r + 1 rows to each.
    out = torch.zeros(6, 2)
    dist.all_to_all_single(out, torch.full(((rank + 1) * WORLD, 2), float(rank)), [1, 2, 3], [rank + 1] * WORLD)
    equal(out[:, 1], [0.0, 1.0, 1.0, 2.0, 2.0, 2.0])


def send_and_recv(rank):
    to, source = (rank + 1) % WORLD, (rank - 1) % WORLD
    tensor = torch.zeros(5)
    ops = [dist.P2POp(dist.isend, mine(rank), to), dist.P2POp(dist.irecv, tensor, source)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    equal(tensor, mine(source))
    if rank == 0:
        dist.send(mine(0), 2)
    elif rank == 2:
        columns = torch.zeros(5, 2)
        dist.recv(columns[:, 0], 0)
        equal(columns[:, 0], mine(0))


def refused(rank):
    """What the backend does not take is said at the call, and leaves the group as it was."""
    for call, text in (
            (lambda: dist.isend(mine(rank), (rank + 1) % WORLD, tag=7), "has no tags (this call's is 7)"),
            (lambda: dist.recv(torch.zeros(1)), "no receive from any rank"),
            (lambda: dist.all_reduce(torch.zeros(3, dtype=torch.complex64), dist.ReduceOp.MAX), "complex"),
            (lambda: dist.broadcast(torch.zeros(3).to_sparse(), 0),
             "a tensor is a sparse tensor" if TORCH_1 else "SparseCPU"),  # torch 2 refuses it itself
            (lambda: dist.group.WORLD.allreduce([torch.zeros(3, dtype=torch.complex64)]), "of dtype ComplexFloat, which"),
            (lambda: dist.group.WORLD.allreduce([torch.zeros(1), torch.zeros(1)]), "all_reduce of 2 tensors at once"),
            (lambda: dist.all_to_all_single(torch.zeros(4), torch.zeros(4)), "4 rows"),
            (lambda: dist.all_gather([torch.zeros(1)], torch.zeros(1)), "it takes one for each rank"),
    ):
        try:
            call()
        except (RuntimeError, ValueError, NotImplementedError) as error:
            assert text in str(error), error
        else:
            raise AssertionError("not refused: " + text)


def refused_in_the_middle(rank):
    """Of several tensors one is wrong, on one rank: no op has begun for those before it."""
    if rank == 1:
        for wrong, text in ((torch.zeros(2, dtype=torch.complex64), "of dtype ComplexFloat, which"),
                            (torch.zeros(2).to_sparse(), "parse")):
            try:
                dist.group.WORLD.allgather_coalesced([[torch.zeros(5), torch.zeros(2)] for _ in range(WORLD)],
                                                     [mine(rank), wrong])
            except (RuntimeError, NotImplementedError) as error:
                assert text in str(error), error
            else:
                raise AssertionError("not refused: " + text)
            if TORCH_1:
                continue
            for call, tensors in ((dist.group.WORLD.allgather_into_tensor_coalesced, torch.zeros(15)),
                                  (dist.group.WORLD.reduce_scatter_tensor_coalesced, torch.zeros(1))):
                try:
                    call([tensors, wrong], [torch.zeros(5 if tensors.numel() > 1 else 3), wrong])
                except (RuntimeError, NotImplementedError) as error:
                    assert text in str(error), error
                else:
                    raise AssertionError("not refused: " + text)
    all_gather_coalesced(rank)


def barrier(rank):
    dist.barrier()
    dist.group.WORLD.monitored_barrier(timeout=datetime.timedelta(seconds=20))


def asynchronous(rank):
    works, tensors = [], []
    for i in range(50):
        tensors.append(torch.full((1000,), float(rank + i)))
        works.append(dist.all_reduce(tensors[-1], async_op=True))
    ended = works[49].get_future().then(lambda future: future.value()[0][0].item())
    assert ended.wait() == 3 + 3 * 49.0, ended.value()
    assert all(work.is_completed() and work.is_success() for work in works)
    for i in range(50):
        equal(tensors[i], 3 + 3.0 * i)
    for i in range(20):  # nobody keeps the work, nor the tensor
        dist.all_reduce(torch.ones(100000), async_op=True)
    dist.barrier()


def dropped(rank):
    """Nobody keeps the work, and results come to where they have to be copied all the same."""
    columns, lists = torch.zeros(5, 2), [torch.zeros(5) for _ in range(WORLD)]
    columns[:, 0] = mine(rank)
    dist.all_reduce(columns[:, 0], async_op=True)
    dist.all_gather(lists, mine(rank), async_op=True)
    ended = torch.zeros(5, 2)
    work = dist.broadcast(ended[:, 1], 0, async_op=True) if rank else dist.broadcast(mine(0), 0, async_op=True)
    dist.barrier()  # ops end in order
    del work
    if rank:
        equal(ended[:, 1], mine(0))
    wanted = torch.stack([mine(r) for r in range(WORLD)])
    until = time.monotonic() + 60
    while not (torch.equal(columns[:, 0], wanted.sum(0)) and torch.equal(torch.stack(lists), wanted)):
        assert time.monotonic() < until, (columns, lists)


def no_place_for_results(rank):
    """An output that torch cannot write to is an error of the call, for who waits and for who has a future."""
    for end in (lambda work: work.wait(), lambda work: work.get_future().wait()):
        work = dist.all_reduce(torch.zeros(1).expand(4), async_op=True)
        try:
            end(work)
        except RuntimeError as error:
            assert "single memory location" in str(error), error
        else:
            raise AssertionError("wrote to it")
    dist.all_reduce(torch.zeros(1).expand(4), async_op=True)
    dist.barrier()


def bounded_wait(rank):
    """Leaves the op in flight when its time is up."""
    if rank != 0:
        dist.recv(torch.zeros(1), 0)
        dist.barrier()
        return
    work = dist.barrier(async_op=True)
    try:
        work.wait(datetime.timedelta(milliseconds=50))
    except RuntimeError as error:
        assert "barrier is still in flight after 50ms" in str(error), error
    else:
        raise AssertionError("a barrier without the others")
    for other in range(1, WORLD):
        dist.send(torch.ones(1), other)
    work.wait()


def groups(rank):
    pair = dist.new_group([2, 0])
    if rank != 1:
        tensor = mine(rank)
        dist.all_reduce(tensor, group=pair)
        equal(tensor, mine(0) + mine(2))
        dist.broadcast(tensor, 2, group=pair)
    alone = dist.new_group([1])
    if rank == 1:
        dist.all_reduce(torch.ones(3), group=alone)
    everybody = dist.new_group()
    tensor = mine(rank)
    dist.all_reduce(tensor, group=everybody)
    equal(tensor, sum(mine(r) for r in range(WORLD)))
    assert dist.get_world_size(pair) == (2 if rank != 1 else -1)
    dist.destroy_process_group(everybody)
    all_reduce(rank)


OPS = [broadcast, all_reduce, tensors_of_any_layout, all_reduce_coalesced, reduce, all_gather, all_gather_coalesced,
       gather_and_scatter, reduce_scatter, all_to_all, send_and_recv, refused, refused_in_the_middle, barrier, asynchronous,
       dropped, no_place_for_results, bounded_wait, groups]


def main():
    dist.init_process_group("lockstep", timeout=datetime.timedelta(seconds=60))
    assert dist.get_backend() == "lockstep" and dist.get_world_size() == WORLD
    for op in OPS:
        if len(sys.argv) == 1 or op.__name__ in sys.argv[1:]:
            op(dist.get_rank())
            print("rank %d: %s" % (dist.get_rank(), op.__name__), flush=True)
    dist.destroy_process_group()


main()
