// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/measure.h"

#include <algorithm>
#include <utility>

#include "launcher/bench/bench_op.h"

namespace lockstep::launcher {
namespace {

constexpr BenchMode kModes[kBenchModes] = {BenchMode::kOutOfPlace, BenchMode::kInPlace};

size_t Index(BenchMode mode) { return static_cast<size_t>(mode); }

/// What buffers of one kind must cost says nothing of the other.
bool AreComparable(const Contender& ours, const Contender& peer) {
  return peer.backend != BenchBackend::kFloor || peer.registered == ours.registered;
}

class Measurement {
 public:
  Measurement(const BenchOptions& options, const std::vector<Contestant*>& contestants,
              const MeasureDeps& deps)
      : options_(options),
        contestants_(contestants),
        deps_(deps),
        watch_(deps.clock, deps.pressure) {
    result_.judges_pressure = watch_.works();
    for (const Contestant* contestant : contestants) {
      result_.contenders.push_back(contestant->contender());
      result_.libraries.push_back(contestant->library());
    }
  }

  base::Result<BenchResult> Run() {
    for (Contestant* contestant : contestants_) RETURN_IF_ERROR(Prepare(*contestant));
    for (const uint64_t bytes : options_.sizes) {
      RETURN_IF_ERROR(RunSize(bytes));
      if (deps_.on_size) deps_.on_size(result_);
    }
    return std::move(result_);
  }

 private:
  lockstep_bench_command Command(lockstep_bench_command_kind kind, uint64_t part_count) const {
    return {.kind = static_cast<uint32_t>(kind),
            .op = static_cast<uint32_t>(options_.op),
            .dtype = static_cast<uint32_t>(options_.dtype),
            .reduction = static_cast<uint32_t>(options_.reduction),
            .root = options_.root,
            .warmups = static_cast<uint32_t>(options_.warmups),
            .iterations = static_cast<uint32_t>(options_.iterations),
            .count = part_count};
  }

  base::Status Prepare(Contestant& contestant) {
    lockstep_bench_command command = Command(LOCKSTEP_BENCH_PREPARE, 0);
    command.registered = contestant.contender().registered ? 1 : 0;
    command.buffer_bytes = options_.sizes.back();
    ASSIGN_OR_RETURN(const Answer answer,
                     contestant.Ask(command, "making buffers of " +
                                                 std::to_string(options_.sizes.back()) + " bytes"));
    if (!answer.supported)
      return base::UnimplementedError(contestant.contender().name + " has no memory of its own");
    return base::OkStatus();
  }

  base::Status RunSize(uint64_t bytes) {
    SizeResult& size = result_.sizes.emplace_back();
    size.part_count = PartCount(options_.op, options_.dtype, options_.ranks, bytes);
    size.bytes = SizeOf(options_.op, options_.dtype, options_.ranks, size.part_count);
    size.cells.resize(contestants_.size());
    for (size_t i = 0; i < contestants_.size(); ++i) RETURN_IF_ERROR(Check(i, size));
    (void)watch_.TakeShare();  // what it took to check is no part of a round
    for (int round = 0; round < options_.rounds; ++round) RETURN_IF_ERROR(RunRound(size));
    Evaluate(size);
    return base::OkStatus();
  }

  uint32_t Warmups(uint64_t bytes) const {
    const uint64_t divisor = std::max(bytes, uint64_t{1});
    const uint64_t needed =
        options_.warmup_bytes / divisor + (options_.warmup_bytes % divisor != 0);
    return static_cast<uint32_t>(
        std::max(static_cast<uint64_t>(options_.warmups), std::min(needed, kWarmupsByBytesMost)));
  }

  std::string Doing(const SizeResult& size) const {
    return std::string(BenchOpName(options_.op)) + " of " + std::to_string(size.bytes) + " bytes";
  }

  /// Who cannot, or is wrong, is found before anything is timed.
  base::Status Check(size_t contestant, SizeResult& size) {
    for (const BenchMode mode : kModes) {
      Cell& cell = size.cells[contestant][Index(mode)];
      cell.supported = mode == BenchMode::kOutOfPlace || HasInPlace(options_.op);
      if (!cell.supported) continue;
      lockstep_bench_command command = Command(LOCKSTEP_BENCH_CHECK, size.part_count);
      command.in_place = mode == BenchMode::kInPlace ? 1 : 0;
      ASSIGN_OR_RETURN(const Answer answer,
                       contestants_[contestant]->Ask(command, "checking " + Doing(size)));
      cell.supported = answer.supported;
      if (!answer.supported)
        cell.refusal = answer.refusal.empty() ? "it has no such op" : answer.refusal;
      if (answer.supported && options_.check) cell.wrong = answer.wrong;
    }
    return base::OkStatus();
  }

  /// All take turns, and the watch's stretch of time is theirs.
  base::Status RunRound(SizeResult& size) {
    for (size_t i = 0; i < contestants_.size(); ++i) {
      for (const BenchMode mode : kModes) {
        Cell& cell = size.cells[i][Index(mode)];
        if (!cell.supported) continue;
        lockstep_bench_command command = Command(LOCKSTEP_BENCH_TIME, size.part_count);
        command.in_place = mode == BenchMode::kInPlace ? 1 : 0;
        command.warmups = Warmups(size.bytes);
        ASSIGN_OR_RETURN(Answer answer, contestants_[i]->Ask(command, Doing(size)));
        for (double& sample : answer.slowest_us) sample /= MessagesPerSample(options_.op);
        cell.round_us.push_back(Median(answer.slowest_us));
        samples_.push_back({&cell, std::move(answer.slowest_us)});
      }
    }
    Round round{.pressure = watch_.TakeShare()};
    round.valid = !result_.judges_pressure || (round.pressure && *round.pressure <= kPressureMax);
    size.rounds.push_back(round);
    const bool counts = round.valid || options_.allow_pressure;
    if (!round.valid && counts) result_.marked = true;
    for (auto& [cell, samples] : samples_) {
      if (counts) cell->all_us.insert(cell->all_us.end(), samples.begin(), samples.end());
    }
    samples_.clear();
    return base::OkStatus();
  }

  bool Counts(const Round& round) const { return round.valid || options_.allow_pressure; }

  void Evaluate(SizeResult& size) {
    size.counted_rounds = static_cast<int>(std::count_if(
        size.rounds.begin(), size.rounds.end(), [this](const Round& r) { return Counts(r); }));
    for (auto& cells : size.cells) {
      for (Cell& cell : cells) {
        std::vector<double> counted;
        for (size_t i = 0; i < cell.round_us.size(); ++i) {
          if (Counts(size.rounds[i])) counted.push_back(cell.round_us[i]);
        }
        // Of disturbed rounds a time is shown all the same; a ratio is not.
        if (!cell.round_us.empty())
          cell.time_us = Median(counted.empty() ? cell.round_us : counted);
      }
    }
    if (size.counted_rounds < kValidRoundsMin) return;
    for (const BenchMode mode : kModes) Compare(mode, size);
  }

  /// Each of ours with the best knobs of each peer.
  void Compare(BenchMode mode, SizeResult& size) {
    std::vector<size_t> best;  // one for each peer, in their order
    for (size_t i = 0; i < contestants_.size(); ++i) {
      const std::string& peer = result_.contenders[i].peer;
      if (peer.empty() || !size.cells[i][Index(mode)].time_us) continue;
      const auto same = std::find_if(best.begin(), best.end(), [&](size_t other) {
        return result_.contenders[other].peer == peer;
      });
      if (same == best.end()) {
        best.push_back(i);
      } else if (*size.cells[i][Index(mode)].time_us < *size.cells[*same][Index(mode)].time_us) {
        *same = i;
      }
    }
    for (size_t ours = 0; ours < contestants_.size(); ++ours) {
      if (!result_.contenders[ours].peer.empty()) continue;
      if (!size.cells[ours][Index(mode)].time_us) continue;
      for (const size_t peer : best) {
        if (AreComparable(result_.contenders[ours], result_.contenders[peer]))
          size.ratios.push_back(Divide(ours, peer, mode, size));
      }
    }
  }

  Ratio Divide(size_t ours, size_t peer, BenchMode mode, const SizeResult& size) const {
    const Cell& our_cell = size.cells[ours][Index(mode)];
    const Cell& their_cell = size.cells[peer][Index(mode)];
    std::vector<double> ratios;
    for (size_t round = 0; round < size.rounds.size(); ++round) {
      if (Counts(size.rounds[round]))
        ratios.push_back(their_cell.round_us[round] / our_cell.round_us[round]);
    }
    return {.ours = ours, .peer = peer, .mode = mode, .times = IntervalOfMedian(ratios)};
  }

  const BenchOptions& options_;
  const std::vector<Contestant*>& contestants_;
  const MeasureDeps& deps_;
  PressureWatch watch_;
  BenchResult result_;
  std::vector<std::pair<Cell*, std::vector<double>>> samples_;  // of the round in progress
};

}  // namespace

uint64_t BenchResult::wrong() const {
  uint64_t wrong = 0;
  for (const SizeResult& size : sizes) {
    for (const auto& cells : size.cells) {
      for (const Cell& cell : cells) wrong += cell.wrong.value_or(0);
    }
  }
  return wrong;
}

int BenchResult::checked() const {
  int checked = 0;
  for (const SizeResult& size : sizes) {
    for (const auto& cells : size.cells) {
      for (const Cell& cell : cells) checked += cell.wrong.has_value() ? 1 : 0;
    }
  }
  return checked;
}

int BenchResult::sizes_without_ratio() const {
  const bool has_peers = std::any_of(contenders.begin(), contenders.end(),
                                     [](const Contender& one) { return !one.peer.empty(); });
  if (!has_peers) return 0;
  return static_cast<int>(std::count_if(sizes.begin(), sizes.end(), [](const SizeResult& size) {
    return size.counted_rounds < kValidRoundsMin;
  }));
}

std::vector<RatioSummary> Summarize(const BenchResult& result) {
  std::vector<RatioSummary> summaries;
  std::vector<std::vector<double>> ratios;
  for (const SizeResult& size : result.sizes) {
    for (const Ratio& ratio : size.ratios) {
      const std::string& peer = result.contenders[ratio.peer].peer;
      const auto found =
          std::find_if(summaries.begin(), summaries.end(), [&](const RatioSummary& one) {
            return one.ours == ratio.ours && one.peer == peer && one.mode == ratio.mode;
          });
      const auto at = static_cast<size_t>(found - summaries.begin());
      if (found == summaries.end()) {
        summaries.push_back({.ours = ratio.ours, .peer = peer, .mode = ratio.mode});
        ratios.emplace_back();
      }
      ratios[at].push_back(ratio.times.median);
    }
  }
  for (size_t i = 0; i < summaries.size(); ++i) {
    summaries[i].mean = GeometricMean(ratios[i]);
    summaries[i].least = *std::min_element(ratios[i].begin(), ratios[i].end());
    summaries[i].sizes = static_cast<int>(ratios[i].size());
  }
  return summaries;
}

std::vector<Refusal> RefusalsOf(const BenchResult& result) {
  std::vector<Refusal> refusals;
  for (size_t contender = 0; contender < result.contenders.size(); ++contender) {
    for (const BenchMode mode : kModes) {
      for (const SizeResult& size : result.sizes) {
        const std::string& why = size.cells[contender][Index(mode)].refusal;
        if (why.empty()) continue;
        const bool same = !refusals.empty() && refusals.back().contender == contender &&
                          refusals.back().mode == mode && refusals.back().why == why;
        if (!same) refusals.push_back({.contender = contender, .mode = mode, .why = why});
        ++refusals.back().sizes;
      }
    }
  }
  return refusals;
}

base::Result<BenchResult> Measure(const BenchOptions& options,
                                  const std::vector<Contestant*>& contestants,
                                  const MeasureDeps& deps) {
  return Measurement(options, contestants, deps).Run();
}

}  // namespace lockstep::launcher
