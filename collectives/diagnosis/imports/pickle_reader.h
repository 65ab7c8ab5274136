// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_PICKLE_READER_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_PICKLE_READER_H_

#include <string>
#include <string_view>

#include "collectives/diagnosis/imports/tree.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// The data in a pickle of protocol 2 to 5: None, booleans, integers of up to 64 bits, floats,
/// texts, lists, tuples (as lists) and dictionaries whose keys are texts or integers. That is what
/// torch's own writer makes of a flight recorder, and what Python makes of the same when somebody
/// has loaded and saved it. A pickle is a program; this is no interpreter of it: opcodes that look
/// something up, call it or build an object are refused, with the name of what they want. Pure; any
/// thread; any bytes. Errors: InvalidArgument - it is damaged, cut short, or wants more than data;
/// the message says what at which byte; OutOfRange - deeper or larger than Tree allows.
base::Result<TreePtr> ReadPickle(std::string_view bytes);

/// The same data as a pickle of protocol 2, which Python's loads.
std::string WritePickle(const Tree& tree);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_PICKLE_READER_H_
