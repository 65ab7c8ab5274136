// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_QUIET_PARSER_H_
#define LOCKSTEP_RUNTIME_PROTO_QUIET_PARSER_H_

namespace lockstep::proto {

/// Keeps protobuf's own lines ("String field ... contains invalid UTF-8") off standard error, which
/// is a user's terminal: whoever sends such bytes could fill it, and whoever parses them learns it
/// by the call's answer. What protobuf cannot go on after still ends the process with its reason.
/// Call it at the start of the main of each program that parses what others wrote, before it has a
/// second thread.
void SilenceParser();

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_QUIET_PARSER_H_
