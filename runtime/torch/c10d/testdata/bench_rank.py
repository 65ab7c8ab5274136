# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""A rank of c10d_benchmark.py: measures both backends in turns, and prints what rank 0 saw: bench_rank.py ROUNDS"""
import json
import sys
import time

import lockstep_c10d  # noqa: F401
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

SIZES = [4 << 10, 64 << 10, 1 << 20, 4 << 20, 16 << 20]
WARM_UP = 3


def all_reduce_seconds(group, tensor):
    tensor.fill_(1)
    dist.barrier(group=group)
    begin = time.perf_counter()
    dist.all_reduce(tensor, group=group)
    seconds = time.perf_counter() - begin
    assert tensor[-1].item() == dist.get_world_size()
    return seconds


def make_step(group):
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Linear(784, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 1024),
                                  torch.nn.ReLU(), torch.nn.Linear(1024, 10))
    model = DistributedDataParallel(network, process_group=group)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images, labels = torch.randn(64, 784), torch.randint(10, (64,))

    def step():
        dist.barrier(group=group)
        begin = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        return time.perf_counter() - begin

    return step


def in_turns(rounds, measures):
    """{name: seconds of each round}, each measured first as often as the others."""
    seconds = {name: [] for name in measures}
    for i in range(-WARM_UP, rounds):
        names = list(measures) if i % 2 == 0 else list(measures)[::-1]
        for name in names:
            took = measures[name]()
            if i >= 0:
                seconds[name].append(took)
    return seconds


def main():
    rounds = int(sys.argv[1])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    groups = {"gloo": dist.group.WORLD, "lockstep": dist.new_group(backend="lockstep")}
    result = {"torch": torch.__version__, "all_reduce": {}}
    for size in SIZES:
        tensors = {name: torch.zeros(size // 4) for name in groups}
        result["all_reduce"][size] = in_turns(
            rounds, {name: (lambda name=name: all_reduce_seconds(groups[name], tensors[name])) for name in groups})
    result["ddp"] = in_turns(rounds, {name: make_step(group) for name, group in groups.items()})
    if dist.get_rank() == 0:
        print(json.dumps(result), flush=True)
    dist.barrier()


main()
