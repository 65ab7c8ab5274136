// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/c/lockstep_rank.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "collectives/c/c_handles.h"
#include "runtime/rank/session.h"

using lockstep::collectives::ToC;

struct lockstep_session {
  std::unique_ptr<lockstep::rank::Session> session;
};

extern "C" {

int32_t lockstep_session_open(lockstep_session** session, lockstep_status* status) {
  auto made = lockstep::rank::Session::Create();
  *session = made.ok() ? new lockstep_session{std::move(made).value()} : nullptr;
  return ToC(made.status(), status);
}

void lockstep_session_close(lockstep_session* session) { delete session; }

int32_t lockstep_session_rank(const lockstep_session* session) {
  return session->session->world().rank.value();
}
int32_t lockstep_session_world_size(const lockstep_session* session) {
  return session->session->world().world_size;
}
int32_t lockstep_session_local_rank(const lockstep_session* session) {
  return session->session->world().local_rank.value();
}

int32_t lockstep_session_world_group(lockstep_session* session, int64_t timeout_ns,
                                     lockstep_group** group, lockstep_status* status) {
  const auto made = timeout_ns > 0
                        ? session->session->WorldGroup(std::chrono::nanoseconds(timeout_ns))
                        : session->session->WorldGroup();
  *group = made.ok() ? new lockstep_group{*made} : nullptr;
  return ToC(made.status(), status);
}

int lockstep_session_keeps_survivors(const lockstep_session* session) {
  return session->session->world().keeps_survivors ? 1 : 0;
}

size_t lockstep_session_lost_ranks(const lockstep_session* session, lockstep_lost_rank* lost,
                                   size_t capacity) {
  const std::vector<lockstep::rank::LostRank> all = session->session->lost_ranks();
  for (size_t i = 0; i < std::min(all.size(), capacity); ++i) {
    lost[i] = {};
    lost[i].rank = all[i].rank.value();
    all[i].why.copy(lost[i].why, sizeof lost[i].why - 1);
  }
  return all.size();
}

void lockstep_session_report_progress(lockstep_session* session, int64_t step) {
  session->session->ReportProgress(step);
}

void lockstep_session_report_samples(lockstep_session* session, uint64_t samples) {
  session->session->ReportSamples(samples);
}

void lockstep_session_set_phase(lockstep_session* session, const char* name) {
  lockstep_session_set_long_phase(session, name, 0);
}

void lockstep_session_set_long_phase(lockstep_session* session, const char* name,
                                     int64_t at_most_ns) {
  (void)session->session->SetPhase(lockstep::rank::PhaseMark::For(
      name == nullptr ? "" : name, std::chrono::nanoseconds(at_most_ns)));
}

int lockstep_session_stop_requested(const lockstep_session* session) {
  return session->session->stop_requested() ? 1 : 0;
}

}  // extern "C"
