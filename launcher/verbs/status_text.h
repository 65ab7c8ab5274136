// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_STATUS_TEXT_H_
#define LOCKSTEP_LAUNCHER_VERBS_STATUS_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/proto/control.pb.h"

/// How a job's status is put into words, for status and top alike. Pure functions, for any thread.
namespace lockstep::launcher {

/// Of a table: the first row names the columns.
using TextRows = std::vector<std::vector<std::string>>;

/// "1m30s".
std::string TimeText(int64_t nanoseconds);
/// "12.5", "1234": as many digits as tell something.
std::string NumberText(double number);
/// "1.2 GB/s".
std::string BytesRateText(double bytes_per_second);
/// Of all ranks that report them; nullopt: none does.
std::optional<double> SamplesPerSecond(const proto::StatusReply& status);
/// "1 of 3 restarts used".
std::string RestartsText(const proto::StatusReply& status);

/// Who is waited for: "rank 3: stopped by a signal; 2 more"; "-" = nobody.
std::string AwaitedText(const proto::GroupStatus& group);
/// The groups, with a row for each; empty where none is known.
TextRows GroupRows(const proto::StatusReply& status);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_STATUS_TEXT_H_
