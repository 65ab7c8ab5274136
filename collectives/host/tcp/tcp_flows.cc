// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_flows.h"

#include <errno.h>
#include <sys/socket.h>

#include <utility>

namespace lockstep::collectives {
namespace {

bool IsShared(FlowPurpose purpose) {
  return purpose == FlowPurpose::kCalls || purpose == FlowPurpose::kData;
}

}  // namespace

TcpFlows::TcpFlows(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end)
    : service_(std::move(service)),
      end_(std::move(end)),
      in_(static_cast<size_t>(end_->members().count())),
      out_(static_cast<size_t>(end_->members().count())) {}

int TcpFlows::In(int member, FlowPurpose purpose) {
  return IsShared(purpose) && MakesShared(member) ? Made(member, purpose)
                                                  : Accepted(member, purpose);
}

int TcpFlows::Out(int member, FlowPurpose purpose) {
  return IsShared(purpose) && !MakesShared(member) ? Accepted(member, purpose)
                                                   : Made(member, purpose);
}

int TcpFlows::Accepted(int member, FlowPurpose purpose) {
  Slot& slot = in_[static_cast<size_t>(member)][static_cast<size_t>(purpose)];
  if (slot.fd.valid()) return slot.fd.get();
  const uint64_t news = end_->news();
  if (std::exchange(slot.news, news) != news) slot.fd = end_->TakeIncoming({member, purpose});
  return slot.fd.get();
}

int TcpFlows::Made(int member, FlowPurpose purpose) {
  Slot& slot = out_[static_cast<size_t>(member)][static_cast<size_t>(purpose)];
  if (slot.fd.valid()) return slot.fd.get();
  if (!std::exchange(slot.asked, true)) service_->OpenFlow(end_, member, purpose);
  const uint64_t news = end_->news();
  if (std::exchange(slot.news, news) != news) slot.fd = end_->TakeOutgoing({member, purpose});
  return slot.fd.get();
}

ssize_t ReceiveSome(int fd, std::byte* to, size_t bytes) {
  const ssize_t got = ::recv(fd, to, bytes, MSG_DONTWAIT);
  if (got > 0) return got;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : kFlowClosed;
}

ssize_t SendSome(int fd, const iovec* pieces, size_t piece_count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = piece_count;
  const ssize_t sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? 0 : kFlowClosed;
}

}  // namespace lockstep::collectives
