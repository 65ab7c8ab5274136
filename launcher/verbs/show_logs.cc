// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_logs.h"

#include <poll.h>

#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "launcher/verbs/log_file.h"
#include "launcher/verbs/remote_logs.h"
#include "launcher/verbs/verb_text.h"

namespace lockstep::launcher {
namespace {

constexpr int kFollowPauseMilliseconds = 100;

/// The output files of one job, found as they appear.
class LogPrinter {
 public:
  LogPrinter(const VerbContext& context, const ShowLogsOptions& options, const JobEntry& job)
      : context_(context), options_(options) {
    folder_ = job.state.log_directory().empty() ? job.path : job.state.log_directory();
    const bool several_ranks = !options.rank && job.state.rank_count() != 1;
    if (several_ranks) prefix_width_ = std::to_string(job.state.rank_count() - 1).size();
  }

  std::optional<std::string> PrefixOf(base::Rank rank) const {
    if (!prefix_width_) return std::nullopt;
    const std::string number = rank.ToString();
    const size_t blanks = *prefix_width_ > number.size() ? *prefix_width_ - number.size() : 0;
    return "[" + std::string(blanks, ' ') + number + "] ";
  }
  bool Has(base::Round round, const LogFileName& name) const {
    return files_.contains({round, name});
  }
  /// Files that it owns come from there, and not from this host.
  void SetRemote(RemoteLogs& remote) { remote_ = &remote; }

  /// Prints what is new in the round's files. The files of the round before are printed on: its
  /// last bytes may be written when the next one has begun.
  base::Status PrintRound(base::Round round) {
    RETURN_IF_ERROR(FindFiles(round));
    for (auto& [key, file] : files_) RETURN_IF_ERROR(file.PrintNew());
    while (!files_.empty() && files_.begin()->first.first.Next() < round) {
      RETURN_IF_ERROR(files_.begin()->second.Finish());
      files_.erase(files_.begin());
    }
    return base::OkStatus();
  }

  base::Status Finish() {
    for (auto& [key, file] : files_) RETURN_IF_ERROR(file.Finish());
    return base::OkStatus();
  }

  /// Each file to its end, one after the other.
  base::Status PrintOnce(base::Round round) {
    RETURN_IF_ERROR(FindFiles(round));
    if (files_.empty() && !remote_->has_nodes()) {
      std::fprintf(context_.err, "lockstep: no output in %s\n", RoundFolder(round).c_str());
    }
    for (auto& [key, file] : files_) {
      RETURN_IF_ERROR(remote_->PrintBelow(key.second.rank, round));
      RETURN_IF_ERROR(file.PrintNew());
      RETURN_IF_ERROR(file.Finish());
    }
    return base::OkStatus();
  }

 private:
  using Key = std::pair<base::Round, LogFileName>;

  std::string RoundFolder(base::Round round) const {
    return folder_ + "/round-" + round.ToString();
  }

  bool IsWanted(const LogFileName& name) const {
    if (options_.rank && name.rank != *options_.rank) return false;
    return options_.streams == LogStreams::kBoth ||
           (options_.streams == LogStreams::kStderr) == name.is_stderr;
  }

  base::Status FindFiles(base::Round round) {
    const auto names = context_.files.ListDirectory(RoundFolder(round));
    // No folder yet, or removed since: no output.
    if (names.status().code() == base::Code::kNotFound) return base::OkStatus();
    if (!names.ok()) return names.status();
    std::vector<LogFile*> fresh;
    for (const std::string& name : *names) {
      const std::optional<ParsedLogName> parsed = ParseLogFileName(name);
      if (!parsed || !IsWanted(parsed->name) || remote_->Owns(round, parsed->name)) continue;
      const std::string growing = parsed->number > 0 ? name.substr(0, name.rfind('.')) : name;
      const auto [file, is_new] =
          files_.try_emplace({round, parsed->name}, RoundFolder(round) + "/" + growing,
                             parsed->name.is_stderr ? context_.err : context_.out, context_.err,
                             PrefixOf(parsed->name.rank));
      file->second.NoteNumber(parsed->number);
      if (is_new) fresh.push_back(&file->second);
    }
    // What appears while we follow is new to its first line.
    for (LogFile* file : fresh) {
      if (options_.tail_lines && !has_listed_) {
        RETURN_IF_ERROR(file->SkipToTail(*options_.tail_lines));
      }
    }
    has_listed_ = true;
    return base::OkStatus();
  }

  const VerbContext& context_;
  const ShowLogsOptions& options_;
  std::string folder_;
  std::optional<size_t> prefix_width_;
  std::map<Key, LogFile> files_;
  bool has_listed_ = false;
  RemoteLogs* remote_ = nullptr;
};

base::Status CheckRange(const ShowLogsOptions& options, const JobEntry& job) {
  if (job.host.empty()) return base::OkStatus();  // its state cannot be read
  const proto::JobState& state = job.state;
  if (options.rank && options.rank->value() >= state.rank_count()) {
    return base::OutOfRangeError("logs of rank " + options.rank->ToString() + ": job " + job.id +
                                 " has " + std::to_string(state.rank_count()) +
                                 " ranks, the first of which is 0");
  }
  if (options.round && options.round->value() > state.round()) {
    return base::OutOfRangeError("logs of round " + options.round->ToString() + ": job " + job.id +
                                 " has come to round " + std::to_string(state.round()));
  }
  return base::OkStatus();
}

base::Round RoundToShow(const ShowLogsOptions& options, const JobEntry& job) {
  return options.round.value_or(base::Round(job.state.round()));
}

RemoteLogs::Options RemoteOptions(const ShowLogsOptions& options, const LogPrinter& printer) {
  return {.rank = options.rank,
          .standard_output = options.streams != LogStreams::kStderr,
          .standard_error = options.streams != LogStreams::kStdout,
          .tail_lines = options.tail_lines,
          .follow = options.follow,
          .names_round = options.round.has_value(),
          .prefix_of = [&printer](base::Rank rank) { return printer.PrefixOf(rank); },
          .is_local = [&printer](base::Round round,
                                 const LogFileName& name) { return printer.Has(round, name); }};
}

base::Status PrintAll(LogPrinter& printer, RemoteLogs& remote, base::Round round) {
  RETURN_IF_ERROR(printer.PrintOnce(round));
  RETURN_IF_ERROR(remote.PrintBelow(base::Rank(std::numeric_limits<int32_t>::max()), round));
  return remote.Finish(round);
}

base::Status Follow(const VerbContext& context, const ShowLogsOptions& options, JobEntry job,
                    LogPrinter& printer, RemoteLogs& remote) {
  base::Round round = RoundToShow(options, job);
  while (true) {
    // First the state, then the files: what was written before the end is printed.
    const bool over = IsOver(context, job);
    if (const base::Round now = RoundToShow(options, job); now != round) {
      round = now;
      std::fprintf(context.err, "lockstep: round %u of job %s\n", round.value(), job.id.c_str());
    }
    remote.Update(job);
    RETURN_IF_ERROR(printer.PrintRound(round));
    ASSIGN_OR_RETURN(const bool more, remote.PrintNew(round));
    const bool is_lost = options.rank && remote.has_failed();  // the one that is wanted
    if (is_lost || (over && remote.settled())) {
      RETURN_IF_ERROR(printer.Finish());
      return remote.Finish(round);
    }
    if (!more) ::poll(nullptr, 0, kFollowPauseMilliseconds);
    ASSIGN_OR_RETURN(job, OpenStore(context).Get(job.id));
  }
}

}  // namespace

base::Status ShowLogs(const VerbContext& context, const ShowLogsOptions& options) {
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(options.job));
  RETURN_IF_ERROR(CheckRange(options, job));
  if (!job.state.launcher().empty()) {
    std::fprintf(context.err, "lockstep: the output of job %s is with %s, which has started it\n",
                 job.id.c_str(), Printable(job.state.launcher()).c_str());
    return base::OkStatus();
  }
  LogPrinter printer(context, options, job);
  RemoteLogs remote(context, RemoteOptions(options, printer));
  printer.SetRemote(remote);
  remote.Update(job);
  if (options.follow) return Follow(context, options, job, printer, remote);
  return PrintAll(printer, remote, RoundToShow(options, job));
}

}  // namespace lockstep::launcher
