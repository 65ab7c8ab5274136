// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_REMOTE_LOGS_H_
#define LOCKSTEP_LAUNCHER_VERBS_REMOTE_LOGS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/verbs/log_file.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/process/output_lines.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// For `lockstep logs`: the output of ranks whose files are on other nodes, fetched by the job's
/// agents. One per call of the verb, beside the files that are here. A node whose output cannot be
/// had does not keep the others from being printed: what is missing, where it is, and how to get it
/// is the error at the end. Confined to one thread; blocks on the agents and on the screen.
class RemoteLogs {
 public:
  struct Options {
    std::optional<base::Rank> rank;  // unset: all
    bool standard_output = true;
    bool standard_error = true;
    std::optional<uint64_t> tail_lines;  // of each stream; unset: from its beginning
    bool follow = false;
    bool names_round = false;  // the user has named it, rather than the last
    /// Before each line of that rank; nullopt: bytes as they come.
    std::function<std::optional<std::string>(base::Rank)> prefix_of;
    /// Whether that file is on this host, and printed from there.
    std::function<bool(base::Round, const LogFileName&)> is_local;
  };

  RemoteLogs(const VerbContext& context, Options options);

  /// The job as it is now: where its nodes are comes with that.
  void Update(const JobEntry& job);
  /// Whether wanted ranks are on nodes that do not share their files with this host.
  bool has_nodes() const { return !nodes_.empty(); }
  /// What comes from there, so that a file which appears here meanwhile (a folder that nodes share
  /// after all) is not printed twice.
  bool Owns(base::Round round, const LogFileName& name) const;

  /// Without `follow`: each file of the ranks below `rank` to its end that has not been printed
  /// yet.
  base::Status PrintBelow(base::Rank rank, base::Round round);
  /// With `follow`: what is new of that round and of the one before. True when there is more.
  base::Result<bool> PrintNew(base::Round round);
  /// Nothing is left to ask for: each node is read to its end, or cannot be asked.
  bool settled() const;
  bool has_failed() const;
  /// Prints last lines that have no end. Errors: Unavailable - some output could not be fetched.
  base::Status Finish(base::Round round);

 private:
  struct Stream {
    std::FILE* sink = nullptr;
    std::optional<process::OutputLines> lines;
    uint64_t offset = 0;      // in the stream, whatever files it was rotated into
    uint64_t file_bytes = 0;  // of the stream, when it was looked at last
    bool tail_skipped = false;
    bool printed = false;  // something, or to its end
  };
  using Key = std::pair<base::Round, LogFileName>;
  using Pending = std::vector<std::pair<const Key, Stream>*>;
  struct Node {
    int index = 0;
    base::Rank first_rank;
    base::Rank end_rank;
    std::string host;
    std::string log_folder;
    std::map<Key, Stream> streams;
    base::SteadyTime answered_at{};
    bool complete = false;
    base::Status failure;
  };

  bool IsHere(const JobEntry& job, int index, const std::string& host) const;
  void AddStreams(Node& node, base::Round round);
  Pending Wanted(Node& node, base::Round round);
  base::Result<bool> PrintNode(Node& node, base::Round round, bool* complete);
  base::Status FinishStream(Stream& stream) const;
  base::Status PrintPiece(std::pair<const Key, Stream>& stream, const proto::OutputPiece& piece);
  base::Status PrintStream(Node& node, std::pair<const Key, Stream>& stream);
  base::Status SkipToTail(Node& node, std::pair<const Key, Stream>& stream);
  base::Status SkipTails(Node& node, base::Round round);
  void LoadSizes(Node& node, base::Round round);

  /// Asks again while agents are busy. An error is the node's failure, which is noted.
  base::Result<proto::ReadOutputReply> Ask(Node& node, base::Round round, const Pending& streams,
                                           uint32_t bytes_max, bool leaving = false);
  base::Status Print(Stream& stream, std::string_view bytes) const;
  base::Status Write(std::FILE* sink, std::string_view text) const;
  std::string WhatIsMissing(const Node& node, base::Round round) const;

  const VerbContext& context_;
  const Options options_;
  const uint64_t follower_;  // our number; 0 = we do not follow
  std::optional<JobEntry> job_;
  std::vector<Node> nodes_;  // the others
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_REMOTE_LOGS_H_
