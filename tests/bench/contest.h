// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_CONTEST_H_
#define LOCKSTEP_TESTS_BENCH_CONTEST_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::bench {

/// One of those who are measured against each other.
struct Contender {
  std::string name;
  int runs = 1;
  std::function<std::optional<double>()> run;  // one figure; nothing when it hung or failed
};

/// What a contender has shown.
struct Standing {
  std::string name;
  std::vector<double> figures;  // sorted
  int failures = 0;

  /// Those of the runs that ended; infinite when none did.
  double median() const { return At(0.5); }
  double p90() const { return At(0.9); }
  double least() const { return At(0.0); }

 private:
  double At(double share) const;
};

/// Lets the contenders take turns, so that a machine that is busy for a while slows all of them.
/// One with fewer runs than the others takes part in rounds spread evenly over the whole.
std::vector<Standing> Compete(const std::vector<Contender>& contenders);

/// Nullptr when nobody of that name took part.
const Standing* Find(const std::vector<Standing>& standings, const std::string& name);

/// Prints tables that can stand in docs/performance.md as they are, and one line for each bar:
/// `bar holds: ...` or `bar MISSED: ...`.
class Report {
 public:
  /// A quick run is a test: with its few repetitions on a machine that may be busy, only bars that
  /// hold whatever the machine's speed decide its exit status.
  explicit Report(bool quick) : quick_(quick) {}

  /// The machine and its load, on which all figures depend.
  void PrintMachine() const;
  /// Part of it; once more where much time has passed (core_distance.h).
  void PrintCoreDistance() const;
  void PrintTable(const std::string& title, const std::string& unit,
                  const std::vector<Standing>& standings) const;
  /// A bar in seconds or bytes a second.
  void Bar(const std::string& what, bool holds) { Note(what, holds, !quick_); }
  /// One that cannot be judged where other programs used the processors while it was measured:
  /// "not judged", and no figure that somebody might quote.
  struct Measured {
    std::string what;    // "openmpi's time"
    std::string figure;  // "1.7"
    std::string limit;   // ">= 2 times ours"
    bool holds = false;
    std::string when_missed;  // what the machine allows; may be empty
  };
  void BarUnlessDisturbed(const Measured& measured, bool disturbed);
  /// A bar that a slow machine meets too.
  void FirmBar(const std::string& what, bool holds) { Note(what, holds, true); }

  /// 0 when all bars that count here hold.
  int exit_status() const { return missed_ == 0 ? 0 : 1; }

 private:
  void Note(const std::string& what, bool holds, bool counts);

  const bool quick_;
  int missed_ = 0;
};

/// "12.3", three significant digits, no exponent.
std::string FormatFigure(double figure);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_CONTEST_H_
