// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_HOST_LIST_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_HOST_LIST_H_

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

/// The hosts of a job, as users of mpirun, Hydra, Horovod and DeepSpeed write them. Pure functions,
/// for any thread.
namespace lockstep::launcher {

struct HostEntry {
  std::string user;  // "" = whom ssh takes
  std::string host;  // name, alias of ~/.ssh/config or address, without brackets
  int slots = 0;     // ranks; 0 = not said

  /// What ssh is called with: "user@host" or "host".
  std::string Destination() const;
  friend bool operator==(const HostEntry&, const HostEntry&) = default;
};

inline constexpr size_t kHostListBytes = 1 << 20;
inline constexpr size_t kHostsMax = 10000;
inline constexpr int kSlotsMax = 4096;

/// "a:4,user@b:2,c,[fe80::1]:8". Errors: InvalidArgument - each thing that is wrong, with its
/// entry; also a host that stands there twice, since ranks of two agents on one machine would not
/// know of each other.
base::Result<std::vector<HostEntry>> ParseHostList(std::string_view text);

/// A file of one host a line: "[user@]host", then nothing, ":N" (Hydra) or "slots=N" (Open MPI,
/// Horovod, DeepSpeed; "max_slots=N" beside it bounds it). '#' begins a comment. Errors: as above,
/// with the line's number.
base::Result<std::vector<HostEntry>> ParseHostFile(std::string_view text);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_HOST_LIST_H_
