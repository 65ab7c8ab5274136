# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The backend `lockstep` of torch.distributed: import this, or start the script with `python3 -m lockstep_c10d`.

    import lockstep_c10d
    torch.distributed.init_process_group("lockstep")
"""
import atexit
import datetime

import torch.distributed

from lockstep_c10d import extension

_extension = extension.load()
_rank_groups = None  # this process's tie to its agent, from the first process group on


class Options:
    """Of a process group: init_process_group("lockstep", pg_options=lockstep_c10d.Options(verify=True)).

    verify: ranks compare what all_reduce, all_gather and broadcast gave them, bit by bit; where it differs the op
    raises a RuntimeError on all of them, which names the ranks that are not with the majority and the first element.
    Each such call then returns when its op has ended. The same on all ranks.
    """

    def __init__(self, verify=False):
        self.verify = verify


def lost_ranks():
    """Without whom the job goes on: {rank: what became of it}. Empty but for `lockstep run --on-rank-failure keep`."""
    return {} if _rank_groups is None else dict(_rank_groups.lost_ranks())


def shrink_to_survivors(timeout=datetime.timedelta(minutes=5), options=None):
    """The process group of the ranks that are left, in their order, after an op that failed.

    For jobs of `lockstep run --on-rank-failure keep`: all that are left call it, in the processes they have; who is
    gone, or was blamed for the failure and does not call it, is left out. Waits until they have come, at most
    `timeout`, which ops of the new group then have too. The group is for the argument `group` of torch.distributed's functions, and has a process group's methods; functions
    that look its ranks up (those with a src or dst of the world) do not know it: call its own, as
    group.broadcast(tensor, root). Raises RuntimeError: the job keeps no survivors, or has gone on without this rank;
    ranks that nobody blames did not come.
    """
    if _rank_groups is None:
        raise RuntimeError('shrink_to_survivors before init_process_group("lockstep")')
    return _extension.C10dBackend.of_survivors(_rank_groups, _seconds(timeout), _verifies(options))


def _seconds(timeout):
    return timeout if isinstance(timeout, float) else timeout.total_seconds()


def _verifies(options):
    return bool(getattr(options, "verify", False))


def _create(options, backend_options):
    global _rank_groups
    if _rank_groups is None:
        _rank_groups = _extension.RankGroups()
    return _extension.C10dBackend(_rank_groups, options.group_rank, options.group_size,
                                  list(options.global_ranks_in_group), _seconds(options.timeout),
                                  _verifies(backend_options))


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
