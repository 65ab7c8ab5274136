// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SERVICE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SERVICE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/tcp_connection.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_handshake.h"
#include "collectives/host/tcp/tcp_link.h"
#include "runtime/attach/fork_guard.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/port_claim.h"
#include "runtime/net/secret.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::collectives {

/// The thread of a process that lets connections in and makes them, for all of its groups: it
/// listens, authenticates both ways (tcp_handshake.h), hands what has been proven to the TcpEnd it
/// is for, carries first errors, notices and notes (TcpNotes) to the other members, and answers and
/// asks how far a member is. The data of ops never passes through it: who waits for an op moves
/// that itself.
///
/// One for each TcpBackendMaker. Thread-safe. In a forked child nothing of it works, and its
/// destruction touches nothing.
class TcpService {
 public:
  struct Config {
    std::string job;
    net::Secret key;                     // the job's, 32 bytes
    std::string listen_host;             // an address or name of this machine; "" = all of them
    net::PortRange ports{0, 0};          // {0, 0} = any
    std::vector<std::string> addresses;  // told to the others; empty = found out
    std::string host;
    std::string host_id;
    int32_t memory = -1;  // AddressCard's
    /// What the way between members costs. When set it is not measured, and what algorithms depend
    /// on is the same in every run; alike on all members.
    TcpLink link;
    /// Whether connections are sealed once they are authenticated, but for those that measure;
    /// alike on all members.
    bool encrypts = false;
    /// Connections over which a pair divides its data, 1 to kTcpFlowsMax; the least of both ends
    /// counts.
    int flows = 1;
  };

  /// Handshakes at once; the oldest makes room, so that strangers who say nothing keep nobody out.
  static constexpr size_t kMaxHandshakes = 256;
  /// For all of a handshake, either end, connecting included.
  static constexpr base::Duration kFlowTimeout = std::chrono::seconds(5);
  /// For telling an error to a member, and for those that are untold when the service ends.
  static constexpr base::Duration kTellTimeout = std::chrono::seconds(2);
  /// For somebody who measures (tcp_probe.h), and in one of its questions.
  static constexpr base::Duration kEchoTimeout = std::chrono::seconds(2);
  static constexpr uint64_t kProbeBytesMax = uint64_t{256} << 10;
  /// Of these at once; the oldest makes room. A group's members that live elsewhere are measured by
  /// one each, or by all of a machine.
  static constexpr size_t kMaxEchoes = 256;
  /// Members that have left groups of this process and are remembered as such.
  static constexpr size_t kMaxRemembered = 4096;

  /// Errors: InvalidArgument - the key has not 32 bytes, or no such address here; those of
  /// net::ListenTcp and net::OwnAddresses.
  static base::Result<std::shared_ptr<TcpService>> Start(Config config);
  ~TcpService();
  TcpService(const TcpService&) = delete;
  TcpService& operator=(const TcpService&) = delete;

  /// This process's, but for what the group decides.
  const AddressCard& card() const { return card_; }
  /// Connections that were refused, of whichever reason; measurements that made room too.
  uint64_t refused_total() const { return refused_total_.load(std::memory_order_relaxed); }

  /// From now on connections to that member of that group may come; its TcpEnd is made when all are
  /// known. Errors: AlreadyExists - another thread holds this member's place.
  base::Status Reserve(base::GroupId group, base::Round epoch, int member);
  void Register(const std::shared_ptr<TcpEnd>& end);
  /// Those who come for it from now on are told that it has left, after how many ops, and whether
  /// with an error.
  struct Farewell {
    uint64_t completed_seq = 0;
    bool failed = false;
  };
  void Unregister(base::GroupId group, base::Round epoch, int member, Farewell farewell);

  /// Makes a connection to that member and puts it into `end`; or says there that it is lost.
  void OpenFlow(const std::shared_ptr<TcpEnd>& end, TcpEnd::Flow flow);
  /// Asks `members` how far they are: facts of `end`.
  void Ask(const std::shared_ptr<TcpEnd>& end, std::vector<int> members);
  /// Tells the error of `end` to all other members.
  void TellError(const std::shared_ptr<TcpEnd>& end);
  /// Hands the notice of `end` on. A member that has not come yet gets it when it asks.
  void TellNotice(const std::shared_ptr<TcpEnd>& end);
  /// Sends this member's note of op `seq`, which end->notes() has, to all other members; again with
  /// all that are kept there when the connection to a member has to be made anew. How many are on
  /// their way, the caller bounds: a member that does not read may have them all still to come.
  void SendNote(const std::shared_ptr<TcpEnd>& end, uint64_t seq);

 private:
  using Connection = TcpConnection;
  using Key = std::tuple<base::GroupId, base::Round, int>;  // group, epoch, member here
  using ControlKey = std::pair<const TcpEnd*, int>;         // member there

  TcpService(Config config, net::TcpListenSockets sockets, AddressCard card);

  void Post(std::function<void()> command);
  // The rest on the service's thread alone.
  void ThreadMain();
  bool Done() const;
  /// Whether anything waits for an hour: a look has to come.
  bool IsTimed() const;
  void RunCommands();
  void Accept(int listener_fd);
  void Listen(bool listens);
  Connection& Add(std::unique_ptr<Connection> connection);
  void Drop(uint64_t id);
  void Watch(Connection& connection, uint32_t events);
  void ExpireOld();

  void Begin(const std::shared_ptr<TcpEnd>& end, TcpEnd::Flow flow, std::string first_frames);
  void ConnectNext(Connection& connection);
  void OnEvent(uint64_t id, uint32_t events);
  void OnConnected(Connection& connection);
  void OnReadable(Connection& connection);
  void ReadOnce(Connection& connection);
  void OnHello(Connection& connection);
  void OnAnswer(Connection& connection);
  void OnProof(Connection& connection);
  void BeginEcho(Connection& connection);
  void OnEcho(Connection& connection);
  void OnControl(Connection& connection);
  bool OnControlFrame(Connection& connection, const FrameHeader& header,
                      std::span<const std::byte> payload);
  void SayLeft(Connection& connection);
  void SendState(Connection& connection);
  /// Frames of this member's own that are kept.
  static std::string NotesOf(const TcpEnd& end);
  bool OnNotice(Connection& connection, std::span<const std::byte> payload);
  void Flush(Connection& connection);
  void Reopen(Connection& connection);
  void Lost(Connection& connection, const std::string& reason,
            PeerFact::Loss loss = PeerFact::Loss::kGone);
  /// What becomes of a control frame when the connection is slow or ends: one told is given
  /// kTellTimeout and sent again over another; a note goes with all that are kept when another
  /// opens; a question needs none in front of it.
  enum class Sending : uint8_t { kTold, kNote, kQuestion };
  void Control(const std::shared_ptr<TcpEnd>& end, int member, std::string frame, Sending sending);
  HandshakeKey KeyFor(const AddressCard& listener) const;
  bool Seals(FlowPurpose purpose) const {
    return config_.encrypts && purpose != FlowPurpose::kMeasure;
  }
  bool SealIt(Connection& connection, HandshakeRole role, const HandshakeKey& key);

  const Config config_;
  const net::TcpListenSockets sockets_;
  const AddressCard card_;
  lockstep_fork_guard guard_;
  const base::UniqueFd epoll_;
  const base::UniqueFd bell_;
  std::atomic<uint64_t> refused_total_{0};
  base::RealClock clock_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::deque<std::function<void()>> commands_;
  std::map<Key, std::shared_ptr<TcpEnd>> ends_;  // null = reserved
  std::map<Key, Farewell> left_;
  std::deque<Key> left_order_;
  bool stopping_ = false;

  // The service's thread alone:
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::map<ControlKey, uint64_t> controls_;
  base::SteadyTime listen_at_ = base::SteadyTime::max();  // again
  std::deque<uint64_t> handshakes_;                       // of strangers, oldest first
  std::deque<uint64_t> echoes_;                           // of those who measure, oldest first
  std::vector<std::byte> echo_buffer_;
  uint64_t next_id_ = 16;  // below: the bell and the listeners
  base::SteadyTime stop_by_{};

  std::thread thread_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_SERVICE_H_
