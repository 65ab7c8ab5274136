// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_record.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/diagnosis/stacks/saved_stacks.h"
#include "launcher/verdict/root_cause.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kCommandBytes = 1000;
constexpr base::Duration kSaveDelay = std::chrono::milliseconds(20);

void SetTimestamp(base::WallTime time, google::protobuf::Timestamp& to) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch);
  to.set_seconds(seconds.count());
  to.set_nanos(static_cast<int32_t>((since_epoch - seconds).count()));
}

}  // namespace

std::string CommandText(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += word;
    if (text.size() > kCommandBytes) break;
  }
  return text.substr(0, kCommandBytes);
}

JobRecord::JobRecord(Config config, event::Loop& loop, OnTrouble on_trouble)
    : config_(std::move(config)),
      loop_(loop),
      on_trouble_(std::move(on_trouble)),
      side_writer_(loop, [this](const base::Status& why) { Check(why); }) {
  config_.state.set_socket_path(config_.socket_path);
  if (!config_.state.has_started()) {
    SetTimestamp(loop_.clock().WallNow(), *config_.state.mutable_started());
  }
}

base::Status JobRecord::MakeRoundFolder(base::Round round) {
  RETURN_IF_ERROR(config_.directory.MakeRound(round));
  if (config_.log_directory.empty()) return base::OkStatus();
  const std::string folder = RoundFolder(round);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return error ? base::ErrnoStatus(error.value(), "make the log folder " + folder)
               : base::OkStatus();
}

void JobRecord::SaveEvidence(const EvidenceFacts& facts, const collectives::Evidence& evidence,
                             const std::map<base::Rank, std::span<const std::byte>>& rings,
                             AskedFlights flights) {
  const std::string folder = EvidenceFolder(facts.round);
  storage::FileSystem& files = config_.directory.files();
  Check(launcher::SaveEvidence(folder, facts, evidence, rings, flights, files));
  if (flights.dumps.empty()) return;
  Check(side_writer_.Start([folder, flights = std::move(flights), &files] {
    return SaveFlights(folder, flights, files);
  }));
}

void JobRecord::AwaitFlights() {
  if (side_writer_.Await(SideWriter::kEndLimit)) return;
  Check(base::DeadlineExceededError(
      "write what torch has recorded into " + config_.directory.path() +
      ": its file system has not taken it in 10 s, and the job ends without"));
}

std::vector<proto::Evidence> JobRecord::SaveStacks(base::Round round,
                                                   const proto::RankStacks& stacks) {
  const std::string folder = EvidenceFolder(round);
  Check(launcher::SaveStacks(folder, stacks, config_.directory.files()));
  return StackEvidence(folder, stacks);
}

std::string JobRecord::RoundFolder(base::Round round) const {
  if (config_.log_directory.empty()) return config_.directory.RoundPath(round);
  return config_.log_directory + "/round-" + round.ToString();
}

void JobRecord::SetNodes(std::vector<proto::JobNodeFacts> nodes, base::NodeIndex self) {
  proto::JobState& state = config_.state;
  state.set_node_count(static_cast<int>(nodes.size()));
  state.set_node(self.value());
  int rank_count = 0;
  state.clear_nodes();
  for (proto::JobNodeFacts& node : nodes) {
    rank_count += node.slots();
    *state.add_nodes() = std::move(node);
  }
  state.set_rank_count(rank_count);
}

void JobRecord::SaveRunningSoon() {
  save_running_ = loop_.After(kSaveDelay, [this] { SaveRunning(); });
}

void JobRecord::SaveRestarts(int used) {
  config_.state.set_restarts_used(static_cast<uint32_t>(used));
  SaveState(proto::JOB_PHASE_BACKING_OFF);
}

void JobRecord::SaveSpec() {
  if (config_.spec_text.empty() || std::exchange(spec_saved_, true)) return;
  Check(config_.directory.WriteSpec(config_.spec_text));
}

void JobRecord::SaveRoundVerdict(base::Round round, const proto::Verdict& verdict) {
  Check(config_.directory.WriteRoundVerdict(round, VerdictJson(verdict)));
}

void JobRecord::SaveVerdict(const proto::Verdict& verdict) {
  Check(config_.directory.WriteVerdict(VerdictJson(verdict)));
}

void JobRecord::SaveEnd(std::optional<int> exit_status) {
  SaveSpec();
  if (exit_status) config_.state.set_exit_code(*exit_status);
  SaveState(proto::JOB_PHASE_ENDED);
}

base::Status JobRecord::GiveUp(const proto::Verdict& verdict, int exit_status) {
  const base::Status judged = config_.directory.WriteVerdict(VerdictJson(verdict));
  config_.state.set_exit_code(exit_status);
  const base::Status ended = WriteState(proto::JOB_PHASE_ENDED);
  return judged.ok() ? ended : judged;
}

base::Status JobRecord::WriteState(proto::JobPhase phase) {
  save_running_.reset();
  proto::JobState& state = config_.state;
  state.set_phase(phase);
  if (phase == proto::JOB_PHASE_ENDED) {
    SetTimestamp(loop_.clock().WallNow(), *state.mutable_ended());
  }
  if (!state.has_agent()) {
    if (auto self = IdentifyProcess(config_.here, ::getpid()); self.ok()) {
      *state.mutable_agent() = *std::move(self);
    }
  }
  return config_.directory.WriteState(state);
}

void JobRecord::Check(const base::Status& written) {
  if (!written.ok() && !std::exchange(trouble_told_, true)) on_trouble_(written);
}

}  // namespace lockstep::launcher
