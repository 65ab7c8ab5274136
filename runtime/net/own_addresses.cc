// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/own_addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/host_name.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::net {
namespace {

bool IsLinkLocal(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.get());
    return (ntohl(v4->sin_addr.s_addr) >> 16) == 0xa9fe;  // 169.254.0.0/16
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.get());
  return IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
}

/// Of every interface that is up, loopback's too.
base::Result<std::vector<SocketAddress>> InterfaceAddresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return base::ErrnoStatus(errno, "list this machine's network interfaces");
  }
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  std::vector<SocketAddress> addresses;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    if (one->ifa_addr->sa_family == AF_INET) {
      addresses.emplace_back(one->ifa_addr, sizeof(sockaddr_in));
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      addresses.emplace_back(one->ifa_addr, sizeof(sockaddr_in6));
    }
  }
  return addresses;
}

}  // namespace

base::Result<std::vector<std::string>> OwnAddresses() {
  ASSIGN_OR_RETURN(std::vector<SocketAddress> addresses, InterfaceAddresses());
  std::stable_partition(addresses.begin(), addresses.end(),
                        [](const SocketAddress& one) { return one.family() == AF_INET; });
  std::vector<std::string> texts;
  for (const SocketAddress& address : addresses) {
    if (IsLoopback(address.HostText()) || IsLinkLocal(address)) continue;
    texts.push_back(address.HostText());
  }
  return texts;
}

base::Result<bool> IsThisMachine(std::string_view host) {
  if (IsLoopback(host) || host == HostName()) return true;
  const Endpoint endpoint{std::string(host), 0};
  std::vector<SocketAddress> looked_up;
  if (const auto numeric = NumericAddress(endpoint)) {
    looked_up = {*numeric};
  } else {
    ASSIGN_OR_RETURN(looked_up, LookUpAddresses(endpoint));
  }
  ASSIGN_OR_RETURN(const std::vector<SocketAddress> own, InterfaceAddresses());
  return std::any_of(looked_up.begin(), looked_up.end(), [&own](const SocketAddress& one) {
    return IsLoopback(one.HostText()) ||
           std::any_of(own.begin(), own.end(), [&one](const SocketAddress& mine) {
             return mine.HostText() == one.HostText();
           });
  });
}

}  // namespace lockstep::net
