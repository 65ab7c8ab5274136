// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_CONTENDERS_H_
#define LOCKSTEP_LAUNCHER_BENCH_CONTENDERS_H_

#include <string>
#include <utility>
#include <vector>

#include "launcher/bench/bench_options.h"

/// Who takes part in a run of `lockstep bench`, and how each is started. Pure functions.
namespace lockstep::launcher {

/// One gang: a library with one set of its knobs.
struct Contender {
  BenchBackend backend = BenchBackend::kHost;
  std::string name;   // "host", "host plain", "openmpi ring": unique in a run
  std::string peer;   // "openmpi": of its knob sets the best counts, for each size; "" = ours
  std::string knobs;  // as one would type them; "" = as it comes
  bool registered = false;
  bool bound = true;               // each rank to a core, where there are enough
  std::string launcher;            // program on PATH that starts it; "" = lockstep itself
  std::string program;             // of its ranks: "lockstep-bench-host"
  std::vector<std::string> words;  // flags between launcher and program
  std::vector<std::pair<std::string, std::string>> environment;  // beside what we have
  std::vector<std::string> arguments;                            // after SOCKET and GANG
  bool meets_in_folder = false;                                  // whose path is one more argument
  std::vector<std::string> namespaces;  // network namespaces, by rank; empty = ours
};

/// Ours first, then the peers in their order, each with every knob set that is worth trying for the
/// op: for ranks that outnumber the `cores`, yielding as the libraries' manuals have it.
std::vector<Contender> ContendersOf(const BenchOptions& options, int cores);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_CONTENDERS_H_
