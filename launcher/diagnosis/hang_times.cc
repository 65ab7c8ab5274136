// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/hang_times.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace lockstep::launcher {
namespace {

// As spec.hangs has them.
constexpr base::Duration kLeast = std::chrono::milliseconds(100);
constexpr base::Duration kMost = std::chrono::hours(24);

base::Status Take(const char* name, int64_t asked, base::Duration& time) {
  if (base::Duration(asked) < kLeast || base::Duration(asked) > kMost) {
    return base::InvalidArgumentError("set the " + std::string(name) + " of hangs to " +
                                      base::FormatDuration(base::Duration(asked)) +
                                      ": it must be 100ms to 24h");
  }
  time = base::Duration(asked);
  return base::OkStatus();
}

}  // namespace

base::Result<proto::HangsReply> SetHangTimes(const proto::HangsRequest& request, HangWatch& watch) {
  HangWatch::Times times = watch.times();
  if (request.has_grace_ns()) RETURN_IF_ERROR(Take("grace", request.grace_ns(), times.grace));
  if (request.has_action_after_ns())
    RETURN_IF_ERROR(Take("time before action", request.action_after_ns(), times.action_after));
  if (request.has_init_deadline_ns())
    RETURN_IF_ERROR(Take("init deadline", request.init_deadline_ns(), times.init_deadline));
  if (request.has_deadline_ns())
    RETURN_IF_ERROR(Take("deadline", request.deadline_ns(), times.hard_deadline));
  watch.SetTimes(times);
  proto::HangsReply reply;
  reply.set_grace_ns(times.grace.count());
  reply.set_action_after_ns(times.action_after.count());
  reply.set_init_deadline_ns(times.init_deadline.count());
  reply.set_deadline_ns(times.hard_deadline.count());
  return reply;
}

}  // namespace lockstep::launcher
