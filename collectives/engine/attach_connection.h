// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_ATTACH_CONNECTION_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_ATTACH_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/attach/attach_client.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {

struct CloseAttachClient {
  void operator()(lockstep_attach* client) const { lockstep_attach_close(client); }
};
using AttachClient = std::unique_ptr<lockstep_attach, CloseAttachClient>;

/// A connection to the agent, with what it said of this rank. Any number a process. The client is
/// thread-safe, as attach_client.h says; the rest is its owner's.
struct AttachConnection {
  AttachClient client;
  std::unique_ptr<lockstep_attach_world> world;  // never null; large
  base::UniqueFd ring;                           // the recorder's
};

/// Attaches as LOCKSTEP_SOCKET and LOCKSTEP_COOKIE say; `doing` says what for, in errors. Blocks:
/// at most `timeout_ms`. Errors: as AttachStatus. From any thread.
base::Result<AttachConnection> AttachToAgent(const std::string& socket_path,
                                             const std::string& cookie, uint32_t timeout_ms,
                                             const char* doing);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_ATTACH_CONNECTION_H_
