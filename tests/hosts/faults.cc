// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/hosts/faults.h"

namespace lockstep::hosts {
namespace {

/// One chain a hook: between hosts a frame is forwarded, to the controller it is input, from it
/// output. There the name of the other side is unknown to the hook, and not needed.
struct Chains {
  std::string forward;
  std::string input;
  std::string output;
};

std::string Port(const char* side, int host, Nic nic) {
  return std::string(side) + " \"" + PortName(host, nic) + "\" ";
}

/// All frames from and to a host.
void AddForHost(Chains& chains, int host, Nic nic, const std::string& action) {
  chains.forward += Port("iifname", host, nic) + action + "\n";
  chains.forward += Port("oifname", host, nic) + action + "\n";
  chains.input += Port("iifname", host, nic) + action + "\n";
  chains.output += Port("oifname", host, nic) + action + "\n";
}

void AddForWay(Chains& chains, Way way, Nic nic) {
  if (way.to == kController) {
    chains.input += Port("iifname", way.from, nic) + "drop\n";
  } else if (way.from == kController) {
    chains.output += Port("oifname", way.to, nic) + "drop\n";
  } else {
    chains.forward += Port("iifname", way.from, nic) + Port("oifname", way.to, nic) + "drop\n";
  }
}

std::string Chain(const std::string& hook, const std::string& rules) {
  return "chain " + hook + " {\ntype filter hook " + hook +
         " priority 0\nether type arp accept\n"
         "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n" +
         rules + "}\n";
}

}  // namespace

bool Covers(Nics nics, Nic nic) {
  return nics == Nics::kBoth || (nics == Nics::kData) == (nic == Nic::kData);
}

std::string NicName(Nic nic) { return nic == Nic::kData ? "data0" : "mgmt0"; }

std::string PortName(int host, Nic nic) {
  return "h" + std::to_string(host) + (nic == Nic::kData ? "-data" : "-mgmt");
}

Faults::PerNic& Faults::At(int host, Nic nic) {
  return hosts[static_cast<size_t>(host)][static_cast<size_t>(nic)];
}

const Faults::PerNic& Faults::At(int host, Nic nic) const {
  return hosts[static_cast<size_t>(host)][static_cast<size_t>(nic)];
}

std::string NftRules(const Faults& faults) {
  Chains chains;
  for (int host = 0; host < static_cast<int>(faults.hosts.size()); ++host) {
    for (Nic nic : kNics) {
      const Faults::PerNic& at = faults.At(host, nic);
      if (at.drop) AddForHost(chains, host, nic, "drop");
      if (at.loss_percent == 100) {
        AddForHost(chains, host, nic, "drop");  // nft compares with less than 100 alone
      } else if (at.loss_percent > 0) {
        AddForHost(chains, host, nic,
                   "numgen random mod 100 < " + std::to_string(at.loss_percent) + " drop");
      }
    }
  }
  for (const Faults::OneWay& fault : faults.one_way) {
    for (Nic nic : kNics) {
      if (Covers(fault.nics, nic)) AddForWay(chains, fault.way, nic);
    }
  }
  // Named first so that deleting it cannot fail.
  return "table bridge faults\ndelete table bridge faults\ntable bridge faults {\n" +
         Chain("forward", chains.forward) + Chain("input", chains.input) +
         Chain("output", chains.output) + "}\n";
}

}  // namespace lockstep::hosts
