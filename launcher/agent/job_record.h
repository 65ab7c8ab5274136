// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_RECORD_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_RECORD_H_

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "launcher/agent/side_writer.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/event/loop.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/proto/stacks.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// Of JobState.command, for lists: the words, cut where that is too long.
std::string CommandText(const std::vector<std::string>& words);

/// What an agent writes down for those who ask later: the job's state, its spec, the verdicts, and
/// the folders of its rounds. A write that fails does not end a job: `on_trouble` is told of the
/// first one, for the others meet the same disk. One per agent. Confined to the loop's thread.
class JobRecord {
 public:
  struct Config {
    JobDirectory directory;
    proto::JobState state;  // as the directory has it; without a time of start it starts now
    HostIdentity here;
    std::string socket_path;    // where verbs reach this process
    std::string spec_text;      // of the job, for people; "" = another agent of the job writes it
    std::string log_directory;  // of the ranks' files; "" = in the job directory
  };
  using OnTrouble = std::function<void(const base::Status& why)>;

  /// `loop` outlives the record; `on_trouble` may come from within any of the calls below.
  JobRecord(Config config, event::Loop& loop, OnTrouble on_trouble);
  JobRecord(const JobRecord&) = delete;
  JobRecord& operator=(const JobRecord&) = delete;

  /// Which round the state names from now on.
  void SetRound(base::Round round) { config_.state.set_round(round.value()); }
  void SetRankCount(int count) { config_.state.set_rank_count(count); }
  /// The job's nodes, and which of them this is (-1 = none); written with the next state.
  void SetNodes(std::vector<proto::JobNodeFacts> nodes, base::NodeIndex self);
  /// Where verbs reach this process from now on; written with the next state.
  void SetSocketPath(const std::string& path) { config_.state.set_socket_path(path); }
  /// Makes the folder for the files of a round's ranks. Errors: errno's code; not told as trouble.
  base::Status MakeRoundFolder(base::Round round);
  std::string RoundFolder(base::Round round) const;
  /// Where what is seen of a round is kept.
  std::string EvidenceFolder(base::Round round) const {
    return config_.directory.RoundPath(round) + "/" + kEvidenceFolder;
  }
  /// Keeps what was seen of a round that stands still. The dumps of `flights`, which may have many
  /// MiB, are written on a thread of its own (side_writer.h): they are there a little later.
  void SaveEvidence(const EvidenceFacts& facts, const collectives::Evidence& evidence,
                    const std::map<base::Rank, std::span<const std::byte>>& rings,
                    AskedFlights flights = {});
  /// Waits for that, 10 s at most: when nobody needs the loop's thread any more.
  void AwaitFlights();
  /// Keeps where a rank stands, beside that. Returns what a verdict says of it.
  std::vector<proto::Evidence> SaveStacks(base::Round round, const proto::RankStacks& stacks);

  /// That the ranks run; a little later unless there is other news of the state by then: they want
  /// the processor now, and may well end before anybody looks.
  void SaveRunningSoon();
  void SaveRunning() { SaveState(proto::JOB_PHASE_RUNNING); }
  /// A restart was counted, and waits for its time.
  void SaveRestarts(int used);
  /// Once; does nothing when it is called again.
  void SaveSpec();
  void SaveRoundVerdict(base::Round round, const proto::Verdict& verdict);
  void SaveVerdict(const proto::Verdict& verdict);
  /// nullopt: nobody can know it.
  void SaveEnd(std::optional<int> exit_status);

  /// The verdict and the end of a job that never began. Tries both; returns the first error, which
  /// is not told as trouble.
  base::Status GiveUp(const proto::Verdict& verdict, int exit_status);

 private:
  base::Status WriteState(proto::JobPhase phase);
  void SaveState(proto::JobPhase phase) { Check(WriteState(phase)); }
  void Check(const base::Status& written);

  Config config_;
  event::Loop& loop_;
  const OnTrouble on_trouble_;
  bool trouble_told_ = false;
  bool spec_saved_ = false;
  event::Registration save_running_;
  SideWriter side_writer_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_RECORD_H_
