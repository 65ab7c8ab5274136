# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""torchrun, as Debian 12 has it (PyTorch 1.13), made to start under Python 3.11.

There, iterating over a Flag leaves out its zero member, so Std.from_str finds no name for "0" and returns None.
"""
import torch.distributed.elastic.multiprocessing.api as api
import torch.distributed.run

api.Std.from_str = classmethod(lambda cls, text: cls(int(text)))
torch.distributed.run.main()
