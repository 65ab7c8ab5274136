// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_MAKER_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_MAKER_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_link.h"
#include "collectives/host/tcp/tcp_service.h"

namespace lockstep::collectives {

/// Makes TcpBackends: members publish where they listen, and connect when they first have something
/// to say to each other, but for what they need to measure the way between them (tcp_probe.h). One
/// for all groups of a process. Thread-safe.
class TcpBackendMaker final : public BackendMaker {
 public:
  /// Listens from now on. Errors: those of TcpService::Start.
  static base::Result<std::shared_ptr<TcpBackendMaker>> Create(
      TcpService::Config config, std::shared_ptr<AddressExchange> exchange);

  /// Errors beside BackendMaker's: InvalidArgument - more than kMaxTcpMembers members;
  /// FailedPrecondition - some members encrypt and others do not; those of
  /// AddressExchange::Exchange.
  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override;

  /// The first half of Make: meets the members. Who does not go on leaves the group, as Leave()
  /// says there. Blocks and fails as Make.
  base::Result<std::shared_ptr<TcpEnd>> Enter(const GroupSpec& spec, const OpDeadline& deadline);
  /// The second half. `why`: as TcpBackend takes it.
  std::unique_ptr<Backend> Finish(const std::shared_ptr<TcpEnd>& end, std::string why = "") const;
  void Leave(const GroupSpec& spec) const;

  const std::shared_ptr<TcpService>& shared_service() const { return service_; }
  const TcpService& service() const { return *service_; }

 private:
  TcpBackendMaker(std::shared_ptr<TcpService> service, std::shared_ptr<AddressExchange> exchange,
                  TcpLink given)
      : service_(std::move(service)), exchange_(std::move(exchange)), given_(given) {}

  /// What is known of the way to another host.
  struct Way {
    bool being_measured = false;
    TcpLink link;           // not measured: nobody has, or it took too long
    uint32_t failures = 0;  // in a row
    uint32_t groups_to_wait = 0;
  };
  /// Host and memory of the other end.
  using Place = std::pair<std::string, int32_t>;

  /// As it was given, or measured once between two hosts in this process's life. What could not be
  /// measured (a host that stood still for kProbeTimeout) is tried again: by the next group, then
  /// by every second, fourth and so on, so that a way that never answers costs few groups their
  /// time.
  void LearnLink(const std::shared_ptr<TcpEnd>& end);
  bool TakesTurn(Way& way) const;

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<AddressExchange> exchange_;
  const TcpLink given_;
  std::mutex mutex_;
  std::condition_variable measured_;
  std::map<Place, Way> ways_;  // guarded by mutex_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_BACKEND_MAKER_H_
