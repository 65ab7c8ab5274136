// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_service.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "collectives/engine/quiet_thread.h"
#include "collectives/host/tcp/flow_io.h"
#include "collectives/host/tcp/tcp_line.h"
#include "runtime/net/own_addresses.h"

namespace lockstep::collectives {
namespace {

constexpr uint64_t kBellId = 0;
constexpr size_t kJobKeyBytes = 32;
constexpr int kLookMs = 10;  // while there are deadlines
constexpr base::Duration kLook = std::chrono::milliseconds(kLookMs);
constexpr base::Duration kListenPause = std::chrono::milliseconds(100);  // without descriptors

}  // namespace

// ---------------------------------------------------------------------------------------- its life

base::Result<std::shared_ptr<TcpService>> TcpService::Start(Config config) {
  if (config.key.view().size() != kJobKeyBytes) {
    return base::InvalidArgumentError("the key of job " + config.job + " has " +
                                      std::to_string(config.key.view().size()) +
                                      " bytes; it must have 32");
  }
  if (config.flows < 1 || config.flows > kTcpFlowsMax) {
    return base::InvalidArgumentError(std::to_string(config.flows) +
                                      " connections a pair; there can be 1 to " +
                                      std::to_string(kTcpFlowsMax));
  }
  ASSIGN_OR_RETURN(net::TcpListenSockets sockets, net::ListenTcp(config.listen_host, config.ports));
  AddressCard card;
  card.addresses = config.addresses;
  if (card.addresses.empty() && !config.listen_host.empty()) {
    card.addresses = {net::LocalAddressOf(sockets.fds.front().get()).HostText()};
  } else if (card.addresses.empty()) {
    ASSIGN_OR_RETURN(card.addresses, net::OwnAddresses());
    if (card.addresses.empty()) card.addresses = {"127.0.0.1"};  // a machine without a network
  }
  card.port = sockets.port;
  net::FillRandom(card.nonce);
  card.host_id = config.host_id;
  card.memory = config.memory;
  card.encrypts = config.encrypts;
  card.flows = config.flows;
  card.host = config.host;
  card.pid = ::getpid();
  return std::shared_ptr<TcpService>(
      new TcpService(std::move(config), std::move(sockets), std::move(card)));
}

TcpService::TcpService(Config config, net::TcpListenSockets sockets, AddressCard card)
    : config_(std::move(config)),
      sockets_(std::move(sockets)),
      card_(std::move(card)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  lockstep_fork_guard_init(&guard_);
  const auto add = [this](int fd, uint64_t id) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  };
  add(bell_.get(), kBellId);
  for (size_t i = 0; i < sockets_.fds.size() && i + 1 < next_id_; ++i)
    add(sockets_.fds[i].get(), i + 1);
  thread_ = StartQuietThread("tcp-service", [this] { ThreadMain(); });
}

TcpService::~TcpService() {
  if (!lockstep_fork_guard_is_owner(&guard_)) {
    (void)new std::thread(std::move(thread_));  // runs in the parent alone
    for (auto& [id, connection] : connections_) (void)connection.release();
    return;
  }
  Post([this] {
    stop_by_ = clock_.Now() + kTellTimeout;
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  });
  thread_.join();
  lockstep_fork_guard_free(&guard_);
}

void TcpService::Post(std::function<void()> command) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(std::move(command));
  }
  const uint64_t one = 1;
  (void)!::write(bell_.get(), &one, sizeof one);
}

void TcpService::RunCommands() {
  uint64_t rings;
  (void)!::read(bell_.get(), &rings, sizeof rings);
  std::deque<std::function<void()>> commands;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) command();
}

bool TcpService::Done() const {
  if (stop_by_ == base::SteadyTime()) return false;
  if (clock_.Now() >= stop_by_) return true;
  return std::none_of(connections_.begin(), connections_.end(),
                      [](const auto& entry) { return entry.second->tells; });
}

// A look goes over all connections, and events may come a thousand times between two.
void TcpService::ThreadMain() {
  epoll_event events[64];
  base::SteadyTime look_at = clock_.Now();
  while (!Done()) {
    const bool looks = look_at != base::SteadyTime::max();
    const int count = ::epoll_wait(epoll_.get(), events, 64, looks ? kLookMs : -1);
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[i].data.u64;
      if (id == kBellId) {
        RunCommands();
      } else if (id <= sockets_.fds.size()) {
        Accept(sockets_.fds[id - 1].get());
      } else {
        OnEvent(id, events[i].events);
      }
    }
    const base::SteadyTime now = clock_.Now();
    if (look_at <= now) {
      ExpireOld();
      look_at = IsTimed() ? now + kLook : base::SteadyTime::max();
    } else if (count > 0) {
      look_at = std::min(look_at, now + kLook);  // what came may have a deadline
    }
  }
  connections_.clear();
}

bool TcpService::IsTimed() const {
  return stop_by_ != base::SteadyTime() || listen_at_ != base::SteadyTime::max() ||
         std::any_of(connections_.begin(), connections_.end(), [](const auto& entry) {
           return entry.second->deadline != base::SteadyTime::max();
         });
}

// -------------------------------------------------------------------------------------- what comes

TcpService::Connection& TcpService::Add(std::unique_ptr<Connection> connection) {
  connection->id = next_id_++;
  Connection& added = *connection;
  connections_.emplace(added.id, std::move(connection));
  return added;
}

void TcpService::Drop(uint64_t id) {
  const auto place = connections_.find(id);
  if (place == connections_.end()) return;
  Connection& connection = *place->second;
  if (connection.listens && connection.InHandshake()) {
    refused_total_.fetch_add(1, std::memory_order_relaxed);
    std::erase(handshakes_, id);
  }
  if (connection.state == Connection::State::kEcho) std::erase(echoes_, id);
  const auto control = controls_.find({connection.end.get(), connection.member});
  if (control != controls_.end() && control->second == id) controls_.erase(control);
  connections_.erase(place);
}

void TcpService::Watch(Connection& connection, uint32_t events) {
  epoll_event event{.events = events, .data = {.u64 = connection.id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event) != 0)
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.fd.get(), &event);
}

// Without descriptors the oldest stranger makes room, and else the others' patience does: the
// connection stays in the kernel's queue, which would wake this thread again and again.
void TcpService::Accept(int listener_fd) {
  auto accepted = net::AcceptTcp(listener_fd);
  if (!accepted.ok()) {
    if (handshakes_.empty()) return Listen(false);
    return Drop(handshakes_.front());
  }
  if (!accepted->fd.valid()) return;
  if (handshakes_.size() >= kMaxHandshakes) Drop(handshakes_.front());
  auto connection = std::make_unique<Connection>();
  connection->fd = std::move(accepted->fd);
  connection->listens = true;
  connection->deadline = clock_.Now() + kFlowTimeout;
  Connection& added = Add(std::move(connection));
  handshakes_.push_back(added.id);
  Watch(added, EPOLLIN);
}

void TcpService::Listen(bool listens) {
  for (size_t i = 0; i < sockets_.fds.size(); ++i) {
    epoll_event event{.events = listens ? EPOLLIN : 0u, .data = {.u64 = i + 1}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, sockets_.fds[i].get(), &event);
  }
  listen_at_ = listens ? base::SteadyTime::max() : clock_.Now() + kListenPause;
}

void TcpService::ExpireOld() {
  const base::SteadyTime now = clock_.Now();
  if (listen_at_ <= now) Listen(true);
  std::vector<uint64_t> due;
  for (const auto& [id, connection] : connections_) {
    if (std::min(connection->deadline, connection->next_step) <= now) due.push_back(id);
  }
  for (const uint64_t id : due) {
    const auto place = connections_.find(id);
    if (place == connections_.end()) continue;
    Connection& connection = *place->second;
    if (connection.listens || connection.closing) {
      Drop(id);
    } else if (connection.deadline <= now) {
      Lost(connection, "did not answer within " + base::FormatDuration(kFlowTimeout),
           PeerFact::Loss::kSilent);
    } else {
      connection.unanswered |= connection.state == Connection::State::kConnecting;
      ConnectNext(connection);
    }
  }
}

void TcpService::OnEvent(uint64_t id, uint32_t events) {
  const auto place = connections_.find(id);
  if (place == connections_.end()) return;
  Connection& connection = *place->second;
  if (connection.state == Connection::State::kConnecting) return OnConnected(connection);
  if ((events & EPOLLOUT) != 0) {
    Flush(connection);
    if (!connections_.contains(id)) return;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) OnReadable(connection);
}

// What has been decrypted shows in no descriptor.
void TcpService::OnReadable(Connection& connection) {
  const uint64_t id = connection.id;
  do {
    ReadOnce(connection);
  } while (connections_.contains(id) && connection.seal != nullptr &&
           connection.seal->holds_bytes());
}

/// Reads what the state wants and no more: what follows a proof is not the service's.
void TcpService::ReadOnce(Connection& connection) {
  if (connection.state == Connection::State::kEcho) return OnEcho(connection);
  const size_t wanted = connection.state == Connection::State::kHello    ? sizeof(Hello)
                        : connection.state == Connection::State::kProof  ? sizeof(net::Hmac)
                        : connection.state == Connection::State::kAnswer ? sizeof(Answer)
                                                                         : kControlBytesMax;
  const size_t had = connection.in.size();
  connection.in.resize(std::max(wanted, had));
  std::byte* const to = connection.in.data() + had;
  const ssize_t got = connection.seal == nullptr
                          ? ReceiveSome(connection.fd.get(), to, wanted - had)
                          : connection.seal->Receive(connection.fd.get(), to, wanted - had);
  connection.in.resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got == 0) return;
  if (got < 0) {
    if (connection.listens || connection.closing) return Drop(connection.id);
    return Reopen(connection);
  }
  if (connection.state == Connection::State::kControl) return OnControl(connection);
  if (connection.in.size() < wanted) return;
  switch (connection.state) {
    case Connection::State::kHello: return OnHello(connection);
    case Connection::State::kProof: return OnProof(connection);
    case Connection::State::kAnswer: return OnAnswer(connection);
    default: return;
  }
}

void TcpService::Flush(Connection& connection) {
  while (!connection.out.empty()) {
    const iovec piece{connection.out.data(), connection.out.size()};
    const ssize_t sent = connection.seal == nullptr
                             ? SendSome(connection.fd.get(), {&piece, 1})
                             : connection.seal->Send(connection.fd.get(), {&piece, 1});
    if (sent < 0) {
      if (connection.listens || connection.closing) return Drop(connection.id);
      return Reopen(connection);
    }
    if (sent == 0) break;
    connection.out.erase(0, static_cast<size_t>(sent));
  }
  const bool answers_first = connection.state == Connection::State::kEcho;
  if (!connection.out.empty())
    return Watch(connection, answers_first ? EPOLLOUT : EPOLLIN | EPOLLOUT);
  if (connection.state == Connection::State::kControl && !connection.listens) {
    connection.tells = false;
    connection.deadline = base::SteadyTime::max();
  }
  if (connection.closing) return Drop(connection.id);
  Watch(connection, EPOLLIN);
}

// ---------------------------------------------------------------------------- what others ask for

base::Status TcpService::Reserve(base::GroupId group, base::Round epoch, int member) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ends_.try_emplace({group, epoch, member}, nullptr).second) return base::OkStatus();
  return base::AlreadyExistsError("member " + std::to_string(member) + " of group " +
                                  group.ToString() +
                                  " is in it already in this process; the rank joined twice");
}

void TcpService::Register(const std::shared_ptr<TcpEnd>& end) {
  const TcpMembers& members = end->members();
  const Key key{members.id(), members.spec().epoch, members.self()};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_[key] = end;
  }
  Post([this, end, key] {  // those that came before it was complete
    std::vector<uint64_t> parked;
    for (const auto& [id, connection] : connections_) {
      if (connection->state == Connection::State::kParked && connection->key == key)
        parked.push_back(id);
    }
    for (const uint64_t id : parked) {
      Connection& connection = *connections_.at(id);
      connection.end = end;
      if (connection.member >= end->members().count()) {
        Drop(id);
        continue;
      }
      end->SetCome(connection.member);
      if (connection.purpose == FlowPurpose::kControl) {
        connection.state = Connection::State::kControl;
        Watch(connection, EPOLLIN);
      } else {
        end->PutIncoming(connection.flow(),
                         TcpLine(std::move(connection.fd), std::move(connection.seal)));
        Drop(id);
      }
    }
  });
}

void TcpService::Unregister(base::GroupId group, base::Round epoch, int member, Farewell farewell) {
  const Key key{group, epoch, member};
  std::shared_ptr<TcpEnd> end;  // null = only reserved
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto place = ends_.find(key); place != ends_.end()) {
      end = std::move(place->second);
      ends_.erase(place);
    }
    if (left_.try_emplace(key, farewell).second) left_order_.push_back(key);
    if (left_order_.size() > kMaxRemembered) {
      left_.erase(left_order_.front());
      left_order_.pop_front();
    }
  }
  Post([this, key, end] {
    if (end != nullptr) end->withdrawn.store(true, std::memory_order_relaxed);
    std::vector<uint64_t> theirs, mine;
    for (const auto& [id, connection] : connections_) {
      if (connection->listens && connection->key == key) {
        theirs.push_back(id);
      } else if (!connection->listens && connection->end != nullptr) {
        const TcpMembers& members = connection->end->members();
        if (Key{members.id(), members.spec().epoch, members.self()} == key) mine.push_back(id);
      }
    }
    for (const uint64_t id : theirs) {
      Connection& connection = *connections_.at(id);
      if (connection.state == Connection::State::kControl) {
        SayLeft(connection);
      } else if (connection.state == Connection::State::kParked) {
        Drop(id);
      }  // else its proof decides
    }
    for (const uint64_t id : mine) {
      if (!connections_.at(id)->tells) {
        Drop(id);
      } else {
        connections_.at(id)->closing = true;
      }
    }
  });
}

void TcpService::OpenFlow(const std::shared_ptr<TcpEnd>& end, TcpEnd::Flow flow) {
  Post([this, end, flow] { Begin(end, flow, {}); });
}

}  // namespace lockstep::collectives
