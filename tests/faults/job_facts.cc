// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/faults/job_facts.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {

proto::Verdict VerdictOfJson(const std::string& json) {
  proto::Verdict verdict;
  if (!google::protobuf::util::JsonStringToMessage(json, &verdict).ok()) verdict.Clear();
  return verdict;
}

proto::Verdict VerdictIn(const std::string& folder) {
  return VerdictOfJson(ReadFile(folder + "/verdict.json"));
}

std::string ClassOf(const proto::Verdict& verdict) {
  return proto::Verdict::Class_Name(verdict.class_());
}

std::vector<int> CulpritsOf(const proto::Verdict& verdict) {
  std::vector<int> ranks;
  for (const proto::Culprit& culprit : verdict.culprits()) ranks.push_back(culprit.rank());
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

std::vector<std::string> ReasonsOf(const proto::Verdict& verdict) {
  std::vector<std::string> reasons;
  for (const proto::Culprit& culprit : verdict.culprits()) reasons.push_back(culprit.why());
  return reasons;
}

std::vector<std::string> LinesOf(const proto::Verdict& verdict, proto::Evidence::Kind kind) {
  std::vector<std::string> lines;
  for (const proto::Evidence& evidence : verdict.evidence()) {
    if (evidence.kind() == kind)
      lines.insert(lines.end(), evidence.lines().begin(), evidence.lines().end());
  }
  return lines;
}

std::vector<proto::Event> EventsIn(const std::string& folder) {
  std::vector<proto::Event> events;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (!entry.path().filename().string().starts_with("events.")) continue;
    for (const std::string& line : Lines(ReadFile(entry.path()))) {
      proto::Event event;
      if (google::protobuf::util::JsonStringToMessage(line, &event).ok()) events.push_back(event);
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const auto& one, const auto& other) {
    return one.steady_ns() < other.steady_ns();
  });
  return events;
}

std::optional<proto::Event> FirstWaitingNotice(const std::vector<proto::Event>& events) {
  for (const proto::Event& event : events) {
    if (event.has_notice() && event.notice().text().starts_with("waiting: ")) return event;
  }
  return std::nullopt;
}

std::optional<int64_t> FirstSignal(const std::vector<proto::Event>& events) {
  for (const proto::Event& event : events) {
    if (event.has_signal_sent()) return event.steady_ns();
  }
  return std::nullopt;
}

std::optional<int64_t> FirstRoundEnd(const std::vector<proto::Event>& events) {
  for (const proto::Event& event : events) {
    if (event.has_round_ended()) return event.steady_ns();
  }
  return std::nullopt;
}

}  // namespace lockstep::e2e
