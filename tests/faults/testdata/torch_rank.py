# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""torch_rank.py FAULT: a rank of a gang of three that does what the ProcessGroupNCCL of torch 2.3 to 2.10 does for those who
want its flight recorder's dump, and computes nothing: there is no torch in it, and no GPU. Rank 1 does FAULT; in a
"stall" all have come and nothing moves. Facts are those of
torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp: it makes a named pipe after removing what was there, opens it without
waiting, looks into it once in a while (torch: once a second; here more often), and whatever is read there has it truncate its
dump and write it anew.
"""
import os
import pickle
import signal
import sys
import threading
import time

CULPRIT = 1
RANKS = 3
OPS = 3  # that end well
LOOKS_EVERY_S = 0.05
RANK = int(os.environ["RANK"])
FAULT = sys.argv[1]
LOCK = threading.Lock()
ENTRIES = []


def call(name, elements, state, line):
    with LOCK:
        record = len(ENTRIES)
        ENTRIES.append({
            "record_id": record, "pg_id": 0, "process_group": ("0", "default_pg"), "collective_seq_id": record + 1,
            "p2p_seq_id": 0, "op_id": record + 1, "profiling_name": "nccl:" + name, "time_created_ns": time.time_ns(),
            "input_sizes": [[elements]], "input_dtypes": ["Float"], "output_sizes": [[elements]], "output_dtypes": ["Float"],
            "state": state, "time_discovered_started_ns": None, "time_discovered_completed_ns": None,
            "retired": state == "completed", "timeout_ms": 600000, "is_p2p": False,
            "frames": [{"name": "all_reduce", "filename": "/x/torch/distributed/distributed_c10d.py", "line": 2806},
                       {"name": "main", "filename": "/home/me/train.py", "line": line}]})


def dump():
    with LOCK:
        told = pickle.dumps({
            "version": "2.10", "nccl_version": "2.28.9",
            "pg_config": {"0": {"name": "0", "desc": "default_pg", "ranks": str(list(range(RANKS)))}},
            "pg_status": {}, "entries": list(ENTRIES)}, protocol=2)
    with open(os.environ["TORCH_NCCL_DEBUG_INFO_TEMP_FILE"] + str(RANK), "wb", buffering=0) as file:
        file.write(told[:len(told) // 2])
        file.write(told[len(told) // 2:])


def monitor_heartbeat():
    stem = os.environ.get("TORCH_NCCL_DEBUG_INFO_PIPE_FILE", "")
    if not stem or int(os.environ.get("TORCH_NCCL_TRACE_BUFFER_SIZE", "0")) <= 0:
        return
    path = stem + str(RANK) + ".pipe"
    if os.path.lexists(path):
        os.unlink(path)
    os.mkfifo(path, 0o666)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    looks_every_s = LOOKS_EVERY_S if os.environ.get("TORCH_NCCL_DUMP_ON_TIMEOUT") == "1" else 480
    while not threading.Event().wait(looks_every_s):
        try:
            asked = os.read(pipe, 128)
        except BlockingIOError:
            continue
        if asked:
            dump()


threading.Thread(target=monitor_heartbeat, daemon=True).start()
for _ in range(OPS):
    call("all_reduce", 16, "completed", 30)
if RANK != CULPRIT or FAULT == "stall":
    call("all_reduce", 16, "scheduled", 34)
elif FAULT == "other_op":
    call("broadcast", 16, "scheduled", 32)
elif FAULT == "stopped":
    os.kill(os.getpid(), signal.SIGSTOP)
threading.Event().wait()
