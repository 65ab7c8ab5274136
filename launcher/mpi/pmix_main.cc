// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-pmix FOLDER: serves PMIx to the ranks of one job, for its agent, which has the other end
// of the socket that is descriptor 3. Ends with that socket. FOLDER is removed by the agent.
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <string_view>

#include "launcher/mpi/pmix_service.h"
#include "runtime/net/frame.h"
#include "runtime/proto/pmix.pb.h"

namespace {

using lockstep::launcher::PmixService;
using lockstep::net::FrameDecoder;
using lockstep::proto::PmixReply;
using lockstep::proto::PmixRequest;

constexpr int kAgentFd = 3;
constexpr int kUsage = 64;
constexpr int kFailed = 1;

/// To the agent, from any thread. An agent that is gone shows where requests are read.
void Send(const PmixReply& reply) {
  static std::mutex mutex;
  const std::string payload = reply.SerializeAsString();
  std::string frame;
  lockstep::net::AppendFrameHeader(payload.size(), &frame);
  frame += payload;
  const std::lock_guard lock(mutex);
  for (size_t sent = 0; sent < frame.size();) {
    const ssize_t size = ::send(kAgentFd, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    sent += static_cast<size_t>(size);
  }
}

void SendFailure(const std::string& why) {
  PmixReply reply;
  reply.mutable_failed()->set_why(why);
  Send(reply);
}

/// False: not of this protocol.
bool OnRequest(PmixService& service, std::string_view payload) {
  PmixRequest request;
  if (!request.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return false;
  switch (request.kind_case()) {
    case PmixRequest::kBegin: Send(service.BeginRound(request.begin())); return true;
    case PmixRequest::kOver: service.EndRound(); return true;
    case PmixRequest::KIND_NOT_SET: return false;
  }
  return false;
}

/// Until the agent closes its end.
int Serve(PmixService& service) {
  FrameDecoder decoder;
  char bytes[4096];
  bool ours = true;
  while (ours) {
    const ssize_t size = ::recv(kAgentFd, bytes, sizeof bytes, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return 0;
    const auto fed =
        decoder.Feed({bytes, static_cast<size_t>(size)}, [&](std::string_view payload) {
          ours = ours && OnRequest(service, payload);
          return ours;
        });
    ours = ours && fed.ok();
  }
  fprintf(stderr, "lockstep-pmix: what came from the agent is no request\n");
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  int type = 0;
  socklen_t size = sizeof type;
  if (argc != 2 || ::getsockopt(kAgentFd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    fprintf(stderr, "lockstep-pmix is started by `lockstep run` for an Open MPI program\n");
    return kUsage;
  }
  PmixService service([](int rank, int code) {
    PmixReply reply;
    reply.mutable_aborted()->set_rank(rank);
    reply.mutable_aborted()->set_code(code);
    Send(reply);
  });
  if (const std::string why = service.Open(argv[1]); !why.empty()) {
    SendFailure(why);
    return kFailed;
  }
  return Serve(service);
}
