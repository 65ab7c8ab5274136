// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/contest.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "tests/bench/core_distance.h"

namespace lockstep::bench {
namespace {

/// The value after `key` in a file of "key: value" or KEY="value" lines.
std::string Lookup(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of("\t :=\"", key.size());
    const size_t end = line.find_last_not_of("\" ");
    if (begin != std::string::npos) return line.substr(begin, end - begin + 1);
  }
  return "?";
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool TakesPart(const Contender& contender, int round, int rounds) {
  return (round + 1) * contender.runs / rounds > round * contender.runs / rounds;
}

}  // namespace

double Standing::At(double share) const {
  if (figures.empty()) return std::numeric_limits<double>::infinity();
  const auto last = static_cast<double>(figures.size() - 1);
  return figures[static_cast<size_t>(std::lround(share * last))];
}

std::vector<Standing> Compete(const std::vector<Contender>& contenders) {
  std::vector<Standing> standings;
  int rounds = 0;
  for (const Contender& contender : contenders) {
    standings.push_back({.name = contender.name});
    rounds = std::max(rounds, contender.runs);
  }
  for (int round = 0; round < rounds; ++round) {
    for (size_t turn = 0; turn < contenders.size(); ++turn) {
      // Each goes first in its turn: nobody is always the one after a peer that leaves work behind.
      const size_t index = (static_cast<size_t>(round) + turn) % contenders.size();
      if (!TakesPart(contenders[index], round, rounds)) continue;
      if (const std::optional<double> figure = contenders[index].run()) {
        standings[index].figures.push_back(*figure);
      } else {
        ++standings[index].failures;
      }
    }
  }
  for (Standing& standing : standings) std::sort(standing.figures.begin(), standing.figures.end());
  return standings;
}

const Standing* Find(const std::vector<Standing>& standings, const std::string& name) {
  const auto found = std::find_if(standings.begin(), standings.end(),
                                  [&](const Standing& standing) { return standing.name == name; });
  return found == standings.end() ? nullptr : &*found;
}

std::string FormatFigure(double figure) {
  const int decimals = figure >= 100 ? 0 : figure >= 10 ? 1 : 2;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, figure);
  return text;
}

void Report::PrintMachine() const {
  utsname system{};
  ::uname(&system);
  const std::string release = system.release;
  std::printf("machine: %s, %u cores, %.0f GiB, Linux %s, %s; load before: %s\n",
              Lookup("/proc/cpuinfo", "model name").c_str(), std::thread::hardware_concurrency(),
              std::atof(Lookup("/proc/meminfo", "MemTotal").c_str()) / (1 << 20),
              release.substr(0, release.find('-')).c_str(),
              Lookup("/etc/os-release", "PRETTY_NAME").c_str(), FirstLine("/proc/loadavg").c_str());
  PrintCoreDistance();
  if (quick_) std::printf("a quick run: too few repetitions for figures worth keeping\n");
  std::fflush(stdout);
}

void Report::PrintCoreDistance() const {
  if (const auto nanoseconds = LineRoundTripNanoseconds(); nanoseconds.has_value())
    std::printf("a cache line from one core to another and back: %.0f ns\n", *nanoseconds);
  std::fflush(stdout);
}

void Report::PrintTable(const std::string& title, const std::string& unit,
                        const std::vector<Standing>& standings) const {
  std::printf("\n%s (%s)\n\n", title.c_str(), unit.c_str());
  std::printf("| | median | p90 | least | runs | hung or failed |\n|---|---|---|---|---|---|\n");
  for (const Standing& standing : standings) {
    const size_t runs = standing.figures.size() + static_cast<size_t>(standing.failures);
    if (runs == 0) continue;
    std::printf("| %s | %s | %s | %s | %zu | %d |\n", standing.name.c_str(),
                FormatFigure(standing.median()).c_str(), FormatFigure(standing.p90()).c_str(),
                FormatFigure(standing.least()).c_str(), runs, standing.failures);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void Report::BarUnlessDisturbed(const Measured& measured, bool disturbed) {
  if (!disturbed) {
    const bool explains = !measured.holds && !measured.when_missed.empty();
    return Bar(measured.what + " " + measured.figure + " " + measured.limit +
                   (explains ? " (" + measured.when_missed + ")" : ""),
               measured.holds);
  }
  std::printf("bar not judged, since other programs used the processors: %s %s\n",
              measured.what.c_str(), measured.limit.c_str());
  std::fflush(stdout);
}

void Report::Note(const std::string& what, bool holds, bool counts) {
  std::printf("bar %s: %s\n", holds ? "holds" : "MISSED", what.c_str());
  std::fflush(stdout);
  if (!holds && counts) ++missed_;
}

}  // namespace lockstep::bench
