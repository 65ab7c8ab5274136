// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SCRIPTED_TORCH_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SCRIPTED_TORCH_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "launcher/diagnosis/flight_source.h"
#include "launcher/diagnosis/testing/dump_text.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher::testing {

/// DumpText(), read.
inline collectives::FlightDump DumpOf(int calls, int over, int64_t created_ns, int elements = 4) {
  const auto tree = collectives::ReadJson(DumpText(calls, over, created_ns, elements));
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
