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
  bool of_all_reduce = false;  // means nothing to other ops
};

std::string Joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Words Tuned(const std::string& algorithm) {
  return {"--mca", "coll_tuned_use_dynamic_rules",   "1",
          "--mca", "coll_tuned_allreduce_algorithm", algorithm};
}

Words SegmentedRing(const std::string& segment_bytes) {
  Words words = Tuned("segmented_ring");
  words.insert(words.end(), {"--mca", "coll_tuned_allreduce_algorithm_segmentsize", segment_bytes});
  return words;
}

// Of Open MPI 4.1 and 5. Which of them is best depends on size and machine.
std::vector<Knob> OpenMpiKnobs() {
  return {
      {"", {}, {}, false},
      {"no-cma", {"--mca", "btl_vader_single_copy_mechanism", "none"}, {}, false},
      {"recursive-doubling", Tuned("recursive_doubling"), {}, true},
      {"ring", Tuned("ring"), {}, true},
      {"segmented-ring-64K", SegmentedRing("65536"), {}, true},
      {"rabenseifner", Tuned("rabenseifner"), {}, true},
  };
}

// The same over TCP, where the number of connections counts, and memory within a machine does not.
std::vector<Knob> OpenMpiTcpKnobs() {
  Words links = {"--mca", "btl_tcp_links", "2"};
  return {
      {"", {}, {}, false},
      {"links-2", links, {}, false},
      {"recursive-doubling", Tuned("recursive_doubling"), {}, true},
      {"ring", Tuned("ring"), {}, true},
      {"segmented-ring-1M", SegmentedRing("1048576"), {}, true},
      {"rabenseifner", Tuned("rabenseifner"), {}, true},
  };
}

// Of MPICH 4.0, whose default within a machine is release_gather for small sizes.
std::vector<Knob> MpichKnobs() {
  const std::string algorithm = "MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM";
  const std::pair<std::string, std::string> no_release_gather = {
      "MPIR_CVAR_ALLREDUCE_POSIX_INTRA_ALGORITHM", "mpir"};
  return {
      {"", {}, {}, false},
      {"recursive-doubling", {}, {no_release_gather, {algorithm, "recursive_doubling"}}, true},
      {"reduce-scatter-allgather",
       {},
       {no_release_gather, {algorithm, "reduce_scatter_allgather"}},
       true},
      {"release-gather",
       {},
       {{"MPIR_CVAR_ALLREDUCE_POSIX_INTRA_ALGORITHM", "release_gather"}},
       true},
  };
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
        AddOurMpi("openmpi", OpenMpiWords(), is_peer);
        AddOurMpi("mpich", MpichWords(), is_peer);
        break;
      case BenchBackend::kNccl: AddNccl(is_peer); break;
      case BenchBackend::kOpenMpi:
        AddKnobs(backend, OverTcp(options_) ? OpenMpiTcpKnobs() : OpenMpiKnobs(), is_peer);
        break;
      case BenchBackend::kMpich: AddKnobs(backend, MpichKnobs(), is_peer); break;
      case BenchBackend::kGloo:
        AddGloo("ring", is_peer);
        if (options_.op == LOCKSTEP_BENCH_ALL_REDUCE) AddGloo("bcube", is_peer);
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

  /// Our wrapper, as that MPI's own mpirun starts it; the raw library beside it shows what it
  /// costs.
  void AddOurMpi(const std::string& library, Words words, bool is_peer) {
    Contender contender = Ours(BenchBackend::kMpi, is_peer);
    contender.name += "-" + library;
    if (is_peer) contender.peer = contender.name;
    contender.knobs = Joined(words) + ", not bound, since each rank has a thread that calls MPI";
    contender.bound = false;
    contender.launcher = "mpirun." + library;
    contender.program = "lockstep-bench-host";
    contender.environment = {{"LOCKSTEP_JOB_BACKEND", "mpi"}};
    contender.words = std::move(words);
    all_.push_back(std::move(contender));
  }

  void AddNccl(bool is_peer) {
    Contender contender = Ours(BenchBackend::kNccl, is_peer);
    contender.registered = true;  // its memory is the GPU's, whatever --buffers says
    contender.knobs = "buffers of cudaMalloc";
    contender.bound = false;
    contender.words.insert(contender.words.end(), {"--backend", "nccl"});
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

  void AddKnobs(BenchBackend backend, const std::vector<Knob>& knobs, bool is_peer) {
    for (const Knob& knob : knobs) {
      if (knob.of_all_reduce && options_.op != LOCKSTEP_BENCH_ALL_REDUCE) continue;
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
