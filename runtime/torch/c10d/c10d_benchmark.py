#!/usr/bin/python3
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The backend `lockstep` of torch.distributed against Gloo: c10d_benchmark.py LOCKSTEP PACKAGE_FILE RANK_SCRIPT [--quick]

Both are process groups of the same two processes and measured in turns. Exit status 1 when a bar is missed; with --quick a
few rounds are run and no bar decides.
"""
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

LOCKSTEP, IN_PACKAGE, RANK_SCRIPT = (os.path.abspath(path) for path in sys.argv[1:4])
QUICK = "--quick" in sys.argv[4:]
PYTHON = "/usr/bin/python3"
ROUNDS = "5" if QUICK else "100"
DEADLINE_S = 600
BAR_BYTES = 4 << 20
BAR_RATIO = 3.0


def machine():
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    with open("/proc/loadavg") as file:
        load = " ".join(file.read().split()[:3])
    return "machine: %s, %d cores, Linux %s; load before: %s" % (cpu, os.cpu_count(), platform.release().split("-")[0], load)


def measure():
    folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")
    try:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")}
        environment.update(XDG_STATE_HOME=folder, XDG_RUNTIME_DIR=folder, HOME=folder, PYTHONDONTWRITEBYTECODE="1",
                           PYTHONPATH=os.path.dirname(os.path.dirname(IN_PACKAGE)), OMP_NUM_THREADS="1")
        job = subprocess.run([LOCKSTEP, "run", "-np", "2", PYTHON, RANK_SCRIPT, ROUNDS],
                             stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, env=environment)
    finally:
        shutil.rmtree(folder)
    if job.returncode != 0:
        sys.exit("the job ended with exit status %d\n%s" % (job.returncode, job.stdout))
    return json.loads(job.stdout[job.stdout.index("{"):])  # behind the label of its rank


def size_name(count):
    return "%d MiB" % (count >> 20) if count >= 1 << 20 else "%d KiB" % (count >> 10)


def row(name, ours, gloos, unit):
    ratio = statistics.median(gloos) / statistics.median(ours)
    cells = [statistics.median(ours), min(ours), statistics.median(gloos), min(gloos)]
    print("| %s | %s | %.2fx | %.2fx |" % (name, " | ".join("%.4g" % (cell * unit) for cell in cells), ratio,
                                         min(gloos) / min(ours)))
    return ratio


def main():
    print(machine())
    result = measure()
    print("\nall_reduce of a float32 tensor, 2 ranks, by torch.distributed of torch %s (us)\n" % result["torch"])
    head = "| %s | lockstep, median | least | Gloo, median | least | ratio | of the least |\n|---|---|---|---|---|---|---|"
    print(head % "size")
    ratios = {int(size): row(size_name(int(size)), times["lockstep"], times["gloo"], 1e6)
              for size, times in result["all_reduce"].items()}
    print("\nA step of DistributedDataParallel, 784-1024-1024-10, batch 64, SGD (ms)\n")
    print(head % "network")
    row("MLP of 7.45 MB", result["ddp"]["lockstep"], result["ddp"]["gloo"], 1e3)
    holds = ratios[BAR_BYTES] >= BAR_RATIO
    print("\nbar %s: all_reduce of %s %.2fx Gloo >= %.2fx" % (
        "holds" if holds else "MISSED", size_name(BAR_BYTES), ratios[BAR_BYTES], BAR_RATIO))
    sys.exit(0 if holds or QUICK else 1)


main()
