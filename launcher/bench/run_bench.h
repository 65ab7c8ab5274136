// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RUN_BENCH_H_
#define LOCKSTEP_LAUNCHER_BENCH_RUN_BENCH_H_

#include "launcher/bench/bench_options.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/result.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// `lockstep bench`: starts the gangs, measures them against each other, prints the tables, writes
/// the files that are wanted, and ends the gangs. Peers whose launcher is not installed are left
/// out with a note. Returns the exit status: 0, or 128 + the signal that interrupted. Blocks: for
/// as long as the measurement takes. Errors: those of GangStage and Contestant; NotFound - the
/// launcher of --backend, or none of the peers, is installed; Internal - wrong results (the table
/// says whose); Unavailable - a ratio was asked for and the machine was too busy for it;
/// kCannotWrite - a file cannot be written.
base::Result<int> RunBench(const VerbContext& context, const BenchOptions& options,
                           topology::Environment environment);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RUN_BENCH_H_
