// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_JOB_NODES_H_
#define LOCKSTEP_LAUNCHER_CONFIG_JOB_NODES_H_

#include <optional>
#include <string>

#include "launcher/cli/command_line.h"
#include "launcher/config/job_draft.h"
#include "launcher/config/job_file.h"
#include "launcher/config/join_flags.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct SshHostsReading;

/// On which nodes a job runs and how their agents get there: the flags that say so, which mean
/// something together only, and what follows from them for the rest of the job. One per ResolveJob,
/// which calls it in the order below; works on its draft. Confined to one thread.
class JobNodes {
 public:
  explicit JobNodes(JobDraft& draft) : draft_(draft) {}
  JobNodes(const JobNodes&) = delete;
  JobNodes& operator=(const JobNodes&) = delete;

  /// Somebody in this layer has chosen the kind of spec.placement.
  void OnPlacementChosen(Layer layer) { placement_layer_ = layer; }
  /// --host, which may be given several times, or --hostfile, whose text is `host_file`.
  void ApplyHosts(const Command& command, const std::optional<JobFile>& host_file);
  /// One of those of nodes that meet at an endpoint: kept until everything else is known.
  void KeepJoinFlag(GivenJoinFlag given);

  /// How the nodes meet, when their agents come by themselves. Returns what is said of this one.
  ThisNode CompleteMeeting();
  /// Of ssh: every host's ranks, and the counts that follow from them.
  void CompleteHosts();
  /// Of a complete and valid job. Errors: InvalidArgument - several nodes, and no machines for
  /// them; Unimplemented - a number of nodes that changes.
  base::Status Check() const;

 private:
  void Take(SshHostsReading reading, const std::string& source);

  JobDraft& draft_;
  std::string hosts_source_;                // of --host or --hostfile
  Layer placement_layer_ = Layer::kNobody;  // that chose the placement's kind
  JoinFlags join_flags_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_JOB_NODES_H_
