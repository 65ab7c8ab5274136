// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Random jobs with a fault whose truth is known: what Diagnose makes of their rings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/testing/simulated_job.h"
#include "runtime/base/random.h"

namespace lockstep::collectives {
namespace {

using Class = Finding::Class;
using testing::Fault;
using testing::OnMismatch;
using testing::SimulatedJob;
using Kind = Fault::Kind;

constexpr int kSchedules = 10'000;

struct Schedule {
  SimulatedJob::Shape shape;
  std::vector<Fault> faults;
  Evidence evidence;
  std::string name;
};

Class ClassOf(Kind kind) {
  switch (kind) {
    case Kind::kKilled:
    case Kind::kFails: return Class::kDeadRank;
    case Kind::kOp:
    case Kind::kDtype:
    case Kind::kReduction:
    case Kind::kRoot:
    case Kind::kCount: return Class::kMismatch;
    case Kind::kSwaps: return Class::kCrossGroupDeadlock;
    default: return Class::kMissingRank;
  }
}

/// One that makes a difference there, of a kind up to `last`.
Fault MakeFault(const SimulatedJob& job, Kind last, base::Random& random) {
  Fault fault;
  do {
    fault.kind = static_cast<Kind>(random.Below(static_cast<uint64_t>(last) + 1));
    fault.rank = base::Rank(static_cast<int>(random.Below(static_cast<uint64_t>(job.size()))));
    fault.at = random.Below(job.CallCount(fault.rank));
  } while (!job.Matters(fault));
  return fault;
}

/// With `last_of_another` also a fault of another rank, of a kind up to that.
Schedule MakeSchedule(uint64_t seed, std::optional<Kind> last_of_another = std::nullopt) {
  base::Random random(seed);
  Schedule schedule;
  do {
    schedule.shape = {.tensor = 1 + static_cast<int>(random.Below(4)),
                      .data = 1 + static_cast<int>(random.Below(4)),
                      .pipeline = 1 + static_cast<int>(random.Below(3)),
                      .steps = 1 + static_cast<int>(random.Below(4)),
                      .on_mismatch = static_cast<OnMismatch>(random.Below(3))};
  } while (schedule.shape.tensor * schedule.shape.data * schedule.shape.pipeline < 2);
  SimulatedJob job(schedule.shape, random.Next());
  schedule.faults = {MakeFault(job, Kind::kSwaps, random)};
  while (last_of_another.has_value() && schedule.faults.size() == 1) {
    const Fault another = MakeFault(job, *last_of_another, random);
    if (another.rank != schedule.faults.front().rank) schedule.faults.push_back(another);
  }
  job.Run(schedule.faults);
  schedule.evidence = job.Look();
  schedule.name = "seed " + std::to_string(seed) + " of " + std::to_string(job.size());
  for (const Fault& fault : schedule.faults) {
    schedule.name += "; rank " + fault.rank.ToString() + ", " + FaultName(fault.kind) +
                     " at call " + std::to_string(fault.at);
  }
  return schedule;
}

bool Names(const Finding& finding, base::Rank rank) {
  return std::any_of(finding.culprits.begin(), finding.culprits.end(),
                     [&](const Finding::Culprit& culprit) { return culprit.rank == rank; });
}

/// A call that was left out is seen in what its caller did next: another call in its place, or a
/// wait elsewhere for those that wait for it.
bool IsClass(Class found, Kind kind) {
  if (kind == Kind::kSkips && (found == Class::kMismatch || found == Class::kCrossGroupDeadlock))
    return true;
  return found == ClassOf(kind);
}

/// Exactly the culprit, and what it did. Of two equal sides and of a circle it is one of those that
/// are named.
bool IsExact(const Finding& finding, const Fault& fault) {
  const bool alone = finding.culprits.size() == 1 || finding.is_tie ||
                     finding.verdict_class == Class::kCrossGroupDeadlock;
  return IsClass(finding.verdict_class, fault.kind) && alone && Names(finding, fault.rank);
}

std::string Describe(const Finding& finding) {
  std::string text = "class " + std::to_string(static_cast<int>(finding.verdict_class)) +
                     " confidence " + std::to_string(static_cast<int>(finding.confidence)) + ":";
  for (const Finding::Culprit& culprit : finding.culprits)
    text += " " + culprit.rank.ToString() + "/" + std::to_string(static_cast<int>(culprit.absence));
  return text;
}

bool IsGuilty(base::Rank rank, const std::vector<Fault>& faults) {
  return std::any_of(faults.begin(), faults.end(),
                     [&](const Fault& fault) { return fault.rank == rank; });
}

/// With high confidence somebody is named who did nothing wrong, also beside one who did; of a
/// circle, which consists of all of its ranks, none of them did.
bool IsWrongForSure(const Finding& finding, const std::vector<Fault>& faults) {
  if (finding.verdict_class == Class::kNone || finding.verdict_class == Class::kUnknown)
    return false;
  if (finding.confidence != Finding::Confidence::kHigh) return false;
  const auto guilty = std::count_if(
      finding.culprits.begin(), finding.culprits.end(),
      [&](const Finding::Culprit& culprit) { return IsGuilty(culprit.rank, faults); });
  if (finding.verdict_class == Class::kCrossGroupDeadlock) return guilty == 0;
  return guilty != static_cast<ptrdiff_t>(finding.culprits.size());
}

/// Of those whose rings are there somebody waits.
bool AnyWaits(const Evidence& evidence) {
  return std::any_of(evidence.ranks.begin(), evidence.ranks.end(), [](const SeenRank& rank) {
    return std::any_of(rank.ops.begin(), rank.ops.end(),
                       [](const SeenOp& op) { return op.is_waited_in(); });
  });
}

/// Findings by fault, and what those that are not exact say; the first few of them with all that is
/// needed to see why. That all is well is no answer while somebody waits.
class Tally {
 public:
  void Add(const Schedule& schedule, const Finding& finding, bool is_exact) {
    auto& [exact, all] = counts_[FaultName(schedule.faults.front().kind)];
    ++all;
    exact += is_exact;
    ++said_[is_exact ? "exact" : SaidBy(finding, schedule.faults)];
    exact_ += is_exact;
    ++all_;
    if (!is_exact && ++shown_ <= kShown)
      std::printf("not exact: %s\n  %s\n", schedule.name.c_str(), Describe(finding).c_str());
    const bool misses = finding.verdict_class == Class::kNone && AnyWaits(schedule.evidence);
    if (misses || IsWrongForSure(finding, schedule.faults))
      ADD_FAILURE() << schedule.name << "\n" << Describe(finding);
  }
  void Print() const {
    for (const auto& [kind, count] : counts_)
      std::printf("%-16s %5d of %5d\n", kind.c_str(), count.first, count.second);
    for (const auto& [said, count] : said_) std::printf("  %5d %s\n", count, said.c_str());
  }
  double share() const { return static_cast<double>(exact_) / all_; }

 private:
  static constexpr int kShown = 8;

  static std::string SaidBy(const Finding& finding, const std::vector<Fault>& faults) {
    if (finding.verdict_class == Class::kNone) return "nobody waits, of those who are known";
    if (finding.verdict_class == Class::kUnknown || finding.culprits.empty()) return "nobody named";
    const bool names = std::any_of(
        finding.culprits.begin(), finding.culprits.end(),
        [&](const Finding::Culprit& culprit) { return IsGuilty(culprit.rank, faults); });
    const bool is_sure = finding.confidence == Finding::Confidence::kHigh;
    return std::string(names ? "the culprit named, as something else or with others"
                             : "somebody else named") +
           (is_sure ? ", for sure" : ", not for sure");
  }

  std::map<std::string, std::pair<int, int>> counts_;  // exact, all
  std::map<std::string, int> said_;
  int exact_ = 0, all_ = 0, shown_ = 0;
};

TEST(DiagnosePropertyTest, WholeEvidenceNamesTheCulprit) {
  Tally tally;
  for (int seed = 0; seed < kSchedules; ++seed) {
    const Schedule schedule = MakeSchedule(static_cast<uint64_t>(seed));
    const Finding finding = Diagnose(schedule.evidence);
    tally.Add(schedule, finding, IsExact(finding, schedule.faults.front()));
  }
  tally.Print();
  EXPECT_GE(tally.share(), 0.99);
}

/// Rings that could not be read, are short, or do not say who the members are.
void Degrade(Evidence& evidence, base::Random& random) {
  const bool forgets_members = random.Below(2) == 0;
  const size_t kept = random.Below(3) == 0 ? 1 + random.Below(12) : SIZE_MAX;
  for (SeenRank& rank : evidence.ranks) {
    if (rank.ops.size() > kept) {
      rank.ops.erase(rank.ops.begin(), rank.ops.end() - static_cast<ptrdiff_t>(kept));
      rank.ring_overflowed = true;
    }
    if (forgets_members) {
      for (SeenGroup& group : rank.groups) group.members.clear();
    }
  }
  for (size_t lost = random.Below(4); lost-- > 0;) {
    SeenRank& rank = evidence.ranks[random.Below(evidence.ranks.size())];
    rank.ring_read = false;
    rank.ops.clear();
    rank.groups.clear();
  }
}

TEST(DiagnosePropertyTest, EvidenceThatLacksPartsNamesNobodyWrongForSure) {
  Tally tally;
  for (int seed = 0; seed < kSchedules; ++seed) {
    Schedule schedule = MakeSchedule(static_cast<uint64_t>(seed));
    base::Random random(static_cast<uint64_t>(seed) + 1'000'000);
    Degrade(schedule.evidence, random);
    const Finding finding = Diagnose(schedule.evidence);
    tally.Add(schedule, finding, IsExact(finding, schedule.faults.front()));
  }
  tally.Print();
  EXPECT_GE(tally.share(), 0.8);
}

/// Of calls that differ the minority is guilty, which two of three are not: the second of the two
/// is a rank that comes no more. Which one came first is not always told.
TEST(DiagnosePropertyTest, OfTwoFaultsOneIsNamedOrBothAndNobodyElse) {
  Tally tally;
  for (int seed = 0; seed < kSchedules / 5; ++seed) {
    const Schedule schedule = MakeSchedule(static_cast<uint64_t>(seed), Kind::kFails);
    const Finding finding = Diagnose(schedule.evidence);
    const auto& culprits = finding.culprits;
    const bool is_exact =
        !culprits.empty() && std::all_of(culprits.begin(), culprits.end(), [&](const auto& one) {
          return IsGuilty(one.rank, schedule.faults);
        });
    const bool is_circle = finding.verdict_class == Class::kCrossGroupDeadlock;
    tally.Add(schedule, finding, is_exact || is_circle);
  }
  tally.Print();
  EXPECT_GE(tally.share(), 0.95) << "else the two sides of a tie, of three of which one is gone";
}

/// Between two machines nothing passes, and nothing else is wrong.
struct CutJob {
  int one = 0, other = 0;  // machines
  Evidence evidence;
};

/// nullopt: nothing goes that way any more.
std::optional<CutJob> MakeCutJob(uint64_t seed) {
  base::Random random(seed);
  SimulatedJob job({.tensor = 1 + static_cast<int>(random.Below(4)),
                    .data = 2 + static_cast<int>(random.Below(3)),
                    .pipeline = 3,
                    .steps = 1 + static_cast<int>(random.Below(4))},
                   random.Next());
  const int machines = (job.size() + 3) / 4;
  CutJob cut;
  cut.one = static_cast<int>(random.Below(static_cast<uint64_t>(machines)));
  cut.other = (cut.one + 1 + static_cast<int>(random.Below(static_cast<uint64_t>(machines - 1)))) %
              machines;
  job.Cut(base::Rank(4 * cut.one), base::Rank(4 * cut.other), random.Below(20));
  job.Run({});
  if (!job.CutMatters()) return std::nullopt;
  cut.evidence = job.Look();
  return cut;
}

bool IsOfTheNetwork(const Finding& finding) {
  return finding.verdict_class == Class::kNetworkStall ||
         finding.verdict_class == Class::kPartition;
}

/// Every link, and everybody who is named.
void ExpectItIsThatLink(const Finding& finding, const CutJob& cut) {
  EXPECT_TRUE(finding.is_provable);
  for (const Finding::BrokenLink& link : finding.links) {
    const std::set<int> ends{link.from.value() / 4, link.to.value() / 4};
    EXPECT_EQ(ends, (std::set<int>{cut.one, cut.other}));
  }
  for (const Finding::Culprit& culprit : finding.culprits) {
    const int machine = culprit.rank.value() / 4;
    EXPECT_TRUE(machine == cut.one || machine == cut.other) << Describe(finding);
  }
}

TEST(DiagnosePropertyTest, ALinkThatIsCutIsNamed) {
  int seen = 0;
  for (uint64_t seed = 0; seed < kSchedules / 10; ++seed) {
    SCOPED_TRACE(seed);
    const std::optional<CutJob> cut = MakeCutJob(seed);
    if (!cut.has_value()) continue;
    ++seen;
    const Finding finding = Diagnose(cut->evidence);
    EXPECT_TRUE(IsOfTheNetwork(finding)) << Describe(finding);
    ExpectItIsThatLink(finding, *cut);
  }
  EXPECT_GT(seen, kSchedules / 20);
}

TEST(DiagnosePropertyTest, ALinkThatIsCutIsNamedWithoutARingOrNobodyIsForSure) {
  int named = 0;
  for (uint64_t seed = 0; seed < kSchedules / 10; ++seed) {
    SCOPED_TRACE(seed);
    std::optional<CutJob> cut = MakeCutJob(seed);
    if (!cut.has_value()) continue;
    base::Random random(seed + 1'000'000);
    SeenRank& rank = cut->evidence.ranks[random.Below(cut->evidence.ranks.size())];
    rank.ring_read = false;
    rank.ops.clear();
    rank.groups.clear();
    const Finding finding = Diagnose(cut->evidence);
    if (IsOfTheNetwork(finding)) {
      ++named;
      ExpectItIsThatLink(finding, *cut);
    } else {
      EXPECT_TRUE(finding.verdict_class == Class::kUnknown ||
                  finding.confidence != Finding::Confidence::kHigh)
          << Describe(finding);
    }
  }
  EXPECT_GT(named, 0);
}

TEST(DiagnosePropertyTest, JobsThatEndWellHaveNoFinding) {
  for (int seed = 0; seed < kSchedules / 10; ++seed) {
    base::Random random(static_cast<uint64_t>(seed));
    SimulatedJob job({.tensor = 1 + static_cast<int>(random.Below(4)),
                      .data = 1 + static_cast<int>(random.Below(4))},
                     random.Next());
    job.Run({});
    EXPECT_EQ(Diagnose(job.Look()).verdict_class, Class::kNone) << seed;
  }
}

}  // namespace
}  // namespace lockstep::collectives
