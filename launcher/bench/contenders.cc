// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/contenders.h"

#include <algorithm>

namespace lockstep::launcher {
namespace {

using Words = std::vector<std::string>;

/// An algorithm of one op that can be chosen, or another knob.
struct Knob {
  std::string name;  // "" = as it comes
  Words words;
  std::vector<std::pair<std::string, std::string>> environment;
};
using Knobs = std::vector<Knob>;

std::string Joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Words Both(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// An algorithm of Open MPI's component "tuned", whose name for the op is `op`.
Words Tuned(const std::string& op, const std::string& algorithm) {
  return {"--mca", "coll_tuned_use_dynamic_rules",    "1",
          "--mca", "coll_tuned_" + op + "_algorithm", algorithm};
}

Words InSegments(const std::string& op, const std::string& algorithm, const std::string& bytes) {
  return Both(Tuned(op, algorithm),
              {"--mca", "coll_tuned_" + op + "_algorithm_segmentsize", bytes});
}

/// The algorithms of an op. Of Open MPI 4.1 and 5; which of them is best depends on size and
/// machine.
Knobs OpenMpiAlgorithms(lockstep_bench_op op, const std::string& segment_name,
                        const std::string& segment_bytes) {
  switch (op) {
    case LOCKSTEP_BENCH_ALL_REDUCE:
      return {{"recursive-doubling", Tuned("allreduce", "recursive_doubling"), {}},
              {"ring", Tuned("allreduce", "ring"), {}},
              {"segmented-ring-" + segment_name,
               InSegments("allreduce", "segmented_ring", segment_bytes),
               {}},
              {"rabenseifner", Tuned("allreduce", "rabenseifner"), {}}};
    case LOCKSTEP_BENCH_ALL_GATHER:
      return {{"bruck", Tuned("allgather", "bruck"), {}},
              {"recursive-doubling", Tuned("allgather", "recursive_doubling"), {}},
              {"neighbor", Tuned("allgather", "neighbor"), {}},
              {"ring", Tuned("allgather", "ring"), {}}};
    case LOCKSTEP_BENCH_REDUCE_SCATTER:
      return {{"recursive-doubling", Tuned("reduce_scatter_block", "recursive_doubling"), {}},
              {"butterfly", Tuned("reduce_scatter_block", "butterfly"), {}},
              {"recursive-halving", Tuned("reduce_scatter_block", "recursive_halving"), {}}};
    case LOCKSTEP_BENCH_BROADCAST:
      return {{"binomial", Tuned("bcast", "binomial"), {}},
              {"knomial", Tuned("bcast", "knomial"), {}},
              {"scatter-allgather", Tuned("bcast", "scatter_allgather"), {}},
              {"pipeline-" + segment_name, InSegments("bcast", "pipeline", segment_bytes), {}}};
    case LOCKSTEP_BENCH_ALL_TO_ALL:
      return {{"linear", Tuned("alltoall", "linear"), {}},
              {"modified-bruck", Tuned("alltoall", "modified_bruck"), {}},
              {"linear-sync", Tuned("alltoall", "linear_sync"), {}},
              {"pairwise", Tuned("alltoall", "pairwise"), {}}};
    default: return {};
  }
}

/// Those which move most, the last two, also without cross-memory attach: who shares processors may
/// be faster so.
Knobs OpenMpiKnobs(lockstep_bench_op op) {
  const Words no_cma = {"--mca", "btl_vader_single_copy_mechanism", "none"};
  Knobs knobs = {{"", {}, {}}, {"no-cma", no_cma, {}}};
  const Knobs algorithms = OpenMpiAlgorithms(op, "64K", "65536");
  knobs.insert(knobs.end(), algorithms.begin(), algorithms.end());
  for (size_t i = algorithms.size() < 2 ? algorithms.size() : algorithms.size() - 2;
       i < algorithms.size(); ++i)
    knobs.push_back({"no-cma " + algorithms[i].name, Both(no_cma, algorithms[i].words), {}});
  return knobs;
}

/// The same over TCP, where the number of connections counts, and memory within a machine does not.
Knobs OpenMpiTcpKnobs(lockstep_bench_op op) {
  Knobs knobs = {{"", {}, {}}, {"links-2", {"--mca", "btl_tcp_links", "2"}, {}}};
  const Knobs algorithms = OpenMpiAlgorithms(op, "1M", "1048576");
  knobs.insert(knobs.end(), algorithms.begin(), algorithms.end());
  return knobs;
}

/// Of MPICH 4.0, whose default within a machine is release_gather for small sizes, and which looks
/// a thousand times before who waits gives up its processor.
Knobs MpichKnobs(lockstep_bench_op op) {
  Knobs knobs = {{"", {}, {}}, {"yield", {}, {{"MPIR_CVAR_POLLS_BEFORE_YIELD", "1"}}}};
  if (op != LOCKSTEP_BENCH_ALL_REDUCE) return knobs;
  const std::string algorithm = "MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM";
  const std::string within = "MPIR_CVAR_ALLREDUCE_POSIX_INTRA_ALGORITHM";
  knobs.push_back(
      {"recursive-doubling", {}, {{within, "mpir"}, {algorithm, "recursive_doubling"}}});
  knobs.push_back({"reduce-scatter-allgather",
                   {},
                   {{within, "mpir"}, {algorithm, "reduce_scatter_allgather"}}});
  knobs.push_back({"release-gather", {}, {{within, "release_gather"}}});
  return knobs;
}

/// The ways of the floor (floor_ops.h) that an op has between two ranks.
std::vector<std::string> FloorWays(lockstep_bench_op op, bool registered) {
  switch (op) {
    case LOCKSTEP_BENCH_ALL_REDUCE:
      if (registered) return {"halves", "halves-past-caches", "whole"};
      return {"whole", "whole-past-caches", "slices", "slices-past-caches", "attached"};
    case LOCKSTEP_BENCH_REDUCE_SCATTER: return {"pull", "pull-past-caches"};
    case LOCKSTEP_BENCH_BROADCAST:
      return {"pull", "pull-past-caches", "halves", "halves-past-caches"};
    case LOCKSTEP_BENCH_ALL_GATHER: return {"pull", "pull-past-caches", "push"};
    case LOCKSTEP_BENCH_ALL_TO_ALL: return {"pull", "pull-past-caches"};
    default: return {"pull"};  // which says that it has no such op
  }
}

class Builder {
 public:
  Builder(const BenchOptions& options, int cores)
      : options_(options), oversubscribed_(options.ranks > cores) {}

  std::vector<Contender> Take() { return std::move(all_); }

  void Add(BenchBackend backend, bool is_peer) {
    switch (backend) {
      case BenchBackend::kHost:
      case BenchBackend::kTcp:
      case BenchBackend::kWide:
        AddOurs(backend, is_peer, !is_peer);
        // What encryption and more connections cost or bring.
        if (!is_peer && HasDataPath()) AddOurs(backend, true, false);
        break;
      case BenchBackend::kMpi:
      case BenchBackend::kNccl:
        AddWrapper(backend, is_peer, options_.check_calls && !is_peer);
        // What the comparison of calls costs.
        if (!is_peer && options_.check_calls) AddWrapper(backend, true, false);
        break;
      case BenchBackend::kOpenMpi:
        AddKnobs(backend,
                 OverTcp(options_) ? OpenMpiTcpKnobs(options_.op) : OpenMpiKnobs(options_.op),
                 is_peer);
        break;
      case BenchBackend::kMpich: AddKnobs(backend, MpichKnobs(options_.op), is_peer); break;
      case BenchBackend::kGloo:
        AddGloo("ring", is_peer);
        if (options_.op == LOCKSTEP_BENCH_ALL_REDUCE) AddGloo("bcube", is_peer);
        break;
      case BenchBackend::kFloor:
        if (options_.registered) AddFloor(true);
        // What crosses buffers of malloc is told of all_reduce alone.
        if (options_.plain && options_.op == LOCKSTEP_BENCH_ALL_REDUCE) AddFloor(false);
        break;
    }
  }

 private:
  std::string np() const { return std::to_string(options_.ranks); }

  Contender Ours(BenchBackend backend, bool is_peer) const {
    Contender contender;
    contender.backend = backend;
    contender.name = BenchBackendName(backend);
    if (is_peer) contender.peer = contender.name;
    contender.program = "lockstep-bench-" + contender.name;
    contender.words = {"run", "-np", np(), "--stdin", "none"};
    return contender;
  }

  void OnNetwork(Contender& contender) const {
    contender.namespaces = options_.namespaces;
    if (!options_.interface.empty())
      contender.environment.emplace_back("LOCKSTEP_BENCH_INTERFACE", options_.interface);
  }

  /// The number of each rank's machine: its namespace is one, or else each half of the ranks lives
  /// on one.
  std::string Machines() const {
    std::vector<std::string> names = options_.namespaces;
    for (int rank = 0; names.size() < static_cast<size_t>(options_.ranks); ++rank)
      names.push_back(rank < (options_.ranks + 1) / 2 ? "first" : "second");
    std::string numbers;
    for (const std::string& name : names) {
      const auto first = std::find(names.begin(), names.end(), name);
      numbers += (numbers.empty() ? "" : ",") + std::to_string(first - names.begin());
    }
    return numbers;
  }

  bool HasDataPath() const { return options_.encrypts_data || options_.tcp_flows > 1; }

  /// The ranks' settings, and what they are called.
  void SetDataPath(Contender& contender) const {
    std::string words;
    if (options_.encrypts_data) {
      words += ", encrypted";
      contender.environment.emplace_back("LOCKSTEP_BENCH_SEALED", "1");
    }
    if (options_.tcp_flows > 1) {
      const std::string flows = std::to_string(options_.tcp_flows);
      words += ", " + flows + " connections a pair";
      contender.environment.emplace_back("LOCKSTEP_BENCH_FLOWS", flows);
    }
    contender.knobs += words;
    if (options_.encrypts_data) contender.name += " encrypted";
    if (options_.tcp_flows > 1) contender.name += " flows-" + std::to_string(options_.tcp_flows);
  }

  /// With the data path that was asked for, or with the usual one.
  void AddOurs(BenchBackend backend, bool is_peer, bool as_asked) {
    for (const bool registered : {true, false}) {
      if (!(registered ? options_.registered : options_.plain)) continue;
      Contender contender = Ours(backend, is_peer);
      contender.registered = registered;
      contender.knobs = registered ? "buffers of AllocBuffer" : "buffers of malloc";
      if (!registered) contender.name += " plain";
      if (backend != BenchBackend::kHost) {
        contender.program = "lockstep-bench-tcp";
        contender.meets_in_folder = true;
        OnNetwork(contender);
        if (as_asked) SetDataPath(contender);
      }
      if (backend == BenchBackend::kWide)
        contender.environment.emplace_back("LOCKSTEP_BENCH_MACHINES", Machines());
      all_.push_back(std::move(contender));
    }
  }

  /// Of a library whose groups need not compare their calls.
  void AddWrapper(BenchBackend backend, bool is_peer, bool checks_calls) {
    if (backend == BenchBackend::kNccl) return AddNccl(is_peer, checks_calls);
    AddOurMpi("openmpi", OpenMpiWords(), is_peer, checks_calls);
    AddOurMpi("mpich", MpichWords(), is_peer, checks_calls);
  }

  /// Said in either case: the environment that gangs inherit may say another one.
  static const char* CallCheck(bool checks_calls) { return checks_calls ? "strict" : "fast"; }
  static void NameCallCheck(Contender& contender, bool checks_calls) {
    if (!checks_calls) return;
    contender.name += " checked";
    contender.knobs += ", calls compared before each op";
  }

  /// Our wrapper, as that MPI's own mpirun starts it; the raw library beside it shows what it
  /// costs.
  void AddOurMpi(const std::string& library, Words words, bool is_peer, bool checks_calls) {
    Contender contender = Ours(BenchBackend::kMpi, is_peer);
    contender.name += "-" + library;
    if (is_peer) contender.peer = contender.name;
    contender.knobs = Joined(words) + ", not bound, since each rank has a thread that calls MPI";
    contender.bound = false;
    contender.launcher = "mpirun." + library;
    contender.program = "lockstep-bench-host";
    contender.environment = {{"LOCKSTEP_JOB_BACKEND", "mpi"},
                             {"LOCKSTEP_JOB_CHECK", CallCheck(checks_calls)}};
    NameCallCheck(contender, checks_calls);
    contender.words = std::move(words);
    all_.push_back(std::move(contender));
  }

  void AddNccl(bool is_peer, bool checks_calls) {
    Contender contender = Ours(BenchBackend::kNccl, is_peer);
    contender.registered = true;  // its memory is the GPU's, whatever --buffers says
    contender.knobs = "buffers of cudaMalloc";
    contender.bound = false;
    contender.words.insert(contender.words.end(),
                           {"--backend", "nccl", "--check", CallCheck(checks_calls)});
    NameCallCheck(contender, checks_calls);
    all_.push_back(std::move(contender));
  }

  void AddGloo(const std::string& algorithm, bool is_peer) {
    Contender contender = Ours(BenchBackend::kGloo, is_peer);
    contender.knobs = algorithm + ", not bound, since each rank has a thread for its connections";
    contender.bound = false;
    contender.name += " " + algorithm;
    contender.arguments = {algorithm};
    contender.meets_in_folder = true;
    OnNetwork(contender);
    all_.push_back(std::move(contender));
  }

  /// Another peer for each kind of buffers, since the one is no floor of the other.
  void AddFloor(bool registered) {
    const std::string peer = registered ? "floor" : "floor-plain";
    for (const std::string& way : FloorWays(options_.op, registered)) {
      Contender contender = Ours(BenchBackend::kFloor, true);
      contender.name = peer + " " + way;
      contender.peer = peer;
      contender.knobs = way + (registered ? ", buffers that both map" : ", buffers of malloc");
      contender.registered = registered;
      contender.arguments = {way};
      all_.push_back(std::move(contender));
    }
  }

  void AddKnobs(BenchBackend backend, const std::vector<Knob>& knobs, bool is_peer) {
    for (const Knob& knob : knobs) {
      const std::string library = BenchBackendName(backend);
      Contender contender;
      contender.backend = backend;
      contender.name = library + (knob.name.empty() ? "" : " " + knob.name);
      if (is_peer) contender.peer = library;
      contender.launcher = "mpirun." + library;
      contender.program = "lockstep-bench-mpi-" + library;
      contender.environment = knob.environment;
      contender.namespaces = options_.namespaces;
      contender.words = backend == BenchBackend::kOpenMpi ? OpenMpiWords() : MpichWords();
      contender.words.insert(contender.words.end(), knob.words.begin(), knob.words.end());
      contender.knobs = Joined(contender.words);
      for (const auto& [name, value] : knob.environment)
        contender.knobs += " " + name + "=" + value;
      all_.push_back(std::move(contender));
    }
  }

  // The harness binds all gangs to the same cores, so no launcher is to have its own idea of that.
  Words OpenMpiWords() const {
    Words words = {"-np", np(), "--bind-to", "none", "--mca", "btl"};
    words.push_back(OverTcp(options_) ? "self,tcp" : "self,vader");
    if (OverTcp(options_)) {
      const std::string interface = options_.interface.empty() ? "lo" : options_.interface;
      words.insert(words.end(), {"--mca", "btl_tcp_if_include", interface});
    }
    if (!options_.namespaces.empty()) {
      std::string hosts;
      for (const std::string& name : options_.namespaces)
        hosts += (hosts.empty() ? "" : ",") + name + ":1";
      words.insert(words.end(),
                   {"--host", hosts, "--mca", "oob_tcp_if_include", options_.interface});
    }
    if (oversubscribed_)
      words.insert(words.end(), {"--oversubscribe", "--mca", "mpi_yield_when_idle", "1"});
    return words;
  }
  Words MpichWords() const { return {"-np", np(), "-bind-to", "none"}; }

  const BenchOptions& options_;
  const bool oversubscribed_;
  std::vector<Contender> all_;
};

}  // namespace

std::vector<Contender> ContendersOf(const BenchOptions& options, int cores) {
  Builder builder(options, cores);
  builder.Add(options.backend, false);
  for (const BenchBackend peer : options.peers) builder.Add(peer, true);
  return builder.Take();
}

}  // namespace lockstep::launcher
