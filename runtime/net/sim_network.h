// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_SIM_NETWORK_H_
#define LOCKSTEP_RUNTIME_NET_SIM_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/base/status.h"
#include "runtime/event/sim_loop.h"
#include "runtime/net/network.h"

namespace lockstep::net {

/// Hosts and the network between them, in simulated time, for tests of whatever speaks through
/// net::Network. Owned by the test, which tells it what goes wrong; what it has handed out must be
/// gone before it. One seed and one sequence of calls give the same run, bit for bit. Confined to
/// the loop's thread.
///
/// Connections behave as TCP's do. Within one, messages come in order and none is lost while it
/// lives: what is sent into a cut path arrives after it heals, unless the sender gives up before.
/// Across connections nothing is ordered: the last messages of an old one may come after the first
/// of its successor. What is under way when a connection breaks is lost or not, and its sender does
/// not learn which. Nobody is told of a silence.
///
///   SimNetwork net(loop, seed);
///   auto a = net.Join("a", {.job = "j"}), b = net.Join("b", {.job = "j"});
///   auto listener = a->Listen({}, ...);
///   auto connecting = b->Connect({listener.value()->endpoint()}, 5s, ...);
///   net.Partition("a", "b");
class SimNetwork {
 public:
  struct Options {
    size_t payload_bytes_max = size_t{1} << 20;  // of one message
    size_t queue_bytes_max = size_t{4} << 20;    // that a sender may have unsent
    size_t window_bytes = size_t{256} << 10;     // sent and not yet read: the kernels' buffers
    /// Until a sender whose data is not acknowledged, or whose peer's machine has died, finds its
    /// connection timed out.
    base::Duration give_up_after = std::chrono::seconds(20);
    base::Duration retransmit_max = std::chrono::milliseconds(200);  // after a path has healed
    base::Duration attempt_timeout = std::chrono::seconds(3);        // to connect, once
    base::Duration retry_pause = std::chrono::milliseconds(100);     // between rounds of attempts
  };

  /// The way from one host to another; the way back is another one.
  struct Path {
    base::Duration latency_min = std::chrono::microseconds(50);
    base::Duration latency_max = std::chrono::microseconds(200);
    uint64_t bytes_per_second = 0;  // 0 = as many as come
    bool cut = false;               // nothing arrives, and nothing says so
    /// What no TCP does, for the robustness of what reads messages: per cent of all messages.
    int dropped_percent = 0;
    int duplicated_percent = 0;
    int reordered_percent = 0;
  };

  /// Of one process on a host.
  struct Identity {
    std::string job;   // whoever has another is a stranger: PermissionDenied
    std::string name;  // what its peers see as Peer::name
  };

  enum class Death : uint8_t {
    kSilent,  // the machine is off: peers learn it by their timeouts
    kReset,   // its processes were killed: the kernel resets their connections, refuses new ones
  };

  SimNetwork(event::SimLoop& loop, uint64_t seed) : SimNetwork(loop, seed, Options()) {}
  SimNetwork(event::SimLoop& loop, uint64_t seed, Options options);
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  /// A process on that host, which comes into being with the first.
  std::unique_ptr<Network> Join(const std::string& host, Identity identity);

  // What goes wrong. Hosts that were never named before come into being by it.

  void SetPath(const std::string& from, const std::string& to, const Path& path);
  /// Both ways, between all hosts, those to come too. Ends no cut of Cut() or Partition().
  void SetAllPaths(const Path& path);
  void Cut(const std::string& from, const std::string& to);  // one way only
  void Partition(const std::string& a, const std::string& b);
  void Heal(const std::string& a, const std::string& b);
  /// Every connection between the two breaks, and both sides are told.
  void Reset(const std::string& a, const std::string& b);
  /// Every connection between the two breaks on the side of `dead` alone; the other learns of it
  /// when it sends something.
  void HalfOpen(const std::string& dead, const std::string& unaware);
  /// Connects to it are refused, although somebody listens.
  void RefuseConnects(const std::string& host, bool refuse);
  /// Objects on that host never call back again and send nothing; the test destroys them when it
  /// likes.
  void Die(const std::string& host, Death death);
  /// A dead machine is back, without memory of its connections: whoever sends into one is told.
  void Boot(const std::string& host);

  /// Of everything that has happened so far: equal in two runs that are the same.
  uint64_t fingerprint() const { return fingerprint_; }
  /// Handed out or waiting to be, and not closed on both sides.
  size_t connection_count() const { return wires_.size(); }

 private:
  class SimConnection;
  class SimListener;
  class SimConnecting;
  class SimNode;
  struct Host;
  struct Segment;
  struct End;
  struct Wire;
  using WirePtr = std::shared_ptr<Wire>;
  struct Pending {
    event::Registration timer;
    std::function<void()> what;
  };

  int HostId(const std::string& name);
  Host& HostAt(int id);
  int Resolve(const std::string& name, int from) const;
  bool Passes(int from, int to) const;
  Path& PathOf(int from, int to);
  const Path& PathOf(int from, int to) const;
  base::Duration Latency(int from, int to);
  base::Duration Upto(base::Duration limit);
  bool Chance(int percent);
  void Note(uint64_t what, uint64_t which);
  /// Once, unless this network is gone by then.
  void After(base::Duration delay, std::function<void()> what);

  WirePtr MakeWire(int client, int server, uint16_t server_port, const Identity& who);
  template <class What>
  void ForEachWireBetween(int a, int b, What what);
  void Forget(const WirePtr& wire);

  // A connection's life; `side` indexes Wire::ends.
  base::Status Send(const WirePtr& wire, int side, std::string payload);
  void CloseByOwner(const WirePtr& wire, int side, base::Status why);
  void Pump(const WirePtr& wire, int side);
  void Transmit(const WirePtr& wire, int side, const Segment& segment);
  void Arrive(const WirePtr& wire, int side, uint64_t number, uint64_t transmission);
  bool MayOpen(const WirePtr& wire);
  void HandOut(const WirePtr& wire);
  void TakeIn(const WirePtr& wire, int side, const Segment& segment);
  void Drain(const WirePtr& wire, int side);
  void Acknowledge(const WirePtr& wire, int receiver);
  void EndBy(const WirePtr& wire, int side, base::Status why);
  void Break(const WirePtr& wire, int side, base::Status why);
  void SendReset(const WirePtr& wire, int to);
  void RetransmitSoon(const WirePtr& wire);
  void WatchForSilence(const WirePtr& wire, int side, base::Duration delay);

  event::SimLoop& loop_;
  base::Random random_;
  const Options options_;
  std::deque<Host> hosts_;  // stable addresses
  std::map<std::string, int> host_ids_;
  Path default_path_;
  std::map<std::pair<int, int>, Path> paths_;
  std::map<std::pair<int, int>, base::SteadyTime> busy_until_;  // of slow paths
  std::map<uint64_t, WirePtr> wires_;
  std::map<uint64_t, Pending> pending_;
  uint64_t next_pending_ = 0;
  uint64_t next_wire_ = 0;
  uint64_t fingerprint_ = 0xcbf29ce484222325u;
  int objects_ = 0;  // handed out and not yet destroyed
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_SIM_NETWORK_H_
