// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SCRIPTED_TORCH_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SCRIPTED_TORCH_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "launcher/diagnosis/flight_source.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher::testing {

/// By NCCL's process group of three ranks: all_reduce 1 to `calls` of group 0, of which `over` are
/// over.
inline collectives::FlightDump DumpOf(int calls, int over, int64_t created_ns, int elements = 4) {
  std::string entries;
  for (int call = 1; call <= calls; ++call) {
    const std::string sizes = "[[" + std::to_string(elements) + "]]";
    entries += (call > 1 ? "," : "") + std::string("{\"record_id\":") + std::to_string(call - 1) +
               ",\"collective_seq_id\":" + std::to_string(call) +
               ",\"process_group\":[\"0\",\"default_pg\"],\"profiling_name\":\"nccl:all_reduce\"," +
               "\"state\":\"" + (call <= over ? "completed" : "scheduled") +
               "\",\"input_sizes\":" + sizes + ",\"output_sizes\":" + sizes +
               ",\"input_dtypes\":[\"Float\"],\"output_dtypes\":[\"Float\"]," +
               "\"time_created_ns\":" + std::to_string(created_ns) + "}";
  }
  const auto tree = collectives::ReadJson(
      R"({"version":"2.10","pg_config":{"0":{"name":"0","desc":"default_pg","ranks":"[0, 1, 2]"}},)"
      "\"entries\":[" +
      entries + "]}");
  return collectives::ReadFlightDump(**tree).value();
}

/// Ranks that answer half a second after they were asked, as a test says. Confined to the loop's
/// thread.
class ScriptedTorch final : public FlightSource {
 public:
  explicit ScriptedTorch(event::Loop& loop) : loop_(loop) {}

  void Ask(std::vector<FlightAsk> ranks, std::function<void(FlightAnswers)> done) override {
    ++questions;
    asked_at.push_back(loop_.Now());
    FlightAnswers answers{
        .asked_ns = loop_.Now().time_since_epoch().count(), .ranks = {}, .hangs = hangs};
    for (const FlightAsk& ask : ranks) answers.ranks.push_back(answer(ask.rank));
    timer_ =
        loop_.After(std::chrono::milliseconds(500),
                    [answers = std::move(answers), done]() mutable { done(std::move(answers)); });
  }

  std::function<FlightAnswer(base::Rank)> answer;
  base::Status hangs;
  int questions = 0;
  std::vector<base::SteadyTime> asked_at;

 private:
  event::Loop& loop_;
  event::Registration timer_;
};

}  // namespace lockstep::launcher::testing

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SCRIPTED_TORCH_H_
