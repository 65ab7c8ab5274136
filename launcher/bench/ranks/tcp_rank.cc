// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/tcp_rank.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "collectives/engine/attach_connection.h"
#include "collectives/engine/queued_group.h"
#include "collectives/host/shm/attach_segments.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "collectives/host/tcp/tcp_backend_maker.h"
#include "collectives/host/wide/wide_backend_maker.h"
#include "collectives/recorder/recorder.h"
#include "launcher/bench/ranks/folder_exchange.h"
#include "launcher/bench/ranks/host_rank.h"
#include "runtime/attach/attach_client.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

/// The first v4 address of the interface.
base::Result<std::string> AddressOf(const std::string& interface) {
  if (interface.empty()) return std::string("127.0.0.1");
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return base::ErrnoStatus(errno, "list network interfaces");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(all, ::freeifaddrs);
  std::string names;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    names += (names.empty() ? "" : ", ") + std::string(one->ifa_name);
    if (interface != one->ifa_name) continue;
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text,
                sizeof text);
    return std::string(text);
  }
  return base::NotFoundError("no interface " + interface + " with an IPv4 address; there are: " +
                             (names.empty() ? "none" : names));
}

/// A ring as an agent would hand it out.
base::Result<std::shared_ptr<collectives::Recorder>> MakeRecorder(const TcpRankPlace& place) {
  const base::UniqueFd ring(::memfd_create("lockstep-bench-ring", MFD_CLOEXEC));
  if (!ring.valid() || ::ftruncate(ring.get(), collectives::RingBytes()) != 0)
    return base::ErrnoStatus(errno, "make memory for the recorder");
  void* const header =
      ::mmap(nullptr, collectives::RingBytes(), PROT_READ | PROT_WRITE, MAP_SHARED, ring.get(), 0);
  if (header == MAP_FAILED) return base::ErrnoStatus(errno, "map the recorder's memory");
  collectives::FormatRing(
      {.job = "bench", .rank = base::Rank(place.rank), .world_size = place.size},
      LOCKSTEP_RING_DEFAULT_SLOTS, *static_cast<lockstep_ring_header*>(header));
  ::munmap(header, collectives::RingBytes());
  ASSIGN_OR_RETURN(std::unique_ptr<collectives::Recorder> recorder,
                   collectives::Recorder::Create(ring));
  return std::shared_ptr<collectives::Recorder>(std::move(recorder));
}

constexpr uint32_t kAttachTimeoutMs = 10'000;

}  // namespace

base::Status ServeAsTcpRank(const TcpRankPlace& place, const char* socket_path, int gang) {
  const auto exchange = std::make_shared<FolderExchange>(place.folder);
  collectives::TcpService::Config service{.job = "bench", .host_id = "bench"};
  ASSIGN_OR_RETURN(service.key, exchange->Key());
  ASSIGN_OR_RETURN(service.listen_host, AddressOf(place.interface));
  service.host = service.listen_host;
  service.memory = place.machine;
  service.link = place.link;
  service.encrypts = place.encrypts_data;
  service.flows = place.tcp_flows;
  ASSIGN_OR_RETURN(auto tcp, collectives::TcpBackendMaker::Create(std::move(service), exchange));
  std::shared_ptr<collectives::BackendMaker> maker = tcp;
  const bool wide = place.machine >= 0;
  collectives::AttachConnection agent;
  if (wide) {
    ASSIGN_OR_RETURN(agent, collectives::AttachToAgent(place.socket, place.cookie, kAttachTimeoutMs,
                                                       "attaching to the agent for shared memory"));
    auto memory = std::make_shared<collectives::ShmBackendMaker>(
        std::make_shared<collectives::AttachSegments>(*agent.client));
    maker = std::make_shared<collectives::WideBackendMaker>(std::move(tcp), std::move(memory));
  }
  collectives::QueuedGroup::Config config;
  config.spec.job = "bench";
  config.spec.rank = base::GroupRank(place.rank);
  for (int rank = 0; rank < place.size; ++rank) config.spec.world_ranks.emplace_back(rank);
  ASSIGN_OR_RETURN(config.recorder, MakeRecorder(place));
  ASSIGN_OR_RETURN(const std::unique_ptr<collectives::QueuedGroup> group,
                   collectives::QueuedGroup::Create(std::move(config), std::move(maker)));
  const std::string network = place.interface.empty() ? "the loopback" : place.interface;
  const std::string ways = wide ? "shared memory within machines and tcp" : "tcp";
  const std::string path =
      std::string(place.encrypts_data ? ", encrypted" : "") +
      (place.tcp_flows > 1 ? ", " + std::to_string(place.tcp_flows) + " connections a pair" : "");
  return ServeGroup(*group, "Lockstep, " + ways + " over " + network + path + ", recorder on",
                    socket_path, gang);
}

}  // namespace lockstep::launcher
