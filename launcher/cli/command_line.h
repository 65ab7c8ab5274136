// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLI_COMMAND_LINE_H_
#define LOCKSTEP_LAUNCHER_CLI_COMMAND_LINE_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/cli/flag_tables.h"
#include "runtime/base/result.h"

/// Splits a command line by the tables of flag_tables.h; what values mean is for others. Pure
/// functions.
namespace lockstep::launcher {

struct GivenFlag {
  const FlagSpec* flag = nullptr;
  std::string spelling;  // as it was typed, without the value: "-np"
  std::string value;     // "true" or "false" of a switch
};

/// Flags that stand before the first word that is none, and everything from that word on.
struct SplitLine {
  std::vector<GivenFlag> flags;
  std::vector<std::string> rest;
};

struct Command {
  Verb verb = Verb::kHelp;
  std::vector<GivenFlag> flags;
  std::vector<std::string>
      operands;  // run: the program and its arguments; status and others: the job

  /// The value of the last flag of that name (FlagSpec::name), if one was given.
  std::optional<std::string> Value(std::string_view name) const;
  /// Whether that switch is on.
  bool IsOn(std::string_view name) const { return Value(name) == "true"; }
};

/// `words` is argv without the program's name. `lockstep`, `--help`, and -h or --help among a
/// verb's flags become the verb help; `--version` becomes version. Errors: InvalidArgument -
/// unknown verb or flag (with the nearest name), a value missing, too few or many operands.
base::Result<Command> ParseCommandLine(std::span<const std::string> words);

/// The flags of one verb, up to its first operand or "--", which is taken out. `--flag=value` and
/// `--flag value` are equal; a word that names a flag of the verb is no value. Errors: as above.
base::Result<SplitLine> SplitFlags(const VerbSpec& verb, std::span<const std::string> words);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_COMMAND_LINE_H_
