// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_HOSTS_FAULTS_H_
#define LOCKSTEP_TESTS_HOSTS_FAULTS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::hosts {

/// Each host has one of each, in two networks that do not know of each other.
enum class Nic : uint8_t { kData = 0, kMgmt = 1 };
constexpr std::array<Nic, 2> kNics = {Nic::kData, Nic::kMgmt};

/// Which network a fault is about; both unless one is named.
enum class Nics : uint8_t { kBoth, kData, kMgmt };
bool Covers(Nics nics, Nic nic);

/// A frame's way through the bridge. kController is the bridge's own address.
constexpr int kController = -1;
struct Way {
  int from = kController;
  int to = kController;
};

/// "data0" and "mgmt0", as programs on a host see it.
std::string NicName(Nic nic);
/// The bridge's end of it: "h3-data".
std::string PortName(int host, Nic nic);

/// What is wrong with the network between the hosts. It belongs to the network: a host that is
/// killed and booted comes back into the same trouble. A value.
struct Faults {
  struct OneWay {
    Way way;
    Nics nics = Nics::kBoth;
  };
  struct PerNic {
    bool cut = false;      // the link is down: the host sees its carrier go
    bool drop = false;     // nothing passes and nobody is told
    int loss_percent = 0;  // of frames, each way
    int rate_mbit = 0;     // each way; 0 = no limit
  };

  explicit Faults(int host_count) : hosts(static_cast<size_t>(host_count)) {}

  PerNic& At(int host, Nic nic);
  const PerNic& At(int host, Nic nic) const;

  std::vector<std::array<PerNic, 2>> hosts;
  std::vector<OneWay> one_way;
};

/// The input of `nft -f -` that puts the drops and losses of `faults` in force on the bridges, in
/// place of those before, in one transaction. ARP and neighbour discovery pass: a sender meets
/// silence, as behind a firewall, and not "no route to host".
std::string NftRules(const Faults& faults);

}  // namespace lockstep::hosts

#endif  // LOCKSTEP_TESTS_HOSTS_FAULTS_H_
