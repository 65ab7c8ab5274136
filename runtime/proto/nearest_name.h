// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_NEAREST_NAME_H_
#define LOCKSTEP_RUNTIME_PROTO_NEAREST_NAME_H_

#include <optional>
#include <string_view>
#include <vector>

namespace lockstep::proto {

/// The name that somebody probably meant: at most a third of `given` mistyped (letters added, lost,
/// changed or swapped with a neighbour; upper and lower case and '-', '_' count as equal). The
/// first of equals.
std::optional<std::string_view> NearestName(std::string_view given,
                                            const std::vector<std::string_view>& names);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_NEAREST_NAME_H_
