// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/engine/quiet_thread.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/net/own_addresses.h"

namespace lockstep::collectives {
namespace {

constexpr uint64_t kBellId = 0;
constexpr size_t kJobKeyBytes = 32;
constexpr size_t kControlPayloadMax = 4096;
constexpr base::Duration kRetryPause = std::chrono::milliseconds(20);
constexpr int kLookMs = 10;  // while there are deadlines

template <class T>
std::string BytesOf(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

void SetOption(int fd, int level, int option, int value) {
  (void)::setsockopt(fd, level, option, &value, sizeof value);
}

// Within a machine room a round trip takes less.
constexpr uint32_t kShortRoundTripUs = 1000;

// BBR paces what it sends with timers, by a model of the path that it learns from round trips. On a
// path this short those are shorter than the time for which a member may be without its processor,
// and each such time shrinks the model: 64 MiB took 1.7 times as long (two namespaces, a busy
// machine). Reno is in every kernel and open to every user, and on such a path CUBIC is no other.
void ChooseCongestionControl(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return;
  char name[16] = {};
  socklen_t name_bytes = sizeof name - 1;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &name_bytes) != 0) return;
  if (info.tcpi_rtt >= kShortRoundTripUs || std::strcmp(name, "bbr") != 0) return;
  constexpr char kReno[] = "reno";
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kReno, sizeof kReno - 1);
}

// A member may compute for minutes with its window full, which TCP_USER_TIMEOUT would take for its
// death (Linux counts it from the first window probe, answered or not). Deadlines of ops decide
// here; keepalive only frees what a lost machine has left.
void MakeReadyForData(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  ChooseCongestionControl(fd);
}

}  // namespace

struct TcpService::Connection {
  enum class State : uint8_t {
    kPausing,     // before another attempt to connect
    kConnecting,  //
    kAnswer,      // waits for it
    kHello,       // waits for it
    kProof,       // waits for it
    kParked,      // authenticated; the group is not complete here yet
    kControl,     // frames pass
  };

  uint64_t id = 0;
  base::UniqueFd fd;
  State state = State::kHello;
  bool listens = false;  // came to us
  bool tells = false;    // carries an error that is not to be lost
  bool closing = false;  // ends when `out` is through
  bool again = false;    // was reopened to learn why it ended
  FlowPurpose purpose = FlowPurpose::kControl;
  int member = -1;  // the other one
  std::shared_ptr<TcpEnd> end;
  Key key;
  Hello hello;
  Answer answer;
  std::vector<std::byte> in;
  std::string out;
  std::string first_frames;  // sent once it is open
  size_t next_address = 0;
  base::SteadyTime deadline = base::SteadyTime::max();
  base::SteadyTime next_step = base::SteadyTime::max();  // gives up an address, or tries again

  bool InHandshake() const { return state < State::kParked; }
};

// ---------------------------------------------------------------------------------------- its life

base::Result<std::shared_ptr<TcpService>> TcpService::Start(Config config) {
  if (config.key.view().size() != kJobKeyBytes) {
    return base::InvalidArgumentError("the key of job " + config.job + " has " +
                                      std::to_string(config.key.view().size()) +
                                      " bytes; it must have 32");
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

void TcpService::ThreadMain() {
  epoll_event events[64];
  while (!Done()) {
    const bool timed = stop_by_ != base::SteadyTime() ||
                       std::any_of(connections_.begin(), connections_.end(), [](const auto& entry) {
                         return entry.second->deadline != base::SteadyTime::max();
                       });
    const int count = ::epoll_wait(epoll_.get(), events, 64, timed ? kLookMs : -1);
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
    ExpireOld();
  }
  connections_.clear();
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
// connection stays in the kernel's queue.
void TcpService::Accept(int listener_fd) {
  auto accepted = net::AcceptTcp(listener_fd);
  if (!accepted.ok()) {
    if (!handshakes_.empty()) Drop(handshakes_.front());
    return;
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

void TcpService::ExpireOld() {
  const base::SteadyTime now = clock_.Now();
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
      Lost(connection, "did not answer within " + base::FormatDuration(kFlowTimeout));
    } else {
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

/// Reads what the state wants and no more: what follows a proof is not the service's.
void TcpService::OnReadable(Connection& connection) {
  const size_t wanted = connection.state == Connection::State::kHello    ? sizeof(Hello)
                        : connection.state == Connection::State::kProof  ? sizeof(net::Hmac)
                        : connection.state == Connection::State::kAnswer ? sizeof(Answer)
                                                                         : kControlPayloadMax;
  const size_t had = connection.in.size();
  connection.in.resize(std::max(wanted, had));
  const ssize_t got = ::recv(connection.fd.get(), connection.in.data() + had, wanted - had, 0);
  connection.in.resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
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

HandshakeKey TcpService::KeyFor(const AddressCard& listener) const {
  return {.key = config_.key.view(), .job = config_.job, .listener = listener};
}

void TcpService::OnHello(Connection& connection) {
  const auto hello = ParseHello(connection.in);
  if (!hello.ok()) return Drop(connection.id);
  connection.in.clear();
  connection.hello = *hello;
  connection.purpose = hello->purpose;
  connection.member = hello->from;
  connection.key = {base::GroupId(hello->group), base::Round(hello->epoch), hello->to};
  Answer& answer = connection.answer;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto left = left_.find(connection.key);
    const auto place = ends_.find(connection.key);
    if (place != ends_.end()) {
      answer.verdict = Answer::Verdict::kWelcome;
      connection.end = place->second;
    } else if (left != left_.end()) {
      answer.verdict = Answer::Verdict::kLeft;
      answer.completed_seq = left->second.completed_seq;
      answer.failed = left->second.failed ? 1 : 0;
    }
  }
  net::FillRandom(answer.challenge);
  Sign(answer, KeyFor(card_), connection.hello);
  connection.state = Connection::State::kProof;
  connection.out = BytesOf(answer);
  connection.closing = answer.verdict != Answer::Verdict::kWelcome;
  Flush(connection);
}

void TcpService::OnProof(Connection& connection) {
  const net::Hmac wanted = ProofOf(KeyFor(card_), connection.hello, connection.answer);
  net::Hmac came;
  std::memcpy(came.data(), connection.in.data(), came.size());
  connection.in.clear();
  if (!net::EqualInConstantTime(wanted, came)) return Drop(connection.id);
  std::erase(handshakes_, connection.id);
  connection.state = Connection::State::kParked;
  connection.deadline = base::SteadyTime::max();
  MakeReadyForData(connection.fd.get());
  bool left = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto place = ends_.find(connection.key);
    left = place == ends_.end();
    if (!left) connection.end = place->second;
  }
  const bool speaks_of_none =
      connection.end != nullptr && connection.member >= connection.end->members().count();
  if (speaks_of_none || (left && connection.end == nullptr)) return Drop(connection.id);
  if (left && connection.purpose == FlowPurpose::kControl) return SayLeft(connection);
  if (left) return Drop(connection.id);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
  if (connection.end == nullptr) return;  // until Register()
  if (connection.purpose == FlowPurpose::kControl) {
    connection.state = Connection::State::kControl;
    Watch(connection, EPOLLIN);
    return;
  }
  connection.end->PutIncoming({connection.member, connection.purpose}, std::move(connection.fd));
  Drop(connection.id);
}

// ------------------------------------------------------------------------------------- what goes

void TcpService::Begin(const std::shared_ptr<TcpEnd>& end, int member, FlowPurpose purpose,
                       std::string first_frames) {
  auto made = std::make_unique<Connection>();
  made->end = end;
  made->member = member;
  made->purpose = purpose;
  made->first_frames = std::move(first_frames);
  made->deadline = clock_.Now() + kFlowTimeout;
  made->hello.purpose = purpose;
  made->hello.from = end->members().self();
  made->hello.to = member;
  made->hello.epoch = end->members().spec().epoch.value();
  made->hello.group = end->members().id().value();
  Connection& connection = Add(std::move(made));
  if (purpose == FlowPurpose::kControl) controls_[{end.get(), member}] = connection.id;
  ConnectNext(connection);
}

void TcpService::ConnectNext(Connection& connection) {
  const AddressCard& card = connection.end->members().card(connection.member);
  connection.in.clear();
  std::string reason = "has no address";
  while (connection.next_address < card.addresses.size()) {
    const std::string& host = card.addresses[connection.next_address++];
    const auto address = net::NumericAddress({.host = host, .port = card.port});
    if (!address.has_value()) continue;
    auto fd = net::BeginConnectTcp(*address);
    if (!fd.ok()) {
      reason = fd.status().message();
      continue;
    }
    connection.fd = *std::move(fd);
    connection.state = Connection::State::kConnecting;
    const auto addresses_left =
        static_cast<int64_t>(card.addresses.size() - connection.next_address + 1);
    const base::SteadyTime now = clock_.Now();
    connection.next_step = now + (connection.deadline - now) / addresses_left;
    Watch(connection, EPOLLOUT);
    return;
  }
  Lost(connection, "cannot be reached: " + reason);
}

void TcpService::OnConnected(Connection& connection) {
  const base::Status outcome = net::TcpConnectOutcome(connection.fd.get());
  const AddressCard& card = connection.end->members().card(connection.member);
  if (!outcome.ok()) {
    if (connection.next_address < card.addresses.size()) return ConnectNext(connection);
    return Lost(connection, "cannot be reached: " + outcome.message());
  }
  net::FillRandom(connection.hello.challenge);
  connection.state = Connection::State::kAnswer;
  connection.next_step = base::SteadyTime::max();
  connection.out = BytesOf(connection.hello);
  Flush(connection);
}

void TcpService::OnAnswer(Connection& connection) {
  const HandshakeKey key = KeyFor(connection.end->members().card(connection.member));
  const auto answer = ParseAnswer(connection.in, key, connection.hello);
  connection.in.clear();
  if (!answer.ok()) return Lost(connection, "is not there: " + answer.status().message());
  if (answer->verdict == Answer::Verdict::kLeft) {
    connection.end->SetFact(connection.member, {.kind = PeerFact::Kind::kLeft,
                                                .completed_seq = answer->completed_seq,
                                                .failed = answer->failed != 0,
                                                .at = clock_.Now()});
    return Drop(connection.id);
  }
  if (answer->verdict == Answer::Verdict::kUnknown)
    return Lost(connection, "knows nothing of this group in this epoch");
  const net::Hmac proof = ProofOf(key, connection.hello, *answer);
  MakeReadyForData(connection.fd.get());
  if (connection.purpose == FlowPurpose::kControl) {
    connection.out = BytesOf(proof) + connection.first_frames;
    connection.state = Connection::State::kControl;
    connection.deadline = connection.tells ? clock_.Now() + kTellTimeout : base::SteadyTime::max();
    return Flush(connection);
  }
  // An empty socket takes 32 bytes.
  if (::send(connection.fd.get(), proof.data(), proof.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(proof.size())) {
    return Lost(connection, "closed its connection while it was made");
  }
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
  connection.end->PutOutgoing({connection.member, connection.purpose}, std::move(connection.fd));
  Drop(connection.id);
}

// A listener that is overrun lets go of handshakes; and why a connection ended, its process says to
// who asks anew: again, while there is time.
void TcpService::Reopen(Connection& connection) {
  if (connection.state == Connection::State::kControl) {
    if (std::exchange(connection.again, true))
      return Lost(connection, "closed its connection: its process has ended");
    connection.deadline = clock_.Now() + kFlowTimeout;
  }
  connection.state = Connection::State::kPausing;
  connection.next_step = clock_.Now() + kRetryPause;
  connection.next_address = 0;
  connection.in.clear();
  connection.out.clear();
  connection.fd.reset();
}

void TcpService::Lost(Connection& connection, const std::string& reason) {
  connection.end->SetFact(connection.member,
                          {.kind = PeerFact::Kind::kLost, .at = clock_.Now(), .reason = reason});
  Drop(connection.id);
}

void TcpService::Flush(Connection& connection) {
  while (!connection.out.empty()) {
    const ssize_t sent =
        ::send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      if (connection.listens || connection.closing) return Drop(connection.id);
      return Reopen(connection);
    }
    if (sent < 0) break;
    connection.out.erase(0, static_cast<size_t>(sent));
  }
  if (!connection.out.empty()) return Watch(connection, EPOLLIN | EPOLLOUT);
  if (connection.state == Connection::State::kControl && !connection.listens) {
    connection.tells = false;
    connection.deadline = base::SteadyTime::max();
  }
  if (connection.closing) return Drop(connection.id);
  Watch(connection, EPOLLIN);
}

// ---------------------------------------------------------------------------------------- control

void TcpService::Control(const std::shared_ptr<TcpEnd>& end, int member, std::string frame) {
  const bool tells = frame.size() > sizeof(FrameHeader);
  const auto place = controls_.find({end.get(), member});
  if (place == controls_.end()) {
    Begin(end, member, FlowPurpose::kControl, std::move(frame));
    const auto made = controls_.find({end.get(), member});
    if (made != controls_.end()) connections_.at(made->second)->tells = tells;
    return;
  }
  Connection& connection = *connections_.at(place->second);
  connection.tells |= tells;
  if (tells || connection.first_frames.empty()) connection.first_frames += frame;
  if (connection.state != Connection::State::kControl) return;
  connection.out += frame;
  if (tells) connection.deadline = clock_.Now() + kTellTimeout;
  Flush(connection);
}

void TcpService::OnControl(Connection& connection) {
  const uint64_t id = connection.id;
  const FrameSource source = connection.end->members().SourceOf(connection.member);
  while (connection.in.size() >= sizeof(FrameHeader)) {
    const std::span<const std::byte> in(connection.in);
    const auto header = ParseFrameHeader(in.first(sizeof(FrameHeader)), source,
                                         kControlPayloadMax - sizeof(FrameHeader));
    if (!header.ok()) return Drop(id);
    const size_t bytes = sizeof(FrameHeader) + header->bytes;
    if (in.size() < bytes) return;
    const bool understood =
        OnControlFrame(connection, *header, in.first(bytes).subspan(sizeof(FrameHeader)));
    if (!connections_.contains(id)) return;
    if (!understood) return Drop(id);
    connection.in.erase(connection.in.begin(),
                        connection.in.begin() + static_cast<ptrdiff_t>(bytes));
  }
}

bool TcpService::OnControlFrame(Connection& connection, const FrameHeader& header,
                                std::span<const std::byte> payload) {
  TcpEnd& end = *connection.end;
  if (connection.listens && header.kind == FrameKind::kQuery) {
    SendState(connection);
    return true;
  }
  if (connection.listens && header.kind == FrameKind::kError) {
    auto record = ParseError(payload, end.members().count());
    if (!record.ok()) return false;
    end.SetError(*std::move(record));
    return true;
  }
  if (connection.listens || header.kind != FrameKind::kState) return false;
  const bool left = (header.flags & kStateLeft) != 0;
  const base::SteadyTime now = clock_.Now();
  end.SetFact(connection.member, {.kind = left ? PeerFact::Kind::kLeft : PeerFact::Kind::kAnswered,
                                  .called_seq = header.seq,
                                  .completed_seq = header.count,
                                  .waits = (header.flags & kStateWaits) != 0,
                                  .failed = (header.flags & kStateFailed) != 0,
                                  .late_until = now + std::chrono::milliseconds(header.late_ms),
                                  .at = now});
  if (left) Drop(connection.id);
  return true;
}

void TcpService::SayLeft(Connection& connection) {
  connection.state = Connection::State::kControl;
  connection.closing = true;
  connection.deadline = clock_.Now() + kTellTimeout;
  SendState(connection);
}

void TcpService::SendState(Connection& connection) {
  const TcpEnd& end = *connection.end;
  FrameHeader header = end.members().Header(FrameKind::kState);
  header.seq = end.called_seq.load(std::memory_order_acquire);
  header.count = end.completed_seq.load(std::memory_order_acquire);
  header.flags = static_cast<uint16_t>((end.waits.load() ? kStateWaits : 0) |
                                       (connection.closing ? kStateLeft : 0) |
                                       (end.poisoned() ? kStateFailed : 0));
  const int64_t late_ns =
      end.late_until_ns.load(std::memory_order_acquire) - clock_.Now().time_since_epoch().count();
  header.late_ms = static_cast<uint32_t>(std::clamp<int64_t>(late_ns / 1'000'000, 0, UINT32_MAX));
  connection.out += BytesOf(header);
  Flush(connection);
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
      } else if (connection.purpose == FlowPurpose::kControl) {
        connection.state = Connection::State::kControl;
        Watch(connection, EPOLLIN);
      } else {
        end->PutIncoming({connection.member, connection.purpose}, std::move(connection.fd));
        Drop(id);
      }
    }
  });
}

void TcpService::Unregister(base::GroupId group, base::Round epoch, int member, Farewell farewell) {
  const Key key{group, epoch, member};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_.erase(key);
    if (left_.try_emplace(key, farewell).second) left_order_.push_back(key);
    if (left_order_.size() > kMaxRemembered) {
      left_.erase(left_order_.front());
      left_order_.pop_front();
    }
  }
  Post([this, key] {
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

void TcpService::OpenFlow(const std::shared_ptr<TcpEnd>& end, int member, FlowPurpose purpose) {
  Post([this, end, member, purpose] { Begin(end, member, purpose, {}); });
}

void TcpService::Ask(const std::shared_ptr<TcpEnd>& end, std::vector<int> members) {
  Post([this, end, members = std::move(members)] {
    const std::string frame = BytesOf(end->members().Header(FrameKind::kQuery));
    for (const int member : members) Control(end, member, frame);
  });
}

void TcpService::TellError(const std::shared_ptr<TcpEnd>& end) {
  const auto error = end->error();
  if (!error.has_value()) return;
  const std::vector<std::byte> payload = EncodeError(*error);
  FrameHeader header = end->members().Header(FrameKind::kError);
  header.bytes = payload.size();
  std::string frame = BytesOf(header);
  frame.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  Post([this, end, frame = std::move(frame)] {
    for (int member = 0; member < end->members().count(); ++member) {
      if (member != end->members().self()) Control(end, member, frame);
    }
  });
}

}  // namespace lockstep::collectives
