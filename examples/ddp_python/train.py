# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The script of examples/python_ddp with another word for its backend: DistributedDataParallel over shared memory.

    PYTHONPATH=bazel-bin/runtime/torch/c10d/package \
        lockstep run -np 2 /usr/bin/python3 -m lockstep_c10d examples/ddp_python/train.py --steps 100
"""
import argparse

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()

    dist.init_process_group("lockstep")  # RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say the rest
    rank = dist.get_rank()
    torch.set_num_threads(1)
    torch.manual_seed(rank)

    # The task: from noisy samples, find the linear function that made them.
    truth = torch.linspace(-1, 1, 8)
    model = DistributedDataParallel(torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(1, arguments.steps + 1):
        inputs = torch.randn(arguments.batch, 8)
        targets = (inputs @ truth + 0.01 * torch.randn(arguments.batch)).unsqueeze(1)
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 0 and (step % 20 == 0 or step == arguments.steps):
            print("step %d/%d loss %.5f" % (step, arguments.steps, loss.item()))

    error = (model.module.weight.detach().squeeze() - truth).abs().max().item()
    print("rank %d of %d: largest error of a weight %.4f" % (rank, dist.get_world_size(), error))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
