// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/broken_network.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/base/ids.h"

namespace lockstep::collectives {
namespace {

using Class = Finding::Class;
using Link = Finding::BrokenLink;
using Hosts = std::set<std::string>;

/// An end of a connection of version 4 is written in two ways by one of version 6.
std::string Plain(const std::string& address) {
  constexpr std::string_view kMapped = "[::ffff:";
  const size_t end = address.find(']');
  if (!address.starts_with(kMapped) || end == std::string::npos ||
      address.find('.') == std::string::npos)
    return address;
  return address.substr(kMapped.size(), end - kMapped.size()) + address.substr(end + 1);
}

bool IsHeard(const SeenRank& rank) {
  const ProcessState state = rank.process.state;
  return rank.node_answers && rank.ring_read && state != ProcessState::kUnknown &&
         state != ProcessState::kEnded && state != ProcessState::kNeverStarted;
}

/// Backoff doubles what it waits each time. What is sent again once or twice says nothing yet.
constexpr uint32_t kLeastRetransmits = 3;
constexpr uint32_t kBackedOff = 2;
constexpr uint32_t kDoublingsMax = 16;
constexpr uint64_t kSentOfOneLost = 200;
constexpr uint64_t kUsualRtoMs = 200;  // the first one, of a kernel that does not say

/// For how long at least no byte of what it sent has been acknowledged.
base::Duration UnansweredFor(const SeenSocket& socket) {
  if (socket.unacked_bytes == 0) return base::Duration(0);
  const uint64_t doubled = uint64_t{1} << std::min(socket.retransmits, kDoublingsMax);
  // That it waits for now, of which the others were halves, quarters, ...
  const uint64_t rto_ms = socket.rto_ms > 0 ? socket.rto_ms : kUsualRtoMs * doubled;
  return std::chrono::milliseconds(rto_ms * (doubled - 1) / doubled);
}

bool IsBroken(const SeenSocket& socket, const BrokenNetworkOptions& options) {
  return socket.retransmits >= kLeastRetransmits && UnansweredFor(socket) >= options.broken_after;
}

bool AnyIsBroken(const Evidence& evidence, const BrokenNetworkOptions& options) {
  return std::any_of(evidence.ranks.begin(), evidence.ranks.end(), [&](const SeenRank& rank) {
    return std::any_of(rank.sockets.begin(), rank.sockets.end(),
                       [&](const SeenSocket& socket) { return IsBroken(socket, options); });
  });
}

/// The connections between ranks that are heard.
class Connections {
 public:
  Connections(const Evidence& evidence, const BrokenNetworkOptions& options) {
    std::map<std::pair<std::string, std::string>, const SeenRank*> ends;
    std::set<Pair> delivering;
    std::set<std::pair<std::string, std::string>> broken_ends;  // of both directions
    for (const SeenRank& rank : evidence.ranks) {
      if (!IsHeard(rank)) continue;
      hosts_[rank.rank] = rank.process.host;
      for (const SeenSocket& socket : rank.sockets) {
        const std::pair near(Plain(socket.local), Plain(socket.remote));
        ends.emplace(near, &rank);
        if (!IsBroken(socket, options)) continue;
        broken_ends.insert(near);
        broken_ends.emplace(near.second, near.first);
      }
    }
    for (const SeenRank& rank : evidence.ranks) {
      if (!IsHeard(rank)) continue;
      for (const SeenSocket& socket : rank.sockets) {
        const auto peer = ends.find({Plain(socket.remote), Plain(socket.local)});
        if (peer == ends.end() || peer->second == &rank) continue;
        const base::Rank to = peer->second->rank;
        const Pair pair = std::minmax(rank.rank, to);
        joined_.insert(pair);
        // What comes back over a broken one may have been sent later, and waits as much.
        const bool is_other = !broken_ends.contains({Plain(socket.local), Plain(socket.remote)});
        if (is_other && socket.unacked_bytes > 0 && socket.retransmits < kBackedOff)
          delivering.insert(pair);
        if (IsBroken(socket, options))
          broken_.push_back({.from = rank.rank, .to = to, .socket = socket});
      }
    }
    // Where any connection of the two carries bytes the network does: one of several that is in
    // backoff for a while is a loss, not a cut.
    std::erase_if(broken_, [&](const Link& link) {
      return delivering.contains(std::minmax(link.from, link.to));
    });
    for (const Link& link : broken_) joined_.erase(std::minmax(link.from, link.to));
    // Of several from one to the other the one with most under way.
    std::stable_sort(broken_.begin(), broken_.end(), [](const Link& a, const Link& b) {
      return std::tuple(a.from, a.to, b.socket.unacked_bytes) <
             std::tuple(b.from, b.to, a.socket.unacked_bytes);
    });
    broken_.erase(
        std::unique(broken_.begin(), broken_.end(),
                    [](const Link& a, const Link& b) { return a.from == b.from && a.to == b.to; }),
        broken_.end());
  }

  const std::vector<Link>& broken() const { return broken_; }
  const std::string& HostOf(base::Rank rank) const { return hosts_.at(rank); }

  /// Machines that are joined directly or through others, as ranks. Links between two that are both
  /// broken and whole are broken: connections are many.
  std::vector<std::vector<base::Rank>> Parts() const {
    std::set<std::pair<std::string, std::string>> broken;
    for (const Link& link : broken_) {
      broken.emplace(HostOf(link.from), HostOf(link.to));
      broken.emplace(HostOf(link.to), HostOf(link.from));
    }
    std::map<std::string, Hosts> next;
    for (const auto& [from, to] : joined_) {
      if (broken.contains({HostOf(from), HostOf(to)})) continue;
      next[HostOf(from)].insert(HostOf(to));
      next[HostOf(to)].insert(HostOf(from));
    }
    std::vector<std::vector<base::Rank>> parts;
    Hosts seen;
    for (const auto& [rank, host] : hosts_) {
      if (seen.contains(host)) continue;
      Hosts part;
      std::vector<std::string> open{host};
      while (!open.empty()) {
        const std::string at = std::move(open.back());
        open.pop_back();
        if (!part.insert(at).second) continue;
        open.insert(open.end(), next[at].begin(), next[at].end());
      }
      seen.insert(part.begin(), part.end());
      std::vector<base::Rank>& ranks = parts.emplace_back();
      for (const auto& [member, on] : hosts_) {
        if (part.contains(on)) ranks.push_back(member);
      }
    }
    return parts;
  }

  /// Pairs of machines with a broken link.
  size_t BrokenPairs() const {
    std::set<std::pair<std::string, std::string>> pairs;
    for (const Link& link : broken_) pairs.emplace(std::minmax(HostOf(link.from), HostOf(link.to)));
    return pairs.size();
  }

 private:
  using Pair = std::pair<base::Rank, base::Rank>;  // the lower one first

  std::map<base::Rank, std::string> hosts_;
  std::vector<Link> broken_;
  std::set<Pair> joined_;
};

/// The longest wait in an op to which all have come, of whose callers the link joins two.
const Wait* StallOver(const Link& link, const WaitGraph& waits, base::Duration grace) {
  const Wait* longest = nullptr;
  for (const Wait& wait : waits.waits()) {
    if (!wait.is_complete() || wait.op->age < grace) continue;
    const auto takes_part = [&](base::Rank rank) {
      const std::vector<base::Rank>& called = wait.awaited->called;
      return rank == wait.waiter || std::find(called.begin(), called.end(), rank) != called.end();
    };
    if (!takes_part(link.from) || !takes_part(link.to)) continue;
    if (longest == nullptr || wait.op->age > longest->op->age) longest = &wait;
  }
  return longest;
}

/// The one machine at which all links end, if there is one only.
std::optional<std::string> CommonHost(const std::vector<Link>& links, const Connections& all) {
  std::vector<std::string> common;
  for (const std::string& host : {all.HostOf(links[0].from), all.HostOf(links[0].to)}) {
    if (std::all_of(links.begin(), links.end(), [&](const Link& link) {
          return all.HostOf(link.from) == host || all.HostOf(link.to) == host;
        }))
      common.push_back(host);
  }
  return common.size() == 1 ? std::optional(common[0]) : std::nullopt;
}

void Name(const std::set<base::Rank>& ranks, Finding& finding) {
  for (const base::Rank rank : ranks) finding.culprits.push_back({rank});
}

}  // namespace

std::vector<PacketLosses> FindPacketLosses(const Evidence& evidence) {
  std::map<std::string, PacketLosses> losses;  // all ranks have their machine's
  for (const SeenRank& rank : evidence.ranks) {
    const SeenProcess& process = rank.process;
    if (process.segments_lost >= kLeastPacketsLost &&
        process.segments_lost > process.segments_sent / kSentOfOneLost) {
      losses[process.host] = {
          .host = process.host, .sent = process.segments_sent, .lost = process.segments_lost};
    }
  }
  std::vector<PacketLosses> found;
  for (auto& [_, of_host] : losses) found.push_back(std::move(of_host));
  return found;
}

std::optional<Finding> FindBrokenNetwork(const Evidence& evidence, const WaitGraph& waits,
                                         const BrokenNetworkOptions& chosen) {
  // Jobs of many nodes have 100,000 connections, and mostly all is well.
  if (!AnyIsBroken(evidence, chosen)) return std::nullopt;
  BrokenNetworkOptions options = chosen;
  if (!FindPacketLosses(evidence).empty())
    options.broken_after = std::max(options.broken_after, kSilenceOfLosses);
  const Connections connections(evidence, options);
  Finding finding{.verdict_class = Class::kNetworkStall, .is_provable = true};
  for (const Link& link : connections.broken()) {
    const Wait* const wait = StallOver(link, waits, options.grace);
    if (wait == nullptr) continue;
    finding.links.push_back(link);
    if (finding.op.has_value() && finding.waited >= wait->op->age) continue;
    finding.op = *wait->op;
    finding.waited = wait->op->age;
  }
  if (finding.links.empty()) return std::nullopt;

  std::vector<std::vector<base::Rank>> parts = connections.Parts();
  if (parts.size() == 2 && connections.BrokenPairs() > 1) {
    if (parts[1].size() < parts[0].size()) std::swap(parts[0], parts[1]);
    finding.verdict_class = Class::kPartition;
    finding.is_tie = parts[0].size() == parts[1].size();
    std::set<base::Rank> named(parts[0].begin(), parts[0].end());
    if (finding.is_tie) named.insert(parts[1].begin(), parts[1].end());
    finding.parts = std::move(parts);
    Name(named, finding);
    return finding;
  }
  const std::optional<std::string> common = CommonHost(finding.links, connections);
  std::set<base::Rank> named;
  for (const Link& link : finding.links) {
    for (const base::Rank end : {link.from, link.to}) {
      if (!common.has_value() || connections.HostOf(end) == *common) named.insert(end);
    }
  }
  Name(named, finding);
  return finding;
}

}  // namespace lockstep::collectives
