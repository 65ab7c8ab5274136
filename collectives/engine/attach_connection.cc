// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/attach_connection.h"

#include "collectives/engine/attach_status.h"

namespace lockstep::collectives {

base::Result<AttachConnection> AttachToAgent(const std::string& socket_path,
                                             const std::string& cookie, uint32_t timeout_ms,
                                             const char* doing) {
  AttachConnection made{
      .client = nullptr, .world = std::make_unique<lockstep_attach_world>(), .ring = {}};
  lockstep_attach* client = nullptr;
  lockstep_attach_error error{};
  int ring = -1;
  const int result = lockstep_attach_open(socket_path.c_str(), cookie.c_str(), timeout_ms, &client,
                                          made.world.get(), &ring, &error);
  if (result != LOCKSTEP_ATTACH_OK) return AttachStatus(result, error, doing);
  made.client.reset(client);
  made.ring = base::UniqueFd(ring);
  return made;
}

}  // namespace lockstep::collectives
