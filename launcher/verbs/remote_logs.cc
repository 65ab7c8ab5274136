// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/remote_logs.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "launcher/agent/output_service.h"
#include "launcher/verbs/ask_agent.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kAnswerLimit = 10s;  // longer than the agents take to give up (5 s)
constexpr base::Duration kBusyLimit = 20s;    // of agents that have too much to do
constexpr int kBusyPauseMilliseconds = 50;
constexpr uint32_t kBytes = OutputService::kBytesMax;
constexpr uint64_t kTailBlock = 64 << 10;
/// Of one node's streams before the others have their turn.
constexpr int kAnswersInARow = 8;

uint64_t RandomNumber() {
  uint64_t number = 0;
  // Without randomness the pid tells us from the others of this host.
  if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) {
    number = static_cast<uint64_t>(::getpid());
  }
  return number | 1;
}

}  // namespace

RemoteLogs::RemoteLogs(const VerbContext& context, Options options)
    : context_(context),
      options_(std::move(options)),
      follower_(options_.follow ? RandomNumber() : 0) {}

/// Whether that node's files are in folders of this host: its own, or, where the job's directory is
/// shared, as its state in there shows.
bool RemoteLogs::IsHere(const JobEntry& job, int index, const std::string& host) const {
  if (index == job.state.node()) return true;
  if (!job.state.log_directory().empty()) return false;  // another folder; may be shared or not
  const std::string state = job.path + "/state." + FileSafeHost(host) + ".pb";
  return ::access(state.c_str(), F_OK) == 0;
}

void RemoteLogs::Update(const JobEntry& job) {
  const bool formed = job_ && job_->state.nodes_size() > 0;
  job_ = job;
  if (formed) return;
  int first_rank = 0;
  for (int index = 0; index < job.state.nodes_size(); ++index) {
    const proto::JobNodeFacts& facts = job.state.nodes(index);
    const base::Rank first(first_rank);
    first_rank += facts.slots();
    const bool wanted = !options_.rank || (options_.rank->value() >= first.value() &&
                                           options_.rank->value() < first_rank);
    if (!wanted || IsHere(job, index, facts.host())) continue;
    Node& node = nodes_.emplace_back();
    node.index = index;
    node.first_rank = first;
    node.end_rank = base::Rank(first_rank);
    node.host = facts.host();
    node.log_folder = facts.log_folder();
    node.answered_at = context_.clock.Now();
  }
}

bool RemoteLogs::Owns(base::Round round, const LogFileName& name) const {
  for (const Node& node : nodes_) {
    const auto found = node.streams.find({round, name});
    if (found != node.streams.end()) return found->second.offset > 0;
  }
  return false;
}

void RemoteLogs::AddStreams(Node& node, base::Round round) {
  for (base::Rank rank = node.first_rank; rank < node.end_rank; ++rank) {
    if (options_.rank && *options_.rank != rank) continue;
    for (const bool is_stderr : {false, true}) {
      if (!(is_stderr ? options_.standard_error : options_.standard_output)) continue;
      const auto [stream, is_new] = node.streams.try_emplace({round, {rank, is_stderr}});
      if (!is_new) continue;
      stream->second.sink = is_stderr ? context_.err : context_.out;
      if (auto prefix = options_.prefix_of(rank)) stream->second.lines.emplace(*std::move(prefix));
    }
  }
}

RemoteLogs::Pending RemoteLogs::Wanted(Node& node, base::Round round) {
  Pending wanted;
  for (auto& stream : node.streams) {
    if (stream.first.first != round) continue;
    // Ours once we have begun with it; else this host's, if it has it.
    if (stream.second.offset > 0 || !options_.is_local(round, stream.first.second)) {
      wanted.push_back(&stream);
    }
  }
  return wanted;
}

// -------------------------------------------------------------------------------------- following

base::Result<bool> RemoteLogs::PrintNew(base::Round round) {
  bool more = false;
  for (Node& node : nodes_) {
    if (node.complete || !node.failure.ok()) continue;
    const bool is_first = node.streams.empty();
    AddStreams(node, round);
    if (is_first && options_.tail_lines) RETURN_IF_ERROR(SkipTails(node, round));
    bool complete = true;
    // The last bytes of a round may be written when the next one has begun.
    const base::Round oldest = node.streams.begin()->first.first;
    for (base::Round each = oldest; each <= round; ++each) {
      ASSIGN_OR_RETURN(const bool more_here, PrintNode(node, each, &complete));
      more = more || more_here;
    }
    while (!node.streams.empty() && node.streams.begin()->first.first.Next() < round) {
      RETURN_IF_ERROR(FinishStream(node.streams.begin()->second));
      node.streams.erase(node.streams.begin());
    }
    if (!complete || more || !node.failure.ok()) continue;
    node.complete = true;
    (void)Ask(node, round, {}, 0, /*leaving=*/true);  // it need not wait for us any longer
    node.failure = base::OkStatus();
  }
  return more;
}

/// One round of one node. True when there is more to read at once; `complete` becomes false when
/// there may be more later.
base::Result<bool> RemoteLogs::PrintNode(Node& node, base::Round round, bool* complete) {
  bool more = false;
  const Pending wanted = Wanted(node, round);
  for (size_t begin = 0; begin < wanted.size(); begin += OutputService::kPositionsMax) {
    const size_t end = std::min(wanted.size(), begin + OutputService::kPositionsMax);
    Pending some(wanted.begin() + static_cast<ptrdiff_t>(begin),
                 wanted.begin() + static_cast<ptrdiff_t>(end));
    bool some_left = true;
    for (int answers = 0; some_left && answers < kAnswersInARow; ++answers) {
      const auto reply = Ask(node, round, some, kBytes);
      if (!reply.ok()) return false;
      *complete = *complete && reply->complete();
      some_left = false;
      for (size_t i = 0; i < some.size(); ++i) {
        Stream& stream = some[i]->second;
        const proto::OutputPiece& piece = reply->pieces(static_cast<int>(i));
        RETURN_IF_ERROR(PrintPiece(*some[i], piece));
        some_left = some_left || stream.offset < piece.file_bytes();
      }
      // Who came last is first next time: one that never stops does not starve the others.
      std::rotate(some.begin(), some.begin() + 1, some.end());
    }
    more = more || some_left;
  }
  return more;
}

bool RemoteLogs::settled() const {
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [](const Node& node) { return node.complete || !node.failure.ok(); });
}

bool RemoteLogs::has_failed() const {
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [](const Node& node) { return !node.failure.ok(); });
}

// ----------------------------------------------------------------------------------- not following

base::Status RemoteLogs::PrintBelow(base::Rank rank, base::Round round) {
  for (Node& node : nodes_) {
    if (node.first_rank >= rank) break;
    if (node.streams.empty()) LoadSizes(node, round);
    for (auto& stream : node.streams) {
      if (stream.first.second.rank >= rank || stream.second.printed) continue;
      stream.second.printed = true;
      const bool is_local = options_.is_local(round, stream.first.second);
      if (stream.second.file_bytes == 0 || is_local || !node.failure.ok()) continue;
      if (options_.tail_lines) RETURN_IF_ERROR(SkipToTail(node, stream));
      RETURN_IF_ERROR(PrintStream(node, stream));
    }
  }
  return base::OkStatus();
}

/// So that the many that are silent cost no question each.
void RemoteLogs::LoadSizes(Node& node, base::Round round) {
  AddStreams(node, round);
  const Pending wanted = Wanted(node, round);
  for (size_t begin = 0; begin < wanted.size(); begin += OutputService::kPositionsMax) {
    const size_t end = std::min(wanted.size(), begin + OutputService::kPositionsMax);
    const Pending some(wanted.begin() + static_cast<ptrdiff_t>(begin),
                       wanted.begin() + static_cast<ptrdiff_t>(end));
    if (!Ask(node, round, some, 0).ok()) return;
  }
}

base::Status RemoteLogs::PrintStream(Node& node, std::pair<const Key, Stream>& stream) {
  while (true) {
    const auto reply = Ask(node, stream.first.first, {&stream}, kBytes);
    if (!reply.ok() || reply->pieces(0).content().empty()) break;
    RETURN_IF_ERROR(PrintPiece(stream, reply->pieces(0)));
  }
  return FinishStream(stream.second);
}

base::Status RemoteLogs::PrintPiece(std::pair<const Key, Stream>& stream,
                                    const proto::OutputPiece& piece) {
  auto& [key, state] = stream;
  if (state.offset > 0 && piece.offset() > state.offset) {
    std::fprintf(context_.err,
                 "lockstep: %llu bytes of rank %s were removed before they could be shown\n",
                 static_cast<unsigned long long>(piece.offset() - state.offset),
                 key.second.rank.ToString().c_str());
  }
  state.offset = std::max(state.offset, piece.offset()) + piece.content().size();
  return Print(state, piece.content());
}

// ------------------------------------------------------------------------------------------- tails

base::Status RemoteLogs::SkipTails(Node& node, base::Round round) {
  LoadSizes(node, round);
  for (auto& stream : node.streams) {
    if (stream.second.file_bytes > 0 && node.failure.ok()) {
      RETURN_IF_ERROR(SkipToTail(node, stream));
    }
  }
  return base::OkStatus();
}

/// Moves to before the last lines, reading backwards no further than it must.
base::Status RemoteLogs::SkipToTail(Node& node, std::pair<const Key, Stream>& stream) {
  const uint64_t size = stream.second.file_bytes;
  stream.second.offset = size;
  if (*options_.tail_lines == 0) return base::OkStatus();
  uint64_t found = 0;
  for (uint64_t end = size; end > 0;) {
    const uint64_t count = std::min(end, kTailBlock);
    stream.second.offset = end - count;
    const auto reply = Ask(node, stream.first.first, {&stream}, static_cast<uint32_t>(count));
    if (!reply.ok()) return base::OkStatus();  // it is the node's failure
    // What lies before it was given up.
    const uint64_t begin = std::max(end - count, reply->pieces(0).offset());
    const std::string& block = reply->pieces(0).content();
    for (size_t i = std::min<uint64_t>(block.size(), end - std::min(end, begin)); i-- > 0;) {
      const uint64_t at = begin + i;
      if (block[i] != '\n' || at == size - 1) continue;  // the last one ends the last line
      if (++found < *options_.tail_lines) continue;
      stream.second.offset = at + 1;
      return base::OkStatus();
    }
    stream.second.offset = begin;
    if (begin > end - count) break;
    end = begin;
  }
  return base::OkStatus();
}

// ------------------------------------------------------------------------------------------ asking

base::Result<proto::ReadOutputReply> RemoteLogs::Ask(Node& node, base::Round round,
                                                     const Pending& streams, uint32_t bytes_max,
                                                     bool leaving) {
  proto::ControlRequest request;
  proto::ReadOutputRequest& read = *request.mutable_read_output();
  read.set_node(node.index);
  read.set_round(round.value());
  read.set_bytes_max(bytes_max);
  read.set_follower(follower_);
  read.set_leaving(leaving);
  for (const auto* stream : streams) {
    proto::OutputPosition& position = *read.add_positions();
    position.set_rank(stream->first.second.rank.value());
    position.set_standard_error(stream->first.second.is_stderr);
    position.set_offset(stream->second.offset);
  }
  while (true) {
    const base::Result<proto::ControlReply> reply =
        AskAgent(context_, *job_, request, kAnswerLimit);
    if (reply.ok() && reply->output().pieces_size() == read.positions_size()) {
      node.answered_at = context_.clock.Now();
      for (size_t i = 0; i < streams.size(); ++i) {
        streams[i]->second.file_bytes = reply->output().pieces(static_cast<int>(i)).file_bytes();
      }
      return reply->output();
    }
    const base::Code code = reply.status().code();
    const bool is_busy =
        code == base::Code::kResourceExhausted || code == base::Code::kDeadlineExceeded;
    if (!is_busy || leaving || context_.clock.Now() - node.answered_at >= kBusyLimit) {
      node.failure = reply.ok() ? base::InternalError("its agent has not answered what was asked")
                                : reply.status();
      return node.failure;
    }
    ::poll(nullptr, 0, kBusyPauseMilliseconds);
  }
}

base::Status RemoteLogs::Print(Stream& stream, std::string_view bytes) const {
  if (!stream.lines) return Write(stream.sink, bytes);
  std::string text;
  stream.lines->Feed(bytes, &text);
  return Write(stream.sink, text);
}

base::Status RemoteLogs::FinishStream(Stream& stream) const {
  std::string text;
  if (stream.lines) stream.lines->Finish(&text);
  return Write(stream.sink, text);
}

base::Status RemoteLogs::Write(std::FILE* sink, std::string_view text) const {
  if (text.empty()) return base::OkStatus();
  if (std::fwrite(text.data(), 1, text.size(), sink) == text.size() && std::fflush(sink) == 0) {
    return base::OkStatus();
  }
  return base::ErrnoStatus(errno, "print the output of job " + job_->id);
}

// ----------------------------------------------------------------------------------------- the end

base::Status RemoteLogs::Finish(base::Round round) {
  std::string missing;
  for (Node& node : nodes_) {
    for (auto& [key, stream] : node.streams) {
      if (options_.follow) RETURN_IF_ERROR(FinishStream(stream));
    }
    if (!node.failure.ok()) missing += (missing.empty() ? "" : "; ") + WhatIsMissing(node, round);
  }
  if (missing.empty()) return base::OkStatus();
  return base::UnavailableError("logs of job " + job_->id + ": " + missing);
}

/// Where it is, why it did not come, and how to get it.
std::string RemoteLogs::WhatIsMissing(const Node& node, base::Round round) const {
  const std::string host = Printable(node.host);
  std::string place = node.log_folder + "/round-" + round.ToString();
  std::string command = "ssh " + host + " lockstep logs " + job_->id;
  std::string what = "the output of ";
  if (options_.rank) {
    what += "rank " + options_.rank->ToString();
    place +=
        "/rank-" + options_.rank->ToString() + (options_.standard_output ? ".stdout" : ".stderr");
    command += " --rank " + options_.rank->ToString();
  } else {
    what += "ranks " + node.first_rank.ToString() + " to " +
            base::Rank(node.end_rank.value() - 1).ToString();
  }
  if (options_.names_round) command += " --round " + round.ToString();
  const bool nobody = job_->condition != JobCondition::kLive && NobodyListens(node.failure);
  return what + " is on " + host + ", in " + Printable(place) + ", and " +
         (nobody ? "the job has no agent any more that would fetch it from there"
                 : "could not be fetched: " + node.failure.message()) +
         "; run `" + command + "`";
}

}  // namespace lockstep::launcher
