// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that says where it is and what its group has computed:
//   exec_rank [hold | stop | place]
// hold: waits until there is a file "go" in the working folder, and then computes once more;
// stop: runs until the agent asks it to end; place: has no group, and waits for that file.
#include <poll.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "runtime/rank/graceful_stop.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::Result;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;

constexpr int kFailed = 3;
constexpr int kPauseMilliseconds = 5;

/// In one write, so that lines of several ranks do not mix.
void Say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

/// Every rank adds its number, counted from one.
Result<int64_t> Sum(Group& group) {
  int64_t value = group.rank().value() + 1;
  RETURN_IF_ERROR(
      group.AllReduce({&value, 1, Dtype::kI64}, {&value, 1, Dtype::kI64}, Reduction::kSum)->Wait());
  return value;
}

lockstep::base::Status Run(const std::string& mode) {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  const lockstep::rank::World& world = session->world();
  Say("rank " + world.rank.ToString() + " of " + std::to_string(world.world_size) + ", local " +
      world.local_rank.ToString() + " of " + std::to_string(world.local_world_size) + ", job " +
      world.job + ", checkpoints " + world.checkpoint_directory + ";");
  if (mode == "place") {
    session->ReportProgress(7);
    Say("ready");
    while (!std::filesystem::exists("go")) ::poll(nullptr, 0, kPauseMilliseconds);
    return lockstep::base::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto group, session->WorldGroup());
  ASSIGN_OR_RETURN(int64_t sum, Sum(*group));
  session->ReportProgress(7);
  if (mode == "stop") {
    const lockstep::rank::GracefulStop graceful(*session);
    Say("sum " + std::to_string(sum));
    while (!session->stop_requested()) ::poll(nullptr, 0, kPauseMilliseconds);
    Say("asked to stop");
    return lockstep::base::OkStatus();
  }
  Say("sum " + std::to_string(sum));
  if (mode != "hold") return lockstep::base::OkStatus();
  while (!std::filesystem::exists("go")) ::poll(nullptr, 0, kPauseMilliseconds);
  ASSIGN_OR_RETURN(sum, Sum(*group));
  Say("again " + std::to_string(sum));
  return lockstep::base::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const lockstep::base::Status done = Run(argc > 1 ? argv[1] : "");
  if (done.ok()) return 0;
  std::fprintf(stderr, "exec_rank: %s\n", done.ToString().c_str());
  return kFailed;
}
