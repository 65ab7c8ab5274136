// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_REMOTE_START_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_REMOTE_START_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// What is run on another machine to start an agent there, and what that says. Pure functions, for
/// any thread.
///
///   us                                     the script, on the machine
///                                     <--  lockstep-start hello x86_64
///   AGENT_HASH BYTES [PROGRAM_HASH BYTES]\n  -->
///                                     <--  lockstep-start need        the agent is not there
///   the file's bytes                  -->
///                                     <--  lockstep-start have /root/.cache/.../HASH/lockstep
///     (the same for the program, with --stage)
///                                     <--  lockstep-start run         and becomes the agent
///   a Bootstrap                       -->
///
/// Each of our steps waits for the line before it, since `head -c` of some systems reads more than
/// it is asked for. Instead of any line, "lockstep-start fail WHAT" may come.
namespace lockstep::launcher {

/// The one command that ssh is given: a single word for `sh`, in quotes that mean the same to bash,
/// dash, csh, tcsh, fish, ksh and zsh. Nothing of it depends on what a user wrote. On the machine
/// it needs sh, basics (head, ls, mkdir, chmod, mv, rm, sync, wc, uname, id) and sha256sum.
std::string_view RemoteStartCommand();

/// A file that the machine must have.
struct RemoteFile {
  std::string hash;  // SHA-256, hexadecimal
  uint64_t bytes = 0;
};

/// The line that tells the script what we want, newline included. `program` is staged.
std::string RemoteStartRequest(const RemoteFile& agent, const std::optional<RemoteFile>& program);

/// One line of the script's.
struct RemoteStartLine {
  enum class Kind : uint8_t { kHello, kNeed, kHave, kRun, kFail };
  Kind kind = Kind::kFail;
  std::string text;  // of hello: the machine's architecture; of have: a path; of fail: what failed
};

/// Null for everything else that log-in scripts may print.
std::optional<RemoteStartLine> ParseRemoteStartLine(std::string_view line);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_REMOTE_START_H_
