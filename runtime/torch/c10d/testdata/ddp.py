# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Trains a small network with torch's own DistributedDataParallel and prints every loss to the last bit: ddp.py BACKEND"""
import struct
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def main():
    dist.init_process_group(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(7)
    network = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.BatchNorm1d(256), torch.nn.ReLU(),
                                  torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    model = DistributedDataParallel(network, bucket_cap_mb=0.1)  # several buckets
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    torch.manual_seed(100 + dist.get_rank())
    for step in range(20):
        inputs = torch.randn(32, 64)
        loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("rank %d step %d loss %s" % (dist.get_rank(), step, struct.pack(">f", loss.item()).hex()))
    dist.destroy_process_group()


main()
