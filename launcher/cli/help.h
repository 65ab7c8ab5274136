// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLI_HELP_H_
#define LOCKSTEP_LAUNCHER_CLI_HELP_H_

#include <string>

#include "launcher/cli/flag_tables.h"

/// The help, made from the tables: at most 100 columns, and two screens of 48 lines for the longest
/// verb. Pure functions.
namespace lockstep::launcher {

/// `lockstep help`: every verb with its summary.
std::string HelpOnAll();
/// `lockstep help VERB`: usage, flags by section, examples.
std::string HelpOnVerb(const VerbSpec& verb);
/// "-np, -n, --np N": how a flag is written, for help and documents.
std::string FlagUsage(const FlagSpec& flag);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_HELP_H_
