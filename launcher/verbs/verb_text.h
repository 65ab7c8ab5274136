// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_VERB_TEXT_H_
#define LOCKSTEP_LAUNCHER_VERBS_VERB_TEXT_H_

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"

/// How verbs put things on the screen. Pure functions, for any thread.
namespace lockstep::launcher {

/// `text` without control characters, each of which becomes "?": what a job says of itself must
/// not steer the terminal.
std::string Printable(std::string_view text);

/// Columns as wide as their widest cell, two blanks between; the last one is not padded. Every row
/// has as many cells as the first.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

/// From `then` to `now` in the largest unit that fits, as in lists: "12s", "5m", "3h", "9d"; "-"
/// when `then` was never set.
std::string AgeText(base::WallTime now, const google::protobuf::Timestamp& then);

google::protobuf::Timestamp ToTimestamp(base::WallTime time);

/// One line of JSON with the field names of the .proto file; every field that has no presence is
/// there, also when it is zero. Errors: DataLoss - a time in it is no time, so the file that it was
/// read from is damaged.
base::Result<std::string> ToJson(const google::protobuf::Message& message);

/// `object` (from ToJson) with one more member at its end; `value` is JSON.
std::string WithMember(std::string object, std::string_view key, std::string_view value);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_VERB_TEXT_H_
