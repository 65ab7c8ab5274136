// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that outlives others: keep_rank TARGET TIMEOUT_MS [RANK DELAY_US]. Adds up with the
// others, and says "up RANK PID". Whenever that fails it makes the group of the survivors, and says
// "again RANK PID SIZE ROUND NS", with the steady clock after the first op of the new group. In a
// group of TARGET ranks it adds up 100 times more, says "done RANK PID sum SUM over BACKEND lost
// RANK (WHY) ..." and ends. RANK kills itself so long after the first failure, while the others
// form. With 0 in all of these cases, else with 1 and the reason.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::Code;
using lockstep::base::GroupRank;
using lockstep::base::Result;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;

constexpr size_t kCount = 50'021;
constexpr int kOpsOfTheLast = 100;
constexpr auto kShrinkTime = std::chrono::seconds(60);

struct Options {
  int target = 1;
  std::chrono::milliseconds timeout{20'000};
  int dying_rank = -1;
  std::chrono::microseconds dying_delay{0};
};

class Rank {
 public:
  explicit Rank(const Options& options) : options_(options), values_(kCount) {}

  Status Run() {
    ASSIGN_OR_RETURN(session_, lockstep::rank::Session::Create());
    ASSIGN_OR_RETURN(group_, session_->WorldGroup(std::chrono::seconds(60)));
    RETURN_IF_ERROR(AddUp());
    Say("up", "");
    while (group_->size() > options_.target) {
      if (!AddUp().ok()) RETURN_IF_ERROR(GoOn());
    }
    for (int op = 0; op < kOpsOfTheLast; ++op) RETURN_IF_ERROR(AddUp());
    std::string text = "sum " + std::to_string(static_cast<int>(values_.back())) + " over " +
                       group_->info().backend + " lost";
    for (const auto& lost : session_->lost_ranks())
      text += " " + lost.rank.ToString() + " (" + lost.why + ")";
    Say("done", text);
    return group_->Barrier()->Wait();
  }

 private:
  Status AddUp() {
    const Buffer buffer{values_.data(), values_.size(), Dtype::kF32};
    std::fill(values_.begin(), values_.end(), static_cast<float>(rank() + 1));
    return group_->AllReduce(buffer, buffer, Reduction::kSum, {.timeout = options_.timeout})
        ->Wait();
  }

  Status GoOn() {
    if (rank() == options_.dying_rank) DieSoon();
    ASSIGN_OR_RETURN(group_, group_->ShrinkToSurvivors({.timeout = kShrinkTime}));
    if (!AddUp().ok()) return GoOn();
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    Say("again", std::to_string(group_->size()) + " " + group_->info().epoch.ToString() + " " +
                     std::to_string(std::chrono::nanoseconds(now).count()));
    return lockstep::base::OkStatus();
  }

  void DieSoon() {
    std::thread([delay = options_.dying_delay] {
      std::this_thread::sleep_for(delay);  // tidy:allow sleep: when it dies is the subject
      ::kill(::getpid(), SIGKILL);
    }).detach();
  }

  int rank() const { return session_->world().rank.value(); }
  void Say(const char* what, const std::string& text) const {
    std::printf("%s %d %d %s\n", what, rank(), static_cast<int>(::getpid()), text.c_str());
    std::fflush(stdout);
  }

  const Options options_;
  std::vector<float> values_;
  std::unique_ptr<lockstep::rank::Session> session_;
  std::shared_ptr<Group> group_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 100;
  Options options{.target = std::atoi(argv[1]),
                  .timeout = std::chrono::milliseconds(std::atol(argv[2]))};
  if (argc > 4) {
    options.dying_rank = std::atoi(argv[3]);
    options.dying_delay = std::chrono::microseconds(std::atol(argv[4]));
  }
  const Status status = Rank(options).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
