#!/usr/bin/env bash
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
# run_all.sh [--document] [PATTERN]: `make bench`. Builds and runs, one after the other, every benchmark of the repository
# (or those whose label holds PATTERN), and ends with the bars: which hold, which are missed. --document puts the tables into
# docs/performance.md, and pictures into docs/pictures. Exit status 1 when a bar is missed or a benchmark failed. Takes about 20 minutes;
# on a machine that does something else, look at ratios and least times alone.
set -uo pipefail
cd "$(dirname "$0")/../.."
document=
if [ "${1:-}" = --document ]; then
  document=docs/performance.md
  export LOCKSTEP_BENCH_PICTURES=$PWD/docs/pictures
  shift
fi

# What a benchmark is: a program named so, but for the sample that the tests of the build rules use.
labels=$(bazel query --noshow_progress 'filter("_benchmark$", kind("cc_binary|sh_binary", //...)) except //tests/tools:all' | grep -e "${1:-}")
[ -n "$labels" ] || { echo "no benchmark is called ${1:-}" >&2; exit 2; }
# shellcheck disable=SC2086  # a list of labels
bazel build --config=opt --noshow_progress ${BAZEL_FLAGS:-} $labels || exit 1

log=$(mktemp "${TMPDIR:-/tmp}/lockstep-bench.XXXXXX")
trap 'rm -f "$log"' EXIT
failed=()
for label in $labels; do
  printf '\n== %s\n' "$label" | tee -a "$log"
  bazel run --config=opt --noshow_progress --show_result=0 --ui_event_filters=-info ${BAZEL_FLAGS:-} "$label" 2>&1 | tee -a "$log" ||
    failed+=("$label")
done

printf '\n== the bars\n'
grep -e '^bar ' "$log"
if [ -n "$document" ]; then tests/bench/update_document.py "$log" "$document"; fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'missed or failed: %s\n' "${failed[@]}"
  exit 1
fi
if grep -q '^bar not judged' "$log"; then
  echo "no bar is missed; some could not be judged"
else
  echo "all bars hold"
fi
