# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The backend `lockstep` of torch.distributed: import this, or start the script with `python3 -m lockstep_c10d`.

    import lockstep_c10d
    torch.distributed.init_process_group("lockstep")
"""
import atexit

import torch.distributed

from lockstep_c10d import extension

_extension = extension.load()
_rank_groups = None  # this process's tie to its agent, from the first process group on


def _create(options, _backend_options):
    global _rank_groups
    if _rank_groups is None:
        _rank_groups = _extension.RankGroups()
    timeout = options.timeout
    return _extension.C10dBackend(
        _rank_groups, options.group_rank, options.group_size, list(options.global_ranks_in_group),
        timeout if isinstance(timeout, float) else timeout.total_seconds())


def _close():
    """While Python's threads still may run: at the end of an op, callbacks of the program do."""
    global _rank_groups
    if torch.distributed.is_initialized() and torch.distributed.get_backend() == "lockstep":
        torch.distributed.destroy_process_group()
    _rank_groups = None


def _register():
    arguments = {} if torch.__version__.startswith("1.") else {"devices": ["cpu"]}
    torch.distributed.Backend.register_backend("lockstep", _create, extended_api=True, **arguments)


_register()
atexit.register(_close)
