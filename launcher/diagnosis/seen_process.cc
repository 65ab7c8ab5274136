// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/seen_process.h"

#include "runtime/base/clock.h"

namespace lockstep::launcher {

using collectives::ProcessState;
using collectives::SeenProcess;
using collectives::SeenRank;
using collectives::SeenSocket;

static_assert(static_cast<int>(ProcessState::kEnded) == proto::RankSeen::ENDED);
static_assert(static_cast<int>(ProcessState::kStopped) == proto::RankSeen::STOPPED);
static_assert(static_cast<int>(ProcessState::kRuns) == proto::RankSeen::RUNS);

proto::RankSeen ToProto(const SeenRank& rank) {
  proto::RankSeen saved;
  saved.set_rank(rank.rank.value());
  saved.set_state(static_cast<proto::RankSeen::State>(rank.process.state));
  saved.set_host(rank.process.host);
  saved.set_pid(rank.process.pid);
  saved.set_exit_code(rank.process.exit_code);
  saved.set_signal(rank.process.signal);
  saved.set_out_of_memory(rank.process.out_of_memory);
  saved.set_exit_unknown(!rank.process.exit_is_known);
  saved.set_ended_ago_ns(rank.process.ended_ago.count());
  if (rank.process.cpu_share.has_value()) saved.set_cpu_share(*rank.process.cpu_share);
  saved.set_detail(rank.process.detail);
  saved.set_ring_read(rank.ring_read);
  saved.set_node_answers(rank.node_answers);
  saved.set_memory_kills(rank.process.memory_kills);
  saved.set_segments_sent(rank.process.segments_sent);
  saved.set_segments_lost(rank.process.segments_lost);
  saved.set_sockets_cut(rank.sockets_cut);
  for (const SeenSocket& socket : rank.sockets) {
    proto::TcpSocket& told = *saved.add_sockets();
    told.set_local(socket.local);
    told.set_remote(socket.remote);
    told.set_unacked_bytes(socket.unacked_bytes);
    told.set_unread_bytes(socket.unread_bytes);
    told.set_retransmits(socket.retransmits);
    told.set_rto_ms(socket.rto_ms);
  }
  return saved;
}

SeenProcess ProcessOf(const proto::RankSeen& saved) {
  SeenProcess process{.host = saved.host(),
                      .pid = saved.pid(),
                      .exit_code = saved.exit_code(),
                      .signal = saved.signal(),
                      .out_of_memory = saved.out_of_memory(),
                      .exit_is_known = !saved.exit_unknown(),
                      .ended_ago = base::Duration(saved.ended_ago_ns()),
                      .detail = saved.detail(),
                      .memory_kills = saved.memory_kills(),
                      .segments_sent = saved.segments_sent(),
                      .segments_lost = saved.segments_lost()};
  if (proto::RankSeen::State_IsValid(saved.state()))
    process.state = static_cast<ProcessState>(saved.state());
  if (saved.has_cpu_share()) process.cpu_share = saved.cpu_share();
  return process;
}

std::vector<SeenSocket> SocketsOf(const proto::RankSeen& saved) {
  std::vector<SeenSocket> sockets;
  for (const proto::TcpSocket& told : saved.sockets()) {
    if (sockets.size() == kSocketsMax) break;
    sockets.push_back({.local = told.local(),
                       .remote = told.remote(),
                       .unacked_bytes = told.unacked_bytes(),
                       .unread_bytes = told.unread_bytes(),
                       .retransmits = told.retransmits(),
                       .rto_ms = told.rto_ms()});
  }
  return sockets;
}

}  // namespace lockstep::launcher
