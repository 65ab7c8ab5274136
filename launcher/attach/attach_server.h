// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_ATTACH_SERVER_H_
#define LOCKSTEP_LAUNCHER_ATTACH_ATTACH_SERVER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "elastic/gang_state.h"
#include "launcher/attach/card_carrier.h"
#include "launcher/attach/gone_list.h"
#include "launcher/attach/group_segments.h"
#include "runtime/attach/attach_wire.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// The agent's end of the attach protocol (runtime/attach/attach_wire.h): where the ranks of one
/// job meet it. One an agent. All ranks come to one listening socket; the cookie in a rank's
/// environment tells which rank and incarnation it is. So a rank costs nothing on the launch path
/// but random bytes, and its recorder ring is made when it attaches.
///
/// A ring outlives its rank's process, until the round ends: it is evidence. A segment is held
/// until every member of its group has it, or the round ends; its memory goes when the last member
/// has unmapped it. What ranks may keep the agent from forgetting is bounded (Limits); beyond it
/// they are refused with a reason.
///
/// Of a rank's processes (itself, and helpers that inherited its cookie) one at a time gets
/// segments and publishes cards: the first that asks, for as long as it is attached.
///
/// Life of a connection: accepted (uid checked) -> hello within hello_timeout -> world sent ->
/// messages and notices, until either side closes, the rank breaks the protocol, or the round ends.
///
/// Threads: confined to the loop's thread. Callbacks come from the loop, and may call back.
class AttachServer {
 public:
  struct Limits {
    int connections = 4096;        // of all ranks together
    int connections_per_rank = 8;  // a session, its groups that are being made, shims, helpers
    GroupSegments::Limits segments;
    base::Duration hello_timeout = std::chrono::seconds(10);
  };

  struct Config {
    std::string socket_path;           // at most 107 bytes; its folder exists and is ours
    std::string job_id;                // at most 127 bytes
    std::string host;                  // for the records; at most 255 bytes
    std::string boot_id;               // "" = read from /proc
    std::string checkpoint_directory;  // "" = none; at most 4095 bytes
    Limits limits;
    CardCarrier* cards = nullptr;  // as SetCarrier
    std::function<void(base::Rank, base::Incarnation, int64_t step)> on_progress;
    bool keeps_survivors = false;  // ranks are told that they may go on without others
    /// A rank gives up another one, of whichever node.
    std::function<void(base::Rank, base::Incarnation, const elastic::GoneRank&)> on_accused;
  };

  /// A rank's place in its world.
  struct RankWorld {
    base::Rank rank;
    base::LocalRank local_rank;
    base::Incarnation incarnation;
    base::Round round;
    int world_size = 1;
    int local_world_size = 1;
    base::NodeIndex node_index;
    int node_count = 1;
    int restart_count = 0;
  };

  /// Listens. `loop` outlives the server.
  /// Errors: InvalidArgument - a text too long; AlreadyExists - another server listens at the path;
  /// errno's codes.
  static base::Result<std::unique_ptr<AttachServer>> Create(Config config, event::Loop& loop);
  /// Closes everything and removes the socket file.
  ~AttachServer();

  const std::string& socket_path() const { return config_.socket_path; }

  /// Lets this incarnation of the rank attach from now on, until the round ends. An earlier
  /// incarnation's cookie becomes void. Returns the cookie for its environment: 64 hexadecimal
  /// digits.
  std::string AddRank(const RankWorld& world);

  /// Tells all ranks, also those that attach later in this round, to finish their step, save and
  /// end.
  void RequestStop(base::Duration grace);
  /// Tells all ranks that are attached to save a checkpoint.
  void RequestCheckpoint();

  /// Who brings cards to other machines from now on; outlives the server. Null: there are none.
  void SetCarrier(CardCarrier* cards);
  /// What ranks are told that are to be reached from other machines, in its round: once another one
  /// is in force they are refused, until they are to be told of that one's.
  void SetNetwork(RankNetwork network);
  /// Answers the card of that connection (CardCarrier): with the table `fd`, or with `error`.
  void AnswerCard(uint64_t connection, const base::Status& error, int fd, uint64_t table_bytes);

  /// Round `next` is in force, without `gone`, of all nodes: those of this node are not served any
  /// more. The others are told, and whoever waits for cards is answered with Aborted.
  void GoOn(base::Round next, const std::vector<elastic::GoneRank>& gone);

  /// Closes all connections, voids all cookies, drops rings and segments, forgets a requested stop.
  void EndRound();

  /// The recorder ring of the rank's latest incarnation, readable until the round ends; -1 when it
  /// never attached.
  int RecorderFd(base::Rank rank) const;

 private:
  using Cookie = std::array<uint8_t, LOCKSTEP_ATTACH_COOKIE_BYTES>;
  struct Member {
    RankWorld world;
    Cookie cookie{};
    base::UniqueFd ring;
    bool is_gone = false;          // not of the round in force
    std::set<base::Rank> accused;  // each once: what is told further is bounded by the ranks
  };
  struct Notices {
    bool stop = false;
    bool checkpoint = false;
    bool round = false;
    bool any() const { return stop || checkpoint || round; }
  };
  struct Connection {
    base::UniqueFd socket;
    int64_t pid = 0;
    std::optional<base::Rank> rank;                    // once it has said hello
    uint16_t version = 0;                              // of the protocol, agreed upon then
    bool has_groups = false;                           // got segments or the key, or sent a card
    std::optional<lockstep_attach_cards> card_answer;  // what the card that it waits for will have
    bool watches_rounds = false;
    Notices due;  // not sent yet
    bool watches_writable = false;
    event::Registration watch;
    event::Registration hello_timer;
  };
  using Connections = std::map<uint64_t, Connection>;

  AttachServer(Config config, event::Loop& loop, base::UniqueFd listener);

  void OnConnecting();
  void OnReady(uint64_t id, event::Readiness readiness);
  /// False when the connection is no more.
  bool OnMessage(uint64_t id, const lockstep_attach_message& message) REQUIRES(seq_);
  bool OnHello(uint64_t id, const lockstep_attach_hello& hello) REQUIRES(seq_);
  bool OnSegmentRequest(uint64_t id, const lockstep_attach_segment_request& request) REQUIRES(seq_);
  bool OnProgress(uint64_t id, const lockstep_attach_progress& progress) REQUIRES(seq_);
  bool OnNetworkRequest(uint64_t id) REQUIRES(seq_);
  bool OnCard(uint64_t id, const lockstep_attach_card& card) REQUIRES(seq_);
  bool OnGiveUp(uint64_t id) REQUIRES(seq_);
  bool OnWatchRounds(uint64_t id) REQUIRES(seq_);
  bool OnExclude(uint64_t id, const lockstep_attach_exclude& exclude) REQUIRES(seq_);
  void Drop(uint64_t id);
  void Refuse(uint64_t id, const base::Status& why) REQUIRES(seq_);

  Member* FindByCookie(const uint8_t* cookie) REQUIRES(seq_);
  base::Status PrepareRing(Member& member) REQUIRES(seq_);
  bool SendWorld(Connection& connection, const Member& member);
  /// Whether this process may take part in groups of that epoch as its rank.
  base::Status MayJoin(const Connection& connection, uint32_t epoch) const REQUIRES(seq_);
  base::Status MayServe(const Connection& connection) const REQUIRES(seq_);
  base::Round round_of(const Member& member) const REQUIRES(seq_) {
    return survivors_round_.value_or(member.world.round);
  }
  void Notify(bool Notices::* notice) REQUIRES(seq_);
  bool SendDueNotices(Connection& connection) REQUIRES(seq_);

  base::Sequence seq_;
  const Config config_;
  event::Loop& loop_;
  const base::UniqueFd listener_;
  std::string boot_id_;

  // Confined to the loop:
  std::map<base::Rank, Member> members_ GUARDED_BY(seq_);
  Connections connections_ GUARDED_BY(seq_);
  GroupSegments segments_ GUARDED_BY(seq_);
  uint64_t next_connection_ GUARDED_BY(seq_) = 1;
  CardCarrier* cards_ GUARDED_BY(seq_);
  std::optional<RankNetwork> network_ GUARDED_BY(seq_);
  std::optional<base::Round> survivors_round_ GUARDED_BY(seq_);  // since ranks have gone on
  GoneList gone_ GUARDED_BY(seq_);
  std::optional<base::Duration> stop_grace_ GUARDED_BY(seq_);
  uint64_t checkpoint_number_ GUARDED_BY(seq_) = 0;
  event::Registration accept_watch_;
  event::Registration accept_again_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_ATTACH_SERVER_H_
