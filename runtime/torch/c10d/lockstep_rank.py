# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What a Python program tells Lockstep of itself, whatever its ranks talk over: NCCL, Gloo, MPI or `lockstep`. Needs no torch.

    import lockstep_rank

    with lockstep_rank.phase("checkpoint", at_most=240):
        torch.save(state, path)
    lockstep_rank.report_step(step)
    lockstep_rank.report_samples(len(batch))

`lockstep status`, `top` and verdicts show it. A program that `lockstep run` or `lockstep exec` has not started may call all of
this, too: then nobody is told. Any thread.
"""
import contextlib
import ctypes
import os
import threading
import time

_LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lockstep_c10d", "liblockstep_collectives.so")

_lock = threading.Lock()
_session = None  # (library, lockstep_session*): of this process, from the first call on
_owner = None    # its pid
_phases_lock = threading.Lock()
_phases = []     # (name, time.monotonic() until which it may take, or 0) of those that the program is in, the innermost last


class _Status(ctypes.Structure):  # lockstep_status
    _fields_ = [("code", ctypes.c_int32), ("failure_class", ctypes.c_int32), ("blamed_rank", ctypes.c_int32),
                ("reserved", ctypes.c_int32), ("text", ctypes.c_char * 2048)]


def _forked():
    """Another thread of the parent may have held them."""
    global _lock, _phases_lock
    _lock, _phases_lock = threading.Lock(), threading.Lock()


os.register_at_fork(after_in_child=_forked)


def _load():
    library = ctypes.CDLL(_LIBRARY)
    pointer = ctypes.c_void_p
    library.lockstep_session_open.argtypes = [ctypes.POINTER(pointer), ctypes.POINTER(_Status)]
    library.lockstep_session_report_progress.argtypes = [pointer, ctypes.c_int64]
    library.lockstep_session_report_samples.argtypes = [pointer, ctypes.c_uint64]
    library.lockstep_session_set_long_phase.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int64]
    library.lockstep_session_stop_requested.argtypes = [pointer]
    for name in ("report_progress", "report_samples", "set_long_phase"):
        getattr(library, "lockstep_session_" + name).restype = None
    return library


def _open():
    """Made on first use and never closed: its end is the process's. A forked child (a DataLoader's worker) tells nothing."""
    global _session, _owner
    with _lock:
        if _session is None:
            library, session, status = _load(), ctypes.c_void_p(), _Status()
            if library.lockstep_session_open(ctypes.byref(session), ctypes.byref(status)) != 0:
                raise RuntimeError(status.text.decode(errors="replace"))
            _session, _owner = (library, session), os.getpid()
        return _session if _owner == os.getpid() else (None, None)


def _tell(function, *arguments):
    library, session = _open()
    return 0 if library is None else getattr(library, "lockstep_session_" + function)(session, *arguments)


def _show_phase():
    name = _phases[-1][0] if _phases else ""
    until = max((until for _, until in _phases), default=0)
    left = max(0.0, until - time.monotonic()) if until else 0.0
    _tell("set_long_phase", name.encode(), min(int(left * 1e9), 2**62))


@contextlib.contextmanager
def phase(name, at_most=0):
    """The program is in this phase: "checkpoint", "evaluation". They nest; all threads of the process are in it.

    at_most: for so many seconds this rank may come late to ops without being taken for one that hangs, as while it loads,
    compiles or saves; `lockstep run --hang-deadline` (5 min) bounds it. 0: it is only shown. Ops of the backend `lockstep`
    still have their own deadlines. Of the name the first 31 bytes are kept. Raises RuntimeError: the agent refuses this
    process.
    """
    mark = (name, time.monotonic() + at_most if at_most > 0 else 0)
    with _phases_lock:
        _phases.append(mark)
        _show_phase()
    try:
        yield
    finally:
        with _phases_lock:
            _phases.remove(mark)
            _show_phase()


def report_step(step):
    """Step number `step` of the training is complete. Cheap enough for every step. Raises RuntimeError as phase does."""
    _tell("report_progress", step)


def report_samples(samples):
    """This rank has processed so many more samples of its data. Raises RuntimeError as phase does."""
    _tell("report_samples", samples)


def stop_requested():
    """Whether this rank was asked to end: finish the step, save, return. Raises RuntimeError as phase does."""
    return bool(_tell("stop_requested"))
