#!/bin/sh
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
# run.sh [PART...]: what `make gpu-bundle` made, on this machine: it needs glibc, and for the parts on a GPU a driver, CUDA's runtime and
# NCCL, which are looked for on the loader's path and then in the packages of python3 (nvidia-nccl-cu13, nvidia-cuda-runtime).
# Parts: host, network, fake, real, bench; all without any. Exit status 0 when everything that could run has passed. Each program's
# whole output is in $OUT, or else in the folder results here.
set -u
cd "$(dirname "$0")" || exit 1
out=${OUT:-results}
mkdir -p "$out" || exit 1
TEST_TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-gpu.XXXXXX") || exit 1
export TEST_TMPDIR
trap 'rm -rf "$TEST_TMPDIR"' EXIT
failed=0

# The folders of python3's packages that hold libraries, if it has any.
package_folders() {
  python3 - 2>/dev/null <<'END'
import glob, os, sys
folders = []
for path in sys.path:
    for pattern in ("nvidia/nccl/lib", "nvidia/cu1[0-9]/lib", "nvidia/cuda_runtime/lib"):
        folders += [folder for folder in glob.glob(os.path.join(path, pattern)) if glob.glob(folder + "/lib*.so*")]
print(":".join(dict.fromkeys(folders)))
END
}

about() {
  echo "machine: $(uname -srm)"
  sed -n 's/^model name\t*: /cpu: /p' /proc/cpuinfo | sort | uniq -c | sed 's/^ *//'
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | sed 's/^/gpu: /'
  fi
}

# run NAME LIMIT_S COMMAND...: one line about it, its output in $out/NAME.log.
run() {
  name=$1
  limit=$2
  shift 2
  begun=$(date +%s)
  timeout -k 10 "$limit" "$@" >"$out/$name.log" 2>&1
  status=$?
  took=$(($(date +%s) - begun))
  passed=$(grep -c '^\[       OK \]' "$out/$name.log")
  skipped=$(grep -c '^\[  SKIPPED \] .*ms)' "$out/$name.log")
  if [ "$status" -eq 0 ]; then
    echo "PASS $name: $passed passed, $skipped skipped, $took s"
  else
    echo "FAIL $name: exit status $status after $took s; $out/$name.log ends:"
    tail -n 25 "$out/$name.log" | sed 's/^/  /'
    failed=1
  fi
  # Why, once each.
  sed -n '/: Skipped$/{n;p;}' "$out/$name.log" | sort | uniq -c | sed 's/^ *\([0-9]*\) /  skipped \1 times: /'
}

host() {
  run host_contract 600 ./host_contract
  run host_groups 600 ./host_groups
  run host_processes 300 ./host_processes
}

# Over the loopback interface.
network() {
  run tcp_contract 600 ./tcp_contract
}

fake() {
  run fake_contract 600 ./fake_contract
  run fake_faults 300 ./fake_faults
  run fake_exits 300 ./fake_exits
}

real() {
  run real 600 ./real
  # From 2.30 on, two ranks on one GPU.
  NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_MAX_CTAS=4 run real_two_ranks 600 ./real
}

bench() {
  NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_MAX_CTAS=4 run bench 600 ./gpu_bench
  cat "$out/bench.log"
}

about | tee "$out/machine.txt"
folders=$(package_folders)
if [ -n "$folders" ]; then
  echo "libraries: $folders, besides those of the loader's path"
  LD_LIBRARY_PATH="$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export LD_LIBRARY_PATH
fi
[ $# -gt 0 ] || set -- host network fake real bench
for part; do
  case $part in
  host | network | fake | real | bench) $part ;;
  *)
    echo "there is no part $part; there are host, network, fake, real, bench" >&2
    exit 2
    ;;
  esac
done
if [ "$failed" -ne 0 ]; then
  echo "something failed"
  exit 1
fi
echo "all that could run has passed"
