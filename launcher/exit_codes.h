// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXIT_CODES_H_
#define LOCKSTEP_LAUNCHER_EXIT_CODES_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace lockstep::launcher {

/// Exit statuses of `lockstep` for its own failures; constants, for any thread. A job that ran has
/// its root cause's status instead: the culprit's exit code, or 128 + the signal that killed it;
/// 128 + the user's signal for a stopped job. Numbers follow sysexits.h and the shells, clear of
/// the small codes that programs give themselves; when a program uses one of these, `class` in
/// verdict.json tells the two apart. Documented in docs/errors.md (tested).
enum class ExitCode : uint8_t {
  kOk = 0,
  kUsage = 64,           // EX_USAGE
  kNoSuchJob = 66,       // EX_NOINPUT
  kUnavailable = 69,     // EX_UNAVAILABLE
  kInternal = 70,        // EX_SOFTWARE
  kNoResources = 71,     // EX_OSERR
  kCannotWrite = 73,     // EX_CANTCREAT
  kAgentLost = 75,       // EX_TEMPFAIL
  kNotExecutable = 126,  // as shells
  kNotFound = 127,       // as shells
};

struct ExitCodeText {
  ExitCode code;
  std::string_view meaning;
  std::string_view what_to_do;
};

inline constexpr std::array<ExitCodeText, 10> kExitCodes = {{
    {ExitCode::kOk, "every rank exited 0, or the verb did its work", "-"},
    {ExitCode::kUsage, "the command line, the environment or the job file is wrong",
     "correct what the message names; a retry does not help"},
    {ExitCode::kNoSuchJob, "no job of that name or id",
     "`lockstep ps --all` lists those that exist"},
    {ExitCode::kUnavailable, "something the job needs does not answer, or is taken",
     "see the message; a retry may help"},
    {ExitCode::kInternal, "a bug in Lockstep", "report it with the message and the job directory"},
    {ExitCode::kNoResources, "the machine refused a process, memory or a descriptor",
     "raise the limit that the message names, or use fewer ranks"},
    {ExitCode::kCannotWrite,
     "a folder that the job needs cannot be written: its directory, its logs, its sockets",
     "free space, or name another folder"},
    {ExitCode::kAgentLost, "the job's agent was killed; its ranks were ended",
     "start the job again; it goes on from its last checkpoint"},
    {ExitCode::kNotExecutable, "the program exists but cannot be executed",
     "check its mode, its architecture and its first line"},
    {ExitCode::kNotFound, "the program, its interpreter or its working directory is missing",
     "check the path and PATH"},
}};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXIT_CODES_H_
