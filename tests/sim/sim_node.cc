// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_node.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include "launcher/cluster/rank_wire.h"

namespace lockstep::sim {

using namespace std::chrono_literals;

namespace {

/// As much as one rank can tell (rank_wire.h).
launcher::RankEvidence FatEvidence() {
  launcher::RankEvidence evidence;
  evidence.stderr_lines.assign(launcher::kStderrLines,
                               std::string(launcher::kEvidenceLineColumns, 'e'));
  evidence.error = launcher::ErrorFile{.message = std::string(4096, 'm'),
                                       .traceback = std::string(launcher::kWireTracebackBytes, 't'),
                                       .timestamp = 1};
  return evidence;
}

}  // namespace

void SimNode::Close() {
  steps_.clear();
  ranks_.reset();
}

base::Status SimNode::BeginRound(base::Round round, int restart_count) {
  world_.Note({1, node_.value(), round.value(), restart_count});
  EXPECT_EQ(LivingCount(), 0) << "a round begins on node " << node_
                              << " beside processes of the last";
  return base::OkStatus();
}

base::Result<launcher::PreparedSpawn> SimNode::Prepare(const elastic::RankProcess& process) {
  EXPECT_EQ(world_.plan.NodeOf(process.rank), node_) << process.rank << " is started elsewhere";
  launcher::PreparedSpawn prepared;
  prepared.spec.name = "rank-" + process.rank.ToString() + "-" + process.incarnation.ToString();
  prepared.spec.arguments = {"train"};
  processes_.SetProgram(prepared.spec.name, world_.truth.OnStart(node_, process));
  return prepared;
}

void SimNode::OnRankSpawned(const elastic::RankProcess& process, pid_t pid) {
  world_.Note({2, node_.value(), process.rank.value(), process.incarnation.value(), pid});
  if (!world_.Chance(20)) return;
  const int64_t step = static_cast<int64_t>(world_.random.Below(100));
  steps_.push_back(loop_.After(world_.Upto(3s), [this, process, step] {
    const Truth::Life* life = world_.truth.Find(process);
    if (life != nullptr && !life->exit) news_->OnProgress(process, step);
  }));
}

launcher::RankEnd SimNode::OnRankExited(const elastic::RankProcess& process, pid_t pid,
                                        const process::Exit& exit) {
  world_.Note({3, node_.value(), process.rank.value(), process.incarnation.value(), pid, exit.code,
               exit.signal});
  world_.truth.OnExited(process, exit, world_.loop.Now());
  launcher::RankEnd end;
  end.exit = {exit.code, exit.signal, exit.out_of_memory, exit.ToString()};
  end.evidence = world_.plan.fat_evidence
                     ? FatEvidence()
                     : launcher::RankEvidence{.stderr_lines = {exit.ToString()}};
  return end;
}

void SimNode::OnRanksSignalled(int signal, bool whole_tree,
                               const std::vector<elastic::RankProcess>& processes) {
  world_.Note({4, node_.value(), signal, whole_tree ? 1 : 0});
  for (const elastic::RankProcess& process : processes) {
    world_.Note({process.rank.value(), process.incarnation.value()});
  }
}

}  // namespace lockstep::sim
