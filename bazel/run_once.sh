#!/bin/sh
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
# run_once.sh BENCHMARK_BINARY: runs each of its benchmarks for one iteration. google-benchmark exits 0 for a benchmark
# that reported an error and for a binary without benchmarks, so both are looked for in what it prints.
set -eu
binary=$1

[ -n "$("$binary" --benchmark_list_tests)" ] || { echo "$binary holds no benchmark" >&2; exit 1; }
output=$("$binary" --benchmark_min_time=0 --benchmark_repetitions=1)
printf '%s\n' "$output"
case $output in
  *"ERROR OCCURRED"*) echo "a benchmark of $binary reported an error" >&2; exit 1 ;;
esac
