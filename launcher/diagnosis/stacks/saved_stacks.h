// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_SAVED_STACKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_SAVED_STACKS_H_

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/proto/stacks.pb.h"
#include "runtime/proto/verdict.pb.h"
#include "runtime/storage/file_system.h"

/// Where a rank stood, kept in a folder of evidence:
///
///   stacks-rank-<r>.txt    all of it, for people
///   stacks-rank-<r>.json   RankStacks
///
/// What names them came from the rank's memory, perhaps by way of another machine: the text is
/// cleaned. Any thread.
namespace lockstep::launcher {

std::string StacksPath(const std::string& folder, base::Rank rank);  // of the text

/// Errors: errno's code; one of the two may be there then.
base::Status SaveStacks(const std::string& folder, const proto::RankStacks& stacks,
                        storage::FileSystem& files);

/// nullopt: none is there, or what is there is none.
std::optional<proto::RankStacks> LoadStacks(const std::string& folder, base::Rank rank,
                                            storage::FileSystem& files);

/// As a verdict has it: kind STACK, the main thread, and where the rest is; and of kind GPU, where
/// there are some, what NVML says of each. Pure.
std::vector<proto::Evidence> StackEvidence(const std::string& folder,
                                           const proto::RankStacks& stacks);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_SAVED_STACKS_H_
