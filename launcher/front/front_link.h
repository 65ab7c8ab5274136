// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_FRONT_FRONT_LINK_H_
#define LOCKSTEP_LAUNCHER_FRONT_FRONT_LINK_H_

#include <cstdint>
#include <utility>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// The pair of sockets between a front and its agent. Each message is one byte, kept whole by
/// SOCK_SEQPACKET: from the front a signal number that it received or a FrontNews, from the agent
/// an AgentNews. The end of file says that the other side is dead, however it died.
struct FrontLink {
  base::UniqueFd front;
  base::UniqueFd agent;
};

/// Above all signal numbers. Only of a standard input that is a terminal: whether what is typed
/// there is for this job. Until the first of these it is not.
enum class FrontNews : uint8_t {
  kInForeground = 128,
  kInBackground = 129,
};

enum class AgentNews : uint8_t {
  kStarted = 1,    // every rank of the first round has been exec'd
  kSuspended = 2,  // the ranks are stopped: the front may stop itself
  kHeard = 3,      // a signal that asks for the job's end has come
};

/// Whether that signal asks for the job's end: INT, TERM, HUP, QUIT. The agent answers each with
/// kHeard, so that the front knows an agent that does not answer.
bool AsksForEnd(int signal);

base::Result<FrontLink> MakeFrontLink();

/// Sends one byte without ever blocking; a full or closed socket loses it (the end of file tells
/// the rest).
void SendByte(int fd, uint8_t byte);
/// What a byte-wise read found.
enum class ReadOutcome : uint8_t { kByte, kNothingYet, kClosed };
ReadOutcome ReadByte(int fd, uint8_t* byte);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_FRONT_FRONT_LINK_H_
