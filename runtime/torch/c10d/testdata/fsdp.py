# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Trains a small network with torch 2's fully_shard and prints every loss to the last bit: fsdp.py BACKEND"""
import struct
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard


def main():
    dist.init_process_group(sys.argv[1])
    torch.set_num_threads(1)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Linear(31, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
    fully_shard(network[0], mesh=mesh)
    fully_shard(network, mesh=mesh)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    torch.manual_seed(100 + dist.get_rank())
    for step in range(20):
        inputs = torch.randn(16, 31)
        loss = torch.nn.functional.mse_loss(network(inputs), inputs.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("rank %d step %d loss %s" % (dist.get_rank(), step, struct.pack(">f", loss.item()).hex()))
    dist.destroy_process_group()


main()
