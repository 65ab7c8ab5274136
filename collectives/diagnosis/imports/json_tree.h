// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_JSON_TREE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_JSON_TREE_H_

#include <string>
#include <string_view>

#include "collectives/diagnosis/imports/tree.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// The JSON object in `text`. Numbers are doubles: integers beyond 2^53 lose their last bits, which
/// of a time in nanoseconds is a quarter of a microsecond. Pure; any thread; any bytes. Errors:
/// InvalidArgument - it is no JSON object, or cut short; OutOfRange - deeper or larger than Tree
/// allows.
base::Result<TreePtr> ReadJson(std::string_view text);

/// On one line.
std::string WriteJson(const Tree& tree);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_JSON_TREE_H_
