// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/find_this_machine.h"

#include <strings.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/net/endpoint.h"
#include "runtime/net/host_name.h"
#include "runtime/net/own_addresses.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::net {
namespace {

/// "node-a" and "node-a.cluster.example", in any case.
bool IsSameName(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  return ::strncasecmp(a.data(), b.data(), a.size()) == 0 &&
         (a.size() == b.size() || b[a.size()] == '.');
}

bool IsAddress(const std::string& host) { return NumericAddress({host, 0}).has_value(); }

/// Without the name service.
bool IsPlainlyThis(const std::string& host, const std::string& own_name) {
  if (!IsAddress(host)) return IsLoopback(host) || IsSameName(host, own_name);
  const auto answer = IsThisMachine(host);
  return answer.ok() && *answer;
}

/// Shared with the thread, which may have to be left behind.
struct Search {
  std::vector<std::string> hosts;
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;            // under mutex
  std::optional<size_t> found;  // under mutex
};

void AskNameService(const std::shared_ptr<Search>& search) {
  for (size_t i = 0; i < search->hosts.size(); ++i) {
    if (IsAddress(search->hosts[i])) continue;
    const auto answer = IsThisMachine(search->hosts[i]);
    const std::lock_guard lock(search->mutex);
    if (search->over) return;
    if (!answer.ok() || !*answer) continue;
    search->found = i;
    break;
  }
  const std::lock_guard lock(search->mutex);
  search->over = true;
  search->changed.notify_one();
}

}  // namespace

std::optional<size_t> FindThisMachine(const std::vector<std::string>& hosts,
                                      base::Duration at_most) {
  const std::string own_name = HostName();
  const auto plain = std::find_if(hosts.begin(), hosts.end(), [&own_name](const auto& host) {
    return IsPlainlyThis(host, own_name);
  });
  if (plain != hosts.end()) return static_cast<size_t>(plain - hosts.begin());
  if (std::all_of(hosts.begin(), hosts.end(), IsAddress)) return std::nullopt;
  auto search = std::make_shared<Search>();
  search->hosts = hosts;
  try {
    std::thread(AskNameService, search).detach();
  } catch (const std::system_error&) {
    return std::nullopt;  // no thread can be made: they count as others
  }
  std::unique_lock lock(search->mutex);
  search->changed.wait_for(lock, at_most, [&search] { return search->over; });
  search->over = true;
  return search->found;
}

}  // namespace lockstep::net
