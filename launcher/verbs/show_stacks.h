// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_SHOW_STACKS_H_
#define LOCKSTEP_LAUNCHER_VERBS_SHOW_STACKS_H_

#include <optional>
#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

struct ShowStacksOptions {
  std::string job;                 // an id, the beginning of one, or a name
  std::optional<base::Rank> rank;  // all that is known of this one alone
  bool json = false;               // GangStacks
  /// PATH, on which py-spy is looked for.
  std::string path;
  /// Else the agent is asked about ranks of this machine, too: it may (MayTraceStrangers).
  bool may_trace = true;
};

/// `lockstep stacks`: where the ranks of a job stand, those together that stand in one place; of
/// other machines as their agents say. Blocks: some seconds, half a minute where many agents do not
/// answer.
/// Errors: NotFound - there is no such job, it does not run, it has no such rank, or none of its
/// ranks runs now; Unavailable - all of them are elsewhere, and nobody there answers; as AskStatus.
base::Status ShowStacks(const VerbContext& context, const ShowStacksOptions& options);

/// What it prints of several ranks. Pure.
std::string StacksText(const proto::GangStacks& stacks);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_SHOW_STACKS_H_
