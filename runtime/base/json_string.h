// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_JSON_STRING_H_
#define LOCKSTEP_RUNTIME_BASE_JSON_STRING_H_

#include <string>
#include <string_view>

namespace lockstep::base {

/// Appends `text` as a JSON string, with its quotes. Bytes that are no UTF-8 become U+FFFD, each
/// one; control characters are escaped. A pure function, for any thread.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_JSON_STRING_H_
