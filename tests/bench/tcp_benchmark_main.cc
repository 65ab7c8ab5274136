// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// all_reduce over TCP between two network namespaces on one veth: `lockstep bench` measures ours,
// Open MPI and Gloo in one run, and iperf3 says before and after each what the veth carries both
// ways.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/bench/veth.h"
#include "tests/e2e/command.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr double kMpiLarge = 2.0;   // at 64 MiB
constexpr double kMpiMiddle = 1.6;  // from 4 MiB
constexpr double kGloo = 2.0;
constexpr double kIperfShare = 0.8;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr int kCannotRunHere = 77;  // no namespaces

const Value& Field(const Struct& object, const std::string& key) {
  static const Value none;
  const auto found = object.fields().find(key);
  return found == object.fields().end() ? none : found->second;
}

double NumberOf(const Struct& object, const std::string& key) {
  return Field(object, key).number_value();
}

std::string TextOf(const Struct& object, const std::string& key) {
  return Field(object, key).string_value();
}

/// One size, out of place.
struct Row {
  uint64_t bytes = 0;
  double ours_us = 0;
  double bus_gb_s = 0;
  struct Peer {
    std::string best;  // knobs
    double time_us = 0;
    double ratio = 0;
    double low = 0;
    double high = 0;
  };
  std::map<std::string, Peer> peers;  // "openmpi", "gloo"
};

Row RowOf(const Struct& result) {
  Row row;
  row.bytes = static_cast<uint64_t>(NumberOf(result, "size"));
  std::map<std::string, double> times;
  for (const Value& value : Field(result, "backends").list_value().values()) {
    const Struct& backend = value.struct_value();
    const Struct& cell = Field(backend, "out_of_place").struct_value();
    times[TextOf(backend, "backend")] = NumberOf(cell, "time_us");
    if (TextOf(backend, "backend") != "tcp") continue;
    row.ours_us = NumberOf(cell, "time_us");
    row.bus_gb_s = NumberOf(cell, "bus_bw_gb_s");
  }
  for (const Value& value : Field(result, "ratios").list_value().values()) {
    const Struct& ratio = value.struct_value();
    if (Field(ratio, "in_place").bool_value()) continue;
    const std::string best = TextOf(ratio, "peer");
    row.peers[best.substr(0, best.find(' '))] = {.best = best,
                                                 .time_us = times[best],
                                                 .ratio = NumberOf(ratio, "ratio"),
                                                 .low = NumberOf(ratio, "low"),
                                                 .high = NumberOf(ratio, "high")};
  }
  return row;
}

/// What a run of `lockstep bench` found; `ok` false: it failed, and has said why.
struct Measured {
  bool ok = false;
  bool disturbed = false;
  double wrong = 0;
  std::vector<Row> rows;
};

class Bench {
 public:
  Bench(const Setting& setting, Report& report) : setting_(setting), report_(report) {}

  void Measure();

 private:
  Measured RunBench(const Words& sizes);
  void LookAtIperf() {
    const auto rate = IperfRate(setting_.quick() ? 1s : 3s);
    if (rate.has_value()) iperf_gb_s_ = std::max(iperf_gb_s_, *rate);
  }
  void Print(const std::vector<Row>& rows) const;
  void JudgeUnlessDisturbed(const std::string& bar, bool holds);
  void Judge(const Row& row);
  void JudgePeer(const Row& row, const std::string& peer, double wanted);

  const Setting& setting_;
  Report& report_;
  double iperf_gb_s_ = 0;  // the most that was seen
  bool disturbed_ = false;
};

Measured Bench::RunBench(const Words& sizes) {
  const std::string path = setting_.folder() + "/bench.json";
  Words words = {setting_.lockstep(),
                 "bench",
                 "-np",
                 "2",
                 "--backend",
                 "tcp",
                 "--netns",
                 Veth::kNames,
                 "--interface",
                 Veth::kInterface,
                 "-J",
                 path,
                 "--allow-pressure",
                 "-T",
                 "5m"};
  if (setting_.quick()) {
    words.insert(words.end(), {"--rounds", "5", "-w", "0"});
  } else {
    words.insert(words.end(), {"--compare", OnPath("mpirun.openmpi") ? "openmpi,gloo" : "gloo"});
  }
  words.insert(words.end(), sizes.begin(), sizes.end());
  const e2e::Outcome outcome = Veth::Run(words, 20min);
  Measured measured;
  Struct root;
  const auto parsed = google::protobuf::util::JsonStringToMessage(e2e::ReadFile(path), &root);
  if (outcome.status != 0 || !parsed.ok()) {
    std::fprintf(stderr, "lockstep bench: status %d: %s\n", outcome.status, outcome.err.c_str());
    return measured;
  }
  measured.ok = true;
  measured.disturbed = Field(root, "disturbed").bool_value();
  measured.wrong = NumberOf(root, "wrong");
  for (const Value& result : Field(root, "results").list_value().values())
    measured.rows.push_back(RowOf(result.struct_value()));
  return measured;
}

void Bench::Print(const std::vector<Row>& rows) const {
  std::printf(
      "\nall_reduce f32, 2 ranks, out of place, between two namespaces on one veth%s; a peer's "
      "best "
      "knobs at each size\n\n"
      "| bytes | ours, us | ours, GB/s | Open MPI, us | times ours | Gloo, us | times ours |\n"
      "|---|---|---|---|---|---|---|\n",
      disturbed_ ? " (disturbed by other work)" : "");
  for (const Row& row : rows) {
    std::printf("| %llu | %s | %s |", static_cast<unsigned long long>(row.bytes),
                FormatFigure(row.ours_us).c_str(), FormatFigure(row.bus_gb_s).c_str());
    for (const char* const peer : {"openmpi", "gloo"}) {
      const auto found = row.peers.find(peer);
      if (found == row.peers.end()) {
        std::printf(" - | - |");
        continue;
      }
      std::printf(" %s (%s) | %s [%s, %s] |", FormatFigure(found->second.time_us).c_str(),
                  found->second.best.c_str(), FormatFigure(found->second.ratio).c_str(),
                  FormatFigure(found->second.low).c_str(),
                  FormatFigure(found->second.high).c_str());
    }
    std::printf("\n");
  }
  std::printf("\niperf3 --bidir: %s GB/s a direction\n\n", FormatFigure(iperf_gb_s_).c_str());
  std::fflush(stdout);
}

void Bench::JudgePeer(const Row& row, const std::string& peer, double wanted) {
  const auto found = row.peers.find(peer);
  if (found == row.peers.end()) return;
  JudgeUnlessDisturbed("all_reduce over a veth, " + std::to_string(row.bytes) + " bytes, " + peer +
                           "'s time " + FormatFigure(found->second.ratio) +
                           " >= " + FormatFigure(wanted) + " times ours",
                       found->second.ratio >= wanted);
}

void Bench::JudgeUnlessDisturbed(const std::string& bar, bool holds) {
  if (!disturbed_) return report_.Bar(bar, holds);
  std::printf("- not judged, since other programs used the processors: %s\n", bar.c_str());
}

void Bench::Judge(const Row& row) {
  const bool large = row.bytes >= 64 * kMiB;
  const bool middle = row.bytes >= 4 * kMiB;
  JudgePeer(row, "openmpi", large ? kMpiLarge : middle ? kMpiMiddle : 1.0);
  JudgePeer(row, "gloo", kGloo);
  if (!large || iperf_gb_s_ == 0) return;
  JudgeUnlessDisturbed("all_reduce over a veth, " + std::to_string(row.bytes) + " bytes, " +
                           FormatFigure(row.bus_gb_s) + " GB/s >= " + FormatFigure(kIperfShare) +
                           " of iperf3 --bidir's " + FormatFigure(iperf_gb_s_),
                       row.bus_gb_s >= kIperfShare * iperf_gb_s_);
}

void Bench::Measure() {
  std::vector<Words> runs = {{"-b", "4", "-e", "4", "-n", "200", "-w", "20"},
                             {"-b", "4M", "-e", "64M", "-n", "5", "-w", "2"}};
  if (setting_.quick()) runs = {{"-b", "4", "-e", "1M", "-f", "512", "-n", "2"}};
  std::vector<Row> rows;
  bool ok = true;
  double wrong = 0;
  LookAtIperf();
  for (const Words& sizes : runs) {
    const Measured measured = RunBench(sizes);
    ok = ok && measured.ok;
    disturbed_ = disturbed_ || measured.disturbed;
    wrong += measured.wrong;
    rows.insert(rows.end(), measured.rows.begin(), measured.rows.end());
    LookAtIperf();
  }
  Print(rows);
  report_.FirmBar("all_reduce over a veth is measured, and every element is right",
                  ok && wrong == 0 && !rows.empty());
  for (const Row& row : rows) Judge(row);
}

int Main(int argc, char** argv) {
  // Before Setting, whose folder is for the programs that it starts.
  const base::Status made = Veth::Make();
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.ToString().c_str());
    return kCannotRunHere;
  }
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  Bench(setting, report).Measure();
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
