// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/gang.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "launcher/bench/gang_stage.h"
#include "runtime/base/clock.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kInboxBytesMax =
    sizeof(lockstep_bench_reply) + sizeof(uint64_t) * LOCKSTEP_BENCH_ITERATIONS_MAX + (64 << 10);
// From a rank's end to what its launcher says of it: mpirun takes 1.2 s.
constexpr base::Duration kLastWordsLimit = std::chrono::seconds(3);
// Of what a gang printed, in an error.
constexpr size_t kLastOutputBytes = 1500;

template <size_t kSize>
std::string TextOf(const char (&text)[kSize]) {
  return std::string(text, strnlen(text, kSize));
}

}  // namespace

bool RankLink::Read() {
  char buffer[64 << 10];
  while (inbox.size() < kInboxBytesMax) {
    const ssize_t got = TEMP_FAILURE_RETRY(::recv(fd.get(), buffer, sizeof buffer, 0));
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (got <= 0) {
      ended = true;
      return true;
    }
    inbox.append(buffer, static_cast<size_t>(got));
  }
  return false;
}

std::optional<lockstep_bench_reply> RankLink::TakeReply(std::vector<uint64_t>* samples) {
  lockstep_bench_reply reply;
  if (inbox.size() < sizeof reply) return std::nullopt;
  std::memcpy(&reply, inbox.data(), sizeof reply);
  const size_t sample_bytes = sizeof(uint64_t) * reply.samples;
  if (inbox.size() < sizeof reply + sample_bytes) return std::nullopt;
  samples->resize(reply.samples);
  if (reply.samples > 0) std::memcpy(samples->data(), inbox.data() + sizeof reply, sample_bytes);
  inbox.erase(0, sizeof reply + sample_bytes);
  return reply;
}

Gang::Gang(GangStage& stage, Contender contender, int number)
    : stage_(stage),
      contender_(std::move(contender)),
      number_(number),
      ranks_(static_cast<size_t>(stage.config_.ranks)) {}
Gang::~Gang() = default;

std::string Gang::library() const { return ranks_[0] == nullptr ? "" : ranks_[0]->library; }

std::string Gang::log_path() const {
  return stage_.config_.folder + "/gang" + std::to_string(number_) + ".log";
}

base::Status Gang::Start() {
  page_ = base::UniqueFd(::memfd_create("lockstep-bench", MFD_CLOEXEC));
  if (!page_.valid() || ::ftruncate(page_.get(), LOCKSTEP_BENCH_PAGE_BYTES) != 0)
    return base::ErrnoStatus(errno, "memory in which the ranks of " + contender_.name + " meet");
  ASSIGN_OR_RETURN(process_, stage_.Spawn(*this));
  const base::SteadyTime deadline = stage_.loop_->Now() + stage_.config_.start_timeout;
  const auto settled = [this] {
    return CountCome() == stage_.config_.ranks || has_left() || first_ended_;
  };
  stage_.RunUntil(settled, deadline);
  RETURN_IF_ERROR(stage_.Interrupted());
  return CountCome() == stage_.config_.ranks && !first_ended_ ? base::OkStatus() : HasNotCome();
}

int Gang::CountCome() const {
  return static_cast<int>(std::count_if(ranks_.begin(), ranks_.end(),
                                        [](const auto& rank) { return rank != nullptr; }));
}

base::Status Gang::HasNotCome() {
  if (has_left()) {
    return base::UnavailableError(contender_.name + " ended (" + process_->exit()->ToString() +
                                  ") before its ranks had come" + LastOutput());
  }
  RETURN_IF_ERROR(FirstEnded("its start"));
  std::string missing;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (ranks_[rank] == nullptr) missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
  }
  return base::DeadlineExceededError(
      "starting " + contender_.name + ": rank " + missing + " did not come within " +
      base::FormatDuration(stage_.config_.start_timeout) + LastOutput());
}

bool Gang::Adopt(std::unique_ptr<RankLink>& link, const lockstep_bench_hello& hello) {
  const auto rank = static_cast<size_t>(hello.rank);
  if (hello.rank < 0 || rank >= ranks_.size() || hello.size != stage_.config_.ranks ||
      ranks_[rank] != nullptr)
    return false;
  const auto& cpus = stage_.config_.cpus;
  const bool is_bound = contender_.bound && !cpus.empty();
  const lockstep_bench_welcome welcome{.cpu = is_bound ? cpus[rank] : -1,
                                       .yields = stage_.config_.yields ? 1u : 0u};
  if (lockstep_bench_write_with_fd(link->fd.get(), &welcome, sizeof welcome, page_.get()) != 0)
    return false;
  link->pid = hello.pid;
  link->library = TextOf(hello.library);
  ranks_[rank] = std::move(link);
  RankLink& adopted = *ranks_[rank];
  adopted.watch = stage_.loop_->Watch(adopted.fd.get(), {.readable = true},
                                      [this, rank, &adopted](event::Readiness) {
                                        if (!adopted.Read()) adopted.ended = true;
                                        if (adopted.ended) {
                                          adopted.watch.reset();
                                          if (!first_ended_) first_ended_ = rank;
                                        }
                                        stage_.loop_->Quit();
                                      });
  return true;
}

base::Result<Answer> Gang::Ask(const lockstep_bench_command& command, const std::string& doing) {
  RETURN_IF_ERROR(FirstEnded(doing));
  lockstep_bench_command sent = command;
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(stage_.config_.timeout).count();
  sent.timeout_s = static_cast<uint32_t>(seconds) + 10;
  for (const auto& rank : ranks_) {
    // A rank that is gone shows as an end of its connection.
    (void)lockstep_bench_write(rank->fd.get(), &sent, sizeof sent);
  }
  std::vector<std::optional<Reply>> replies(ranks_.size());
  const auto settled = [&] {
    bool all = true;
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (replies[rank]) continue;
      std::vector<uint64_t> samples;
      const auto head = ranks_[rank]->TakeReply(&samples);
      if (head) replies[rank] = Reply{*head, std::move(samples)};
      all = all && head.has_value();
    }
    return all || first_ended_;
  };
  stage_.RunUntil(settled, stage_.loop_->Now() + stage_.config_.timeout);
  RETURN_IF_ERROR(stage_.Interrupted());
  return Combine(replies, command, doing);
}

base::Result<Answer> Gang::Combine(const std::vector<std::optional<Reply>>& replies,
                                   const lockstep_bench_command& command,
                                   const std::string& doing) {
  RETURN_IF_ERROR(FirstEnded(doing));
  Answer answer;
  for (size_t rank = 0; rank < replies.size(); ++rank) {
    if (!replies[rank]) {
      return base::DeadlineExceededError(RankText(rank) + " did not answer within " +
                                         base::FormatDuration(stage_.config_.timeout) +
                                         " (-T), in " + doing + LastOutput());
    }
    const Reply& reply = *replies[rank];
    if (reply.head.outcome == LOCKSTEP_BENCH_FAILED)
      return base::AbortedError(RankText(rank) + " failed in " + doing + ": " +
                                TextOf(reply.head.error));
    if (reply.head.outcome == LOCKSTEP_BENCH_UNSUPPORTED) {
      answer.supported = false;
      if (answer.refusal.empty()) answer.refusal = TextOf(reply.head.error);
    }
    answer.wrong += reply.head.wrong;
    const bool timed = answer.supported && command.kind == LOCKSTEP_BENCH_TIME;
    if (timed && reply.samples.size() != command.iterations)
      return base::InternalError(RankText(rank) + " sent " + std::to_string(reply.samples.size()) +
                                 " samples, not " + std::to_string(command.iterations));
    answer.slowest_us.resize(reply.samples.size());
    for (size_t i = 0; i < reply.samples.size(); ++i) {
      answer.slowest_us[i] =
          std::max(answer.slowest_us[i], static_cast<double>(reply.samples[i]) / 1000);
    }
  }
  return answer;
}

base::Status Gang::FirstEnded(const std::string& doing) {
  if (!first_ended_) return base::OkStatus();
  stage_.RunUntil([this] { return has_left(); }, stage_.loop_->Now() + kLastWordsLimit);
  return base::UnavailableError(RankText(*first_ended_) + " ended in the middle of " + doing +
                                LastOutput());
}

std::string Gang::RankText(size_t rank) const {
  const std::string pid =
      ranks_[rank] == nullptr ? "" : " (pid " + std::to_string(ranks_[rank]->pid) + ")";
  return "rank " + std::to_string(rank) + " of " + contender_.name + pid;
}

std::string Gang::LastOutput() const {
  std::ifstream file(log_path());
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.size() > kLastOutputBytes) text = "..." + text.substr(text.size() - kLastOutputBytes);
  while (text.ends_with('\n')) text.pop_back();
  return text.empty() ? "" : "; the last that it printed:\n" + text;
}

void Gang::AppendPids(std::vector<pid_t>& pids) const {
  for (const auto& rank : ranks_) {
    if (rank != nullptr) pids.push_back(rank->pid);
  }
}

void Gang::AskToLeave() {
  const lockstep_bench_command quit{.kind = LOCKSTEP_BENCH_QUIT};
  for (const auto& rank : ranks_) {
    if (rank != nullptr && !rank->ended)
      (void)lockstep_bench_write(rank->fd.get(), &quit, sizeof quit);
  }
}

}  // namespace lockstep::launcher
