// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/host_rank.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/group_call.h"
#include "launcher/bench/ranks/rank_harness.h"
#include "runtime/rank/session.h"

namespace lockstep::launcher {
namespace {

using collectives::Group;

/// What the harness calls. Confined to one thread.
class HostLibrary {
 public:
  explicit HostLibrary(Group& group) : group_(group) {}

  static int Run(void* self, const lockstep_bench_call* call, char* error) {
    Group& group = static_cast<HostLibrary*>(self)->group_;
    if (const base::Status can = CheckCall(group, *call); !can.ok()) {
      ExplainTo(can, error);
      return LOCKSTEP_BENCH_UNSUPPORTED;
    }
    const base::Status status = CallAndWait(group, *call);
    if (status.ok()) return LOCKSTEP_BENCH_OK;
    ExplainTo(status, error);
    return LOCKSTEP_BENCH_FAILED;
  }
  static void* Allocate(void* self, size_t bytes, char* error) {
    auto& shared = static_cast<HostLibrary*>(self)->shared_;
    auto buffer = static_cast<HostLibrary*>(self)->group_.AllocBuffer(bytes);
    if (!buffer.ok()) {
      ExplainTo(buffer.status(), error);
      return nullptr;
    }
    shared.push_back(*std::move(buffer));
    return shared.back()->data();
  }

 private:
  Group& group_;
  std::vector<std::shared_ptr<collectives::SharedBuffer>> shared_;
};

}  // namespace

base::Status ServeAsHostRank(const char* socket_path, int gang) {
  ASSIGN_OR_RETURN(const std::unique_ptr<rank::Session> session, rank::Session::Create());
  ASSIGN_OR_RETURN(const std::shared_ptr<Group> group, session->WorldGroup());
  const std::string name = "Lockstep, " + group->info().backend + ", " +
                           (session->has_agent() ? "recorder on" : "no recorder") +
                           CallCheckText(*group);
  return ServeGroup(*group, name, socket_path, gang);
}

base::Status ServeGroup(Group& group, const std::string& name, const char* socket_path, int gang) {
  HostLibrary host(group);
  const lockstep_bench_library library{.self = &host,
                                       .rank = group.rank().value(),
                                       .size = group.size(),
                                       .name = name.c_str(),
                                       .run = HostLibrary::Run,
                                       .allocate = HostLibrary::Allocate,
                                       .take = nullptr,
                                       .bring = nullptr};
  if (lockstep_bench_serve(&library, socket_path, gang) == 0) return base::OkStatus();
  return base::AbortedError("lockstep bench, which this rank serves, is gone");
}

}  // namespace lockstep::launcher
