// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/bench_flags.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "launcher/bench/bench_op.h"
#include "runtime/proto/duration_text.h"
#include "runtime/proto/problem.h"

namespace lockstep::launcher {
namespace {

constexpr uint64_t kSizeMax = uint64_t{64} << 30;
constexpr size_t kSizesMax = 1000;

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

/// Collects what is wrong while it reads the flags.
class Reader {
 public:
  explicit Reader(const Command& command) : command_(command) {}

  base::Result<BenchOptions> Read() {
    options_.ranks = Number("--np", 2, LOCKSTEP_BENCH_RANKS_MAX, options_.ranks);
    options_.warmups = Number("--warmups", 0, LOCKSTEP_BENCH_ITERATIONS_MAX, options_.warmups);
    options_.warmup_bytes = Size("--warmup-bytes", 0);
    options_.iterations =
        Number("--iterations", 1, LOCKSTEP_BENCH_ITERATIONS_MAX, options_.iterations);
    options_.rounds = Number("--rounds", kValidRoundsMin, 1000, options_.rounds);
    options_.check = Number("--check", 0, 1, 1) == 1;
    options_.statistics = command_.IsOn("--statistics");
    options_.allow_pressure = command_.IsOn("--allow-pressure");
    options_.capabilities = command_.IsOn("--capabilities");
    options_.json_path = command_.Value("--json").value_or("");
    options_.plot_path = command_.Value("--plot").value_or("");
    ReadBackends();
    ReadBuffers();
    ReadNetwork();
    ReadCallCheck();
    ReadOp();
    CheckFloor();
    options_.root = Number("--root", 0, options_.ranks - 1, 0);
    ReadSizes();
    ReadTimeout();
    RETURN_IF_ERROR(proto::ProblemsToStatus(problems_));
    return std::move(options_);
  }

 private:
  void Refuse(std::string_view flag, const std::string& text, const std::string& what) {
    problems_.push_back({.what = std::string(flag) + " " + proto::ShortValue(text) + ": " + what});
  }

  int Number(std::string_view flag, int least, int greatest, int fallback) {
    const std::optional<std::string> text = command_.Value(flag);
    if (!text) return fallback;
    int number = -1;
    const char* const last = text->data() + text->size();
    const auto [end, error] = std::from_chars(text->data(), last, number);
    if (error == std::errc() && end == last && number >= least && number <= greatest) return number;
    Refuse(flag, *text, "must be " + std::to_string(least) + " to " + std::to_string(greatest));
    return fallback;
  }

  std::optional<BenchBackend> Backend(std::string_view flag, const std::string& name) {
    for (const BenchBackend backend :
         {BenchBackend::kHost, BenchBackend::kTcp, BenchBackend::kWide, BenchBackend::kMpi,
          BenchBackend::kNccl, BenchBackend::kOpenMpi, BenchBackend::kMpich, BenchBackend::kGloo,
          BenchBackend::kFloor}) {
      if (BenchBackendName(backend) == name) return backend;
    }
    Refuse(flag, name, "must be host, tcp, wide, mpi, nccl, openmpi, mpich, gloo or floor");
    return std::nullopt;
  }

  void ReadBackends() {
    if (const auto name = command_.Value("--backend")) {
      options_.backend = Backend("--backend", *name).value_or(options_.backend);
    }
    for (const std::string& name : SplitAtCommas(command_.Value("--compare").value_or(""))) {
      const std::optional<BenchBackend> peer = Backend("--compare", name);
      if (!peer) continue;
      const auto& peers = options_.peers;
      if (*peer == options_.backend ||
          std::find(peers.begin(), peers.end(), *peer) != peers.end()) {
        Refuse("--compare", name, "takes part already");
      } else {
        options_.peers.push_back(*peer);
      }
    }
  }

  void ReadBuffers() {
    const std::string buffers = command_.Value("--buffers").value_or("registered");
    if (buffers != "registered" && buffers != "plain" && buffers != "both")
      Refuse("--buffers", buffers, "must be registered, plain or both");
    options_.registered = buffers != "plain";
    options_.plain = buffers != "registered";
  }

  void ReadNetwork() {
    options_.interface = command_.Value("--interface").value_or("");
    const std::string names = command_.Value("--netns").value_or("");
    options_.namespaces = SplitAtCommas(names);
    const bool over_tcp = OverTcp(options_);
    if (!over_tcp && !options_.interface.empty())
      Refuse("--interface", options_.interface, "is of --backend tcp and wide alone");
    if (!over_tcp && !names.empty()) Refuse("--netns", names, "is of --backend tcp and wide alone");
    options_.encrypts_data = command_.IsOn("--encrypt-data");
    options_.tcp_flows = Number("--tcp-flows", 1, 16, 1);
    if (!over_tcp && options_.encrypts_data)
      problems_.push_back({.what = "--encrypt-data: is of --backend tcp and wide alone"});
    if (!over_tcp && options_.tcp_flows > 1)
      Refuse("--tcp-flows", std::to_string(options_.tcp_flows),
             "is of --backend tcp and wide alone");
    for (const BenchBackend peer : options_.peers) {
      if (over_tcp && (peer == BenchBackend::kMpich || peer == BenchBackend::kMpi))
        Refuse("--compare", BenchBackendName(peer),
               "is measured within a machine's memory, not over TCP");
    }
    if (names.empty()) return;
    if (options_.namespaces.size() != static_cast<size_t>(options_.ranks))
      Refuse("--netns", names, "must name one for each of " + std::to_string(options_.ranks));
    if (options_.interface.empty())
      Refuse("--netns", names, "needs --interface, by which they reach each other");
  }

  void ReadCallCheck() {
    options_.check_calls = command_.IsOn("--check-calls");
    const bool may_choose =
        options_.backend == BenchBackend::kMpi || options_.backend == BenchBackend::kNccl;
    if (options_.check_calls && !may_choose)
      problems_.push_back({.what = "--check-calls: is of --backend mpi and nccl alone: host, tcp "
                                   "and wide always compare calls, and openmpi, mpich and gloo "
                                   "are measured as they are"});
  }

  void CheckFloor() {
    const auto& peers = options_.peers;
    if (options_.backend == BenchBackend::kFloor)
      Refuse("--backend", "floor", "is nobody's library: a peer alone, of --compare");
    if (std::count(peers.begin(), peers.end(), BenchBackend::kFloor) == 0) return;
    if (options_.backend != BenchBackend::kHost)
      Refuse("--compare", "floor", "is that of --backend host alone");
    if (options_.ranks != 2)
      Refuse("--np", std::to_string(options_.ranks), "the floor is of two ranks");
    if (!options_.registered && options_.op != LOCKSTEP_BENCH_ALL_REDUCE)
      Refuse("--buffers", "plain", "of these the floor has all_reduce alone");
  }

  void ReadOp() {
    const std::string op = command_.Value("--op").value_or("all_reduce");
    if (const auto found = FindBenchOp(op)) {
      options_.op = *found;
    } else {
      Refuse("--op", op, "must be one of " + BenchOpNames());
    }
    const std::string dtype = command_.Value("--dtype").value_or("f32");
    if (const auto found = FindDtype(dtype)) {
      options_.dtype = *found;
    } else {
      Refuse("--dtype", dtype, "must be a type such as f32, bf16, i64, u8");
    }
    const std::string reduction = command_.Value("--redop").value_or("sum");
    const auto found = FindReduction(reduction);
    if (!found)
      Refuse("--redop", reduction, "must be a reduction such as sum, prod, min, max, avg");
    if (!Reduces(options_.op)) {
      if (command_.Value("--redop")) Refuse("--redop", reduction, op + " reduces nothing");
      options_.reduction = collectives::Reduction::kNone;
    } else if (found) {
      options_.reduction = *found;
    }
  }

  uint64_t Size(std::string_view flag, uint64_t fallback) {
    const std::optional<std::string> text = command_.Value(flag);
    if (!text) return fallback;
    const std::optional<uint64_t> size = ParseSize(*text);
    if (!size) Refuse(flag, *text, "must be a number of bytes up to 64G: 4096, 4K, 16M");
    return size.value_or(fallback);
  }

  void ReadSizes() {
    const uint64_t begin = Size("--begin", 8);
    const uint64_t end = Size("--end", std::max(begin, uint64_t{16} << 20));
    const int factor = Number("--factor", 2, 1 << 20, 4);
    const uint64_t step = Size("--increment", 0);
    if (command_.Value("--factor") && command_.Value("--increment"))
      problems_.push_back({.what = "--factor and --increment: only one can say the next size"});
    if (command_.Value("--increment") && step == 0)
      Refuse("--increment", "0", "must be more than 0");
    if (begin == 0) Refuse("--begin", "0", "must be at least 1");
    if (end < begin)
      Refuse("--end", std::to_string(end), "is less than --begin, " + std::to_string(begin));
    if (!problems_.empty()) return;
    if (options_.op == LOCKSTEP_BENCH_BARRIER) {
      options_.sizes = {0};
      return;
    }
    for (uint64_t size = begin; size <= end;
         size = step > 0 ? size + step : size * static_cast<uint64_t>(factor)) {
      options_.sizes.push_back(size);
      if (options_.sizes.size() > kSizesMax) {
        Refuse("--increment", std::to_string(step),
               "makes more than " + std::to_string(kSizesMax) + " sizes");
        return;
      }
    }
  }

  void ReadTimeout() {
    const std::optional<std::string> text = command_.Value("--timeout");
    if (!text) return;
    const bool bare = !text->empty() && text->find_first_not_of("0123456789") == std::string::npos;
    const auto timeout = proto::ParseDuration(bare ? *text + "s" : *text);
    if (timeout.ok() && *timeout >= std::chrono::seconds(1) && *timeout <= std::chrono::hours(24)) {
      options_.timeout = *timeout;
    } else {
      Refuse("--timeout", *text, "must be 1s to 24h");
    }
  }

  const Command& command_;
  BenchOptions options_;
  std::vector<proto::Problem> problems_;
};

}  // namespace

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(last - end));
  unsigned shift = 0;
  if (unit == "K" || unit == "k") {
    shift = 10;
  } else if (unit == "M" || unit == "m") {
    shift = 20;
  } else if (unit == "G" || unit == "g") {
    shift = 30;
  } else if (!unit.empty()) {
    return std::nullopt;
  }
  if (number > kSizeMax >> shift) return std::nullopt;
  return number << shift;
}

base::Result<BenchOptions> BenchOptionsOf(const Command& command) { return Reader(command).Read(); }

}  // namespace lockstep::launcher
