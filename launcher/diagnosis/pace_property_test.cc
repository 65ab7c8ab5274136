// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Random jobs of which one rank computes longer, or none does, in noise of several kinds: whom
// JudgePace names, by what has come in a message from machines that have run for a month. The truth
// is known; precision and recall are printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numbers>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/pace.h"
#include "launcher/diagnosis/pace_messages.h"
#include "runtime/base/random.h"

namespace lockstep::launcher {
namespace {

using base::GroupId;
using base::Rank;
using collectives::OpKind;
using collectives::Pace;
using collectives::PaceBeat;
using collectives::PaceGroup;
using collectives::PaceOptions;
using collectives::PaceWindow;
using collectives::Straggler;

enum class Noise : uint8_t {
  kNone,
  kNormal,    // a few per cent of each computation, by rank
  kHeavy,     // lognormal, some 20 %
  kPauses,    // a rank computes five times as long now and then
  kSlices,    // computations end at a tick of the scheduler
  kTogether,  // all ranks compute longer at the same time: batches differ in length
  kLateEnds,  // members notice the end of an op at different times
};
constexpr int kNoises = 7;
constexpr base::Duration kUptime = std::chrono::hours(24 * 30);
constexpr size_t kBeatsMax = 128;  // of a group, as PaceLooks has it
constexpr int kMicrobatches = 4;

struct Shape {
  int tensor = 1, data = 4;
  bool is_pipeline = false;  // then tensor is the number of stages
  int steps = 40;
  int ops_per_step = 3;  // of the tensor groups, or, where there are none, of the world
  double compute = 0.1;  // seconds of a step
  double op = 0.002;     // that an op takes once all are there
  bool reports_steps = true;
  Noise noise = Noise::kNone;
  Rank slow{-1};
  double factor = 1;
};

/// All ranks train, in simulated time; what their records tell is put into windows, as their agents
/// would.
class SimulatedTraining {
 public:
  SimulatedTraining(const Shape& shape, uint64_t seed)
      : shape_(shape), random_(seed), now_(Size()), in_ops_(Size()), windows_(Size()) {
    for (size_t rank = 0; rank < Size(); ++rank) windows_[rank].rank = Rank(static_cast<int>(rank));
    Run();
  }

  std::vector<PaceWindow> Windows() const {
    std::vector<PaceWindow> windows = windows_;
    for (PaceWindow& window : windows) {
      for (PaceGroup& group : window.groups) {
        while (group.beats.size() > kBeatsMax) Coarsen(group);
        for (PaceBeat& beat : group.beats) {
          beat.ended += kUptime;
          beat.in_ops += kUptime / 2;
        }
      }
    }
    return WindowsOf(ToProto(windows));
  }

 private:
  size_t Size() const { return static_cast<size_t>(shape_.tensor * shape_.data); }

  static void Coarsen(PaceGroup& group) {
    ++group.shift;
    std::vector<PaceBeat> coarse;
    for (PaceBeat& beat : group.beats) {
      beat.block >>= 1;
      if (coarse.empty() || coarse.back().block != beat.block) {
        coarse.push_back(beat);
        continue;
      }
      beat.ops += coarse.back().ops;
      beat.waited += coarse.back().waited;
      coarse.back() = beat;
    }
    group.beats = std::move(coarse);
  }

  double Normal() {
    const double u = std::max(random_.Unit(), 1e-12), v = random_.Unit();
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  }

  double Noisy(double seconds) {
    switch (shape_.noise) {
      case Noise::kNormal: return seconds * std::max(0.2, 1 + 0.05 * Normal());
      case Noise::kHeavy: return seconds * std::exp(0.2 * Normal());
      case Noise::kPauses: return seconds * (random_.Unit() < 0.02 ? 5 : 1 + 0.02 * Normal());
      case Noise::kSlices: return std::ceil(seconds / 0.004 + random_.Unit()) * 0.004;
      default: return seconds * (1 + 0.01 * Normal());
    }
  }

  void Meet(uint64_t group, const std::vector<size_t>& members, int64_t step) {
    double all = 0;
    for (const size_t member : members) all = std::max(all, now_[member]);
    const uint64_t seq = ++seqs_[group];
    for (const size_t member : members) {
      double end = all + shape_.op;
      if (shape_.noise == Noise::kLateEnds) end += 0.004 * random_.Unit();
      in_ops_[member] += end - now_[member];
      AddBeat(group, member, members.size(), seq, step, end);
      now_[member] = end;
    }
  }

  void AddBeat(uint64_t group, size_t member, size_t size, uint64_t seq, int64_t step, double end) {
    auto& groups = windows_[member].groups;
    auto found = std::find_if(groups.begin(), groups.end(), [&](const PaceGroup& candidate) {
      return candidate.id == GroupId(group);
    });
    if (found == groups.end()) {
      groups.push_back({.id = GroupId(group),
                        .name = "group",
                        .size = static_cast<int>(size),
                        .kind = OpKind::kAllReduce,
                        .beats = {}});
      found = groups.end() - 1;
    }
    const auto seconds = [](double value) {
      return base::Duration(static_cast<int64_t>(value * 1e9));
    };
    found->beats.push_back({.block = seq,
                            .ops = 1,
                            .step = shape_.reports_steps ? step : -1,
                            .waited = seconds(end - now_[member]),
                            .ended = seconds(end + 1000.0 * static_cast<double>(member)),
                            .in_ops = seconds(in_ops_[member])});
  }

  void Compute(double share, double together) {
    for (size_t rank = 0; rank < Size(); ++rank) {
      const bool is_slow = Rank(static_cast<int>(rank)) == shape_.slow;
      now_[rank] += Noisy(shape_.compute * share) * together * (is_slow ? shape_.factor : 1);
    }
  }

  void Run() {
    std::vector<double> shares;
    for (int op = 0; op < shape_.ops_per_step; ++op) shares.push_back(0.1 + random_.Unit());
    double sum = 0;
    for (const double share : shares) sum += share;
    for (int step = 0; step < shape_.steps; ++step) {
      const double together = shape_.noise == Noise::kTogether ? std::exp(0.4 * Normal()) : 1;
      if (shape_.is_pipeline) {
        FlowThroughRows(together);
      } else {
        for (const double share : shares) {
          Compute(share / sum, together);
          MeetInRows(step);
        }
      }
      if (shape_.tensor > 1) MeetInColumns(step);
    }
    for (size_t rank = 0; rank < Size(); ++rank) {
      windows_[rank].length = base::Duration(static_cast<int64_t>(now_[rank] * 1e9));
      windows_[rank].in_ops = base::Duration(static_cast<int64_t>(in_ops_[rank] * 1e9));
    }
  }

  /// Forwards through the stages and back, in sends and receives: who waits for one is in an op.
  void FlowThroughRows(double together) {
    const auto stages = static_cast<size_t>(shape_.tensor);
    for (size_t first = 0; first < Size(); first += stages) {
      for (int batch = 0; batch < 2 * kMicrobatches; ++batch) {
        const bool is_forwards = batch < kMicrobatches;
        double sent = 0;
        for (size_t i = 0; i < stages; ++i) {
          const size_t rank = first + (is_forwards ? i : stages - 1 - i);
          if (i > 0) {
            const double received = std::max(sent, now_[rank]) + shape_.op;
            in_ops_[rank] += received - now_[rank];
            now_[rank] = received;
          }
          const bool is_slow = Rank(static_cast<int>(rank)) == shape_.slow;
          now_[rank] += Noisy(shape_.compute / (2 * kMicrobatches)) * together *
                        (is_slow ? shape_.factor : 1);
          sent = now_[rank];
        }
      }
    }
  }

  /// In the tensor groups; where there are none, in the world.
  void MeetInRows(int64_t step) {
    const auto tensor = static_cast<size_t>(shape_.tensor);
    const size_t width = tensor > 1 ? tensor : Size();
    for (size_t first = 0; first < Size(); first += width) {
      std::vector<size_t> members;
      for (size_t member = first; member < first + width; ++member) members.push_back(member);
      Meet(1 + first, members, step);
    }
  }
  void MeetInColumns(int64_t step) {
    const auto tensor = static_cast<size_t>(shape_.tensor);
    for (size_t column = 0; column < tensor; ++column) {
      std::vector<size_t> members;
      for (size_t member = column; member < Size(); member += tensor) members.push_back(member);
      Meet(100'000 + column, members, step);
    }
  }

  const Shape shape_;
  base::Random random_;
  std::vector<double> now_, in_ops_;
  std::map<uint64_t, uint64_t> seqs_;
  std::vector<PaceWindow> windows_;
};

Shape RandomShape(base::Random& random, double factor, bool is_pipeline) {
  Shape shape;
  shape.is_pipeline = is_pipeline;
  do {
    shape.tensor = 1 + static_cast<int>(random.Below(4));
    shape.data = 1 + static_cast<int>(random.Below(8));
  } while (shape.tensor * shape.data < 2 || (is_pipeline && (shape.tensor < 2 || shape.data < 3)));
  shape.steps = 8 + static_cast<int>(random.Below(60));
  shape.ops_per_step = 1 + static_cast<int>(random.Below(5));
  shape.compute = 0.02 + 0.3 * random.Unit();
  shape.op = shape.compute * 0.15 * random.Unit() / shape.ops_per_step;
  shape.reports_steps = random.Below(2) == 0;
  shape.noise = static_cast<Noise>(random.Below(kNoises));
  shape.factor = factor;
  if (factor > 1)
    shape.slow =
        Rank(static_cast<int>(random.Below(static_cast<uint64_t>(shape.tensor * shape.data))));
  return shape;
}

struct Score {
  int jobs = 0, found = 0, named = 0, wrong = 0;
  double recall() const { return static_cast<double>(found) / std::max(jobs, 1); }
};

/// One rank of each job computes `factor` times as long, or, of 1, none does.
Score Play(double factor, int jobs, uint64_t seed, const PaceOptions& options = {},
           bool is_pipeline = false) {
  Score score{.jobs = jobs};
  base::Random random(seed);
  for (int job = 0; job < jobs; ++job) {
    const Shape shape = RandomShape(random, factor, is_pipeline);
    const Pace pace = JudgePace(SimulatedTraining(shape, random.Next()).Windows(), options);
    for (const Straggler& slow : pace.stragglers) {
      ++score.named;
      ++(slow.rank == shape.slow ? score.found : score.wrong);
    }
  }
  std::printf(
      "by %.0f %%, %.1f times as long%s: %d jobs, found in %d (%.3f), others named %d times\n",
      options.least_share * 100, factor, is_pipeline ? ", in stages" : "", jobs, score.found,
      score.recall(), score.wrong);
  return score;
}

double Precision(const std::vector<Score>& scores) {
  int named = 0, wrong = 0;
  for (const Score& score : scores) {
    named += score.named;
    wrong += score.wrong;
  }
  const double precision = 1 - static_cast<double>(wrong) / std::max(named, 1);
  std::printf("precision %.4f of %d\n", precision, named);
  return precision;
}

TEST(PacePropertyTest, SlowRanksAreNamedAndNobodyElseIs) {
  const Score even = Play(1.0, 2000, 1);
  const Score tenth = Play(1.1, 1000, 2);
  const Score third = Play(1.3, 1000, 3);
  const Score twice = Play(2.0, 1000, 4);
  EXPECT_GE(Precision({even, tenth, third, twice}), 0.99);
  EXPECT_LE(even.wrong, 4) << "of 2000 jobs";
  EXPECT_GE(third.recall(), 0.95);
  EXPECT_GE(twice.recall(), 0.98);
  // Ops take time as well: who computes 10 % longer makes a step less than 10 % longer.
  EXPECT_GE(tenth.recall(), 0.005);
}

/// Those of other stages are late as well where one is, since they wait for it.
TEST(PacePropertyTest, OfStagesTheSlowRankIsNamedAndThoseThatWaitForItAreNot) {
  const Score even = Play(1.0, 500, 21, {}, true);
  const Score third = Play(1.3, 500, 22, {}, true);
  const Score twice = Play(2.0, 500, 23, {}, true);
  EXPECT_GE(Precision({even, third, twice}), 0.99);
  EXPECT_GE(third.recall(), 0.70);
  EXPECT_GE(twice.recall(), 0.95);
}

/// Ranks on hosts of their own that send around in a ring, or each to each, messages of two sizes;
/// who comes first to a transfer waits for the other side. One link is slower by `factor`.
Score PlayLinks(double factor, int jobs, uint64_t seed) {
  Score score{.jobs = jobs};
  base::Random random(seed);
  for (int job = 0; job < jobs; ++job) {
    const int ranks = 4 + static_cast<int>(random.Below(5));
    const bool in_ring = random.Below(2) == 0;
    const auto slow_from = static_cast<int>(random.Below(static_cast<uint64_t>(ranks)));
    const int slow_to = (slow_from + 1) % ranks;
    const double noise = 0.3 * random.Unit();
    std::vector<PaceWindow> windows;
    for (int rank = 0; rank < ranks; ++rank) {
      windows.push_back({.rank = Rank(rank),
                         .host = "",
                         .length = std::chrono::seconds(10),
                         .groups = {},
                         .lanes = {}});
    }
    for (int from = 0; from < ranks; ++from) {
      for (int to = 0; to < ranks; ++to) {
        if (from == to || (in_ring && to != (from + 1) % ranks)) continue;
        collectives::PaceLane sends{.group = GroupId(1),
                                    .epoch = {},
                                    .self = base::GroupRank(from),
                                    .peer = base::GroupRank(to),
                                    .sends = true,
                                    .transfers = {},
                                    .count = 200};
        collectives::PaceLane receives = sends;
        std::swap(receives.self, receives.peer);
        receives.sends = false;
        for (uint64_t seq = 1; seq <= 16; ++seq) {
          const uint64_t bytes = uint64_t{1} << (seq % 2 == 0 ? 17 : 24);
          // What begins one takes a tenth of a millisecond.
          double took = (1e-4 + static_cast<double>(bytes) / 1e9) *
                        (1 + noise * std::abs(random.Unit() + random.Unit() - 1));
          if (from == slow_from && to == slow_to) took *= factor;
          const double early = 0.05 * random.Unit();
          const bool sender_is_early = random.Below(2) == 0;
          const auto lasts = [&](bool is_early) {
            return base::Duration(static_cast<int64_t>((took + (is_early ? early : 0)) * 1e9));
          };
          sends.transfers.push_back({seq, bytes, lasts(sender_is_early)});
          receives.transfers.push_back({seq, bytes, lasts(!sender_is_early)});
        }
        windows[static_cast<size_t>(from)].lanes.push_back(sends);
        windows[static_cast<size_t>(to)].lanes.push_back(receives);
      }
    }
    windows = WindowsOf(ToProto(windows));
    for (PaceWindow& window : windows) window.host = "host-" + window.rank.ToString();
    std::set<std::vector<Rank>> named;
    for (const collectives::SlowLink& slow : JudgePace(windows).slow_links)
      named.insert(RanksOf(slow));
    for (const std::vector<Rank>& who : named) {
      ++score.named;
      ++(factor > 1 && who == std::vector{Rank(slow_from), Rank(slow_to)} ? score.found
                                                                          : score.wrong);
    }
  }
  std::printf("a link %.1f times as slow: %d jobs, found in %d, others named %d times\n", factor,
              jobs, score.found, score.wrong);
  return score;
}

TEST(PacePropertyTest, TheSlowLinkIsNamed) {
  const Score even = PlayLinks(1.0, 500, 31);
  const Score third = PlayLinks(3.0, 500, 32);
  const Score tenth = PlayLinks(10.0, 500, 33);
  EXPECT_GE(Precision({even, third, tenth}), 0.99);
  EXPECT_GE(third.recall(), 0.95);
  EXPECT_GE(tenth.recall(), 0.95);
}

TEST(PacePropertyTest, WhoAsksForFivePerCentGetsThem) {
  const PaceOptions options{.least_share = 0.05};
  const Score even = Play(1.0, 1000, 11, options);
  const Score tenth = Play(1.1, 1000, 12, options);
  EXPECT_GE(Precision({even, tenth}), 0.98);
  EXPECT_GE(tenth.recall(), 0.70);
}

}  // namespace
}  // namespace lockstep::launcher
