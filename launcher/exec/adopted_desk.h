// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_ADOPTED_DESK_H_
#define LOCKSTEP_LAUNCHER_EXEC_ADOPTED_DESK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "launcher/agent/control_server.h"
#include "launcher/exec/adopted_ranks.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// What verbs ask of a job that another launcher has started. One per such agent, owned by it.
/// Confined to the loop's thread.
class AdoptedDesk final : public ControlTarget {
 public:
  struct Deps {
    std::string launcher;                                 // which has started the ranks
    std::function<proto::StatusReply(bool live)> status;  // live: also what the ranks do now
    std::function<proto::StopReply(const proto::StopRequest&)> stop;
    std::function<base::Result<proto::HangsReply>(const proto::HangsRequest&)> hangs;
  };

  explicit AdoptedDesk(Deps deps) : deps_(std::move(deps)) {}

  /// Errors, as a ControlReply: FailedPrecondition - its launcher has what is asked for;
  /// InvalidArgument - it is no request for such a job.
  void Answer(const proto::ControlRequest& request, Reply reply) override;

 private:
  const Deps deps_;
};

/// What such a job's status says of its ranks, of which `steps` have been told. Pure.
proto::StatusReply AdoptedStatus(const AdoptedRanks& ranks,
                                 const std::map<base::Rank, int64_t>& steps);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_ADOPTED_DESK_H_
