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
#include "runtime/proto/problem.h"

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
  /// All that is wrong with the flags: unknown ones (with the nearest name), values that are
  /// missing or no switch's. An unknown flag takes the value that the nearest one would.
  std::vector<proto::Problem> problems;
};

struct Command {
  Verb verb = Verb::kHelp;
  std::vector<GivenFlag> flags;
  /// Of run, render and exec: the program and its arguments; of status and others: the job.
  std::vector<std::string> operands;
  std::vector<proto::Problem> problems;  // SplitLine::problems, and too few or many operands

  /// The value of the last flag of that name (FlagSpec::name), if one was given.
  std::optional<std::string> Value(std::string_view name) const;
  /// Whether that switch is on.
  bool IsOn(std::string_view name) const { return Value(name) == "true"; }
};

/// `words` is argv without the program's name. `lockstep`, `--help`, and -h or --help among a
/// verb's flags become the verb help; `--version` becomes version. What is wrong with the rest is
/// in Command::problems, so that it can be told together with what is wrong with the job. Errors:
/// InvalidArgument - unknown verb.
base::Result<Command> ParseCommandLine(std::span<const std::string> words);

/// The flags of one verb, up to its first operand or "--", which is taken out. `--flag=value` and
/// `--flag value` are equal; a word that names a flag of the verb is no value.
SplitLine SplitFlags(const VerbSpec& verb, std::span<const std::string> words);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_COMMAND_LINE_H_
