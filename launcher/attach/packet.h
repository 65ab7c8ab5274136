// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_PACKET_H_
#define LOCKSTEP_LAUNCHER_ATTACH_PACKET_H_

#include <cstddef>
#include <string>

namespace lockstep::launcher {

/// Sends a message on a socket of packets, with the descriptor `fd` unless that is -1, whole or not
/// at all. Never blocks. False with errno. Any thread.
bool SendPacket(int socket, const void* message, size_t length, int fd);

/// Into a text field of a message, which was zeroed: as much as it takes.
void CopyText(const std::string& text, char* to, size_t capacity);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_PACKET_H_
