# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
# More flags for every call of Bazel: make build BAZEL_FLAGS=--jobs=1

BAZEL_FLAGS ?=
export BAZEL_FLAGS

.PHONY: help setup setup-extras build demo test check soak bench gpu-bundle sanitize compdb docs clean
.DEFAULT_GOAL := help

help: ## Prints this.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## Installs, by apt, the packages of tools/packages.txt that are missing.
	@tools/setup

setup-extras: setup ## Installs, from PyPI into ~/.cache/lockstep, a torch 2 and an Open MPI 5 for tests to run on too; 1.5 GB.
	@tools/setup_extras

build: ## Builds everything, optimized; the program is bazel-bin/launcher/lockstep.
	bazel build --config=opt $(BAZEL_FLAGS) //...

demo: setup ## Trains a model on 4 ranks, kills one, and ends with the same weights as if nothing had happened.
	bazel build --config=opt $(BAZEL_FLAGS) //launcher:lockstep //examples/fashion_mnist:train
	@examples/fashion_mnist/demo

test: setup ## Runs every suite but clang's (docs/testing.md) and counts the test cases: what CI runs.
	@tools/setup_extras || echo 'make: going on without it'
	@tools/test_suites

check: ## Before a commit, under 5 minutes: format, build, tests, lint of changed files.
	@tools/check

soak: ## The long counts of the tests that have one; takes hours.
	bazel test --config=opt $(BAZEL_FLAGS) --test_tag_filters=soak --test_env=LOCKSTEP_SOAK=1 --test_timeout=14400 \
	  --build_tests_only --nocache_test_results --keep_going //...

bench: setup ## Every benchmark with its peers, a table each, and which bars hold; 20 minutes. One: tests/bench/run_all.sh launch
	@tests/bench/run_all.sh

gpu-bundle: setup ## Tests and benchmarks as a folder for a machine with a GPU, which needs neither Bazel nor a network.
	@tools/gpu_bundle

sanitize: ## The suites under address, undefined-behaviour and thread sanitizers alone.
	@tools/test_suites asan tsan

compdb: ## Writes compile_commands.json for editors and clang-tidy.
	@tools/compdb

docs: ## Renews what is made from the job spec and the flag tables.
	@tools/generate_docs

clean: ## Removes what was built here; the shared cache stays (tools/prune_cache empties that).
	bazel clean
	rm -f compile_commands.json external
