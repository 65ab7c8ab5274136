// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_FAKE_WELCOME_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_FAKE_WELCOME_H_

#include <string>

#include "runtime/proto/agent.pb.h"
#include "runtime/proto/job_checks.h"

namespace lockstep::launcher {

/// What a coordinator welcomes a member with that believes it; the node is the test's to set. A
/// pure function, for any thread.
inline proto::Welcome FakeWelcome(const std::string& job_id = "train-1") {
  proto::Welcome welcome;
  welcome.set_job_id(job_id);
  welcome.set_job_name("train");
  welcome.set_heartbeat_ns(250'000'000);
  welcome.set_lease_ns(2'000'000'000);
  welcome.set_working_directory("/");
  welcome.add_arguments("train");
  welcome.mutable_job()->mutable_spec()->mutable_program()->add_command("train");
  proto::ApplyDefaults(welcome.mutable_job());
  return welcome;
}

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_FAKE_WELCOME_H_
