// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_GANG_H_
#define LOCKSTEP_LAUNCHER_BENCH_GANG_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/bench/contestant.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"

namespace lockstep::launcher {

class GangStage;

/// The connection of one rank. Confined to the stage's thread.
struct RankLink {
  base::UniqueFd fd;
  pid_t pid = 0;
  std::string library;
  std::string inbox;   // what has come and was not taken yet
  bool ended = false;  // the rank has closed it
  event::Registration watch;

  /// Takes what waits. False when that is more than any rank has to say.
  bool Read();
  /// A whole reply, taken out of the inbox; nothing while it is not whole, or no reply at all.
  std::optional<lockstep_bench_reply> TakeReply(std::vector<uint64_t>* samples);
};

/// One contender on the stage. Made by it, confined to its thread.
class Gang final : public Contestant {
 public:
  Gang(GangStage& stage, Contender contender, int number);
  ~Gang() override;

  const Contender& contender() const override { return contender_; }
  std::string library() const override;
  base::Result<Answer> Ask(const lockstep_bench_command& command,
                           const std::string& doing) override;

  int number() const { return number_; }
  std::string log_path() const;
  base::Status Start();
  /// A rank has come. False when nobody waits for it: another has its place, or there is none.
  bool Adopt(std::unique_ptr<RankLink>& link, const lockstep_bench_hello& hello);
  /// Adds those of the ranks that have come.
  void AppendPids(std::vector<pid_t>& pids) const;
  void AskToLeave();
  bool has_left() const { return process_ == nullptr || process_->exit().has_value(); }
  process::Process* process() { return process_.get(); }

 private:
  struct Reply {
    lockstep_bench_reply head;
    std::vector<uint64_t> samples;
  };

  int CountCome() const;
  base::Status HasNotCome();
  /// Of the first rank that is gone; OK when all are there. Blocks: for as long as the launcher may
  /// need to say why.
  base::Status FirstEnded(const std::string& doing);
  base::Result<Answer> Combine(const std::vector<std::optional<Reply>>& replies,
                               const lockstep_bench_command& command, const std::string& doing);
  std::string RankText(size_t rank) const;
  /// "; the last it printed: ...", or nothing.
  std::string LastOutput() const;

  GangStage& stage_;
  const Contender contender_;
  const int number_;
  base::UniqueFd page_;
  std::unique_ptr<process::Process> process_;
  std::vector<std::unique_ptr<RankLink>> ranks_;  // by rank; null = has not come
  std::optional<size_t> first_ended_;             // the rank whose end was noticed first
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_GANG_H_
