# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Three ranks, of which the last is killed; the others go on in their processes."""
import datetime
import os
import signal

import lockstep_c10d
import torch
import torch.distributed as dist


def main():
    dist.init_process_group("lockstep", timeout=datetime.timedelta(seconds=60))
    rank = dist.get_rank()
    # A group of some ranks costs the others nothing.
    some = dist.new_group([0, 1])
    if rank != 2:
        dist.all_reduce(torch.ones(4), group=some)
    print("rank %d: lost %s" % (rank, lockstep_c10d.lost_ranks()), flush=True)
    dist.all_reduce(torch.ones(4))
    if rank == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        dist.all_reduce(torch.ones(4))
    except RuntimeError as error:
        print("rank %d: %s" % (rank, error), flush=True)
    group = lockstep_c10d.shrink_to_survivors(timeout=datetime.timedelta(seconds=60),
                                              options=lockstep_c10d.Options(verify=True))
    left = torch.full((4,), float(rank + 1))
    dist.all_reduce(left, group=group)
    print("rank %d: %d of %d, sum %d, lost %s" %
          (rank, group.rank(), group.size(), left[0], lockstep_c10d.lost_ranks()), flush=True)


main()
