// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/sim_network.h"

#include <algorithm>
#include <optional>

#include "runtime/base/check.h"
#include "runtime/net/frame.h"

namespace lockstep::net {

using base::Duration;
using base::Status;
using base::SteadyTime;

namespace {

constexpr int kClient = 0;
constexpr int kServer = 1;
constexpr int kFirstPort = 40000;
constexpr int kLastPort = 65535;
constexpr Duration kReorderMax = std::chrono::milliseconds(20);

bool IsLoopbackName(const std::string& host) {
  return host == "localhost" || host == "127.0.0.1" || host == "::1";
}

}  // namespace

struct SimNetwork::Host {
  std::string name;
  bool up = true;
  bool refuses = false;
  uint64_t lives = 0;  // goes up with each death: what was made before is dead
  std::map<uint16_t, SimListener*> listeners;
  int next_client_port = kFirstPort;
};

/// A message on its way; the first one of a connection opens it and the last one ends it.
struct SimNetwork::Segment {
  enum class Kind : uint8_t { kHello, kMessage, kFin, kTornFin };
  Kind kind = Kind::kMessage;
  uint64_t number = 0;
  std::string payload;
  SteadyTime sent_at{};  // for the first time

  size_t bytes() const { return kFrameHeaderBytes + payload.size(); }
};

struct SimNetwork::End {
  int host = 0;
  uint64_t life = 0;               // the host's when this was made
  SimConnection* owner = nullptr;  // null before it is handed out and after it is destroyed
  Peer peer;
  std::shared_ptr<const Connection::Handlers> handlers;  // null before Start()
  bool open = false;            // there is a socket, though its owner may not have read its end
  bool closed = false;          // as the owner sees it
  bool told = false;            // on_closed has run
  std::optional<Status> ended;  // what on_closed will say, once what came before is read

  std::deque<Segment> unsent;
  size_t unsent_bytes = 0;
  std::deque<Segment> in_flight;  // sent and not acknowledged, of ascending numbers
  uint64_t next_number = 0;
  uint64_t transmission = 0;  // arrivals of one that was given up are void
  bool stalled = false;       // something was lost on the way there, or its acknowledgement back
  bool watched = false;       // a check for silence is pending
  SteadyTime last_arrival{};
  uint64_t sent_bytes = 0;

  struct Unread {
    std::string payload;
    uint64_t credit = 0;  // bytes of the sender's window that reading it frees
  };
  std::deque<Unread> inbox;
  uint64_t next_expected = 0;
  uint64_t read_bytes = 0;
  uint64_t credited_bytes = 0;  // of sent_bytes: those that the peer is known to have read
};

struct SimNetwork::Wire {
  uint64_t id = 0;
  uint16_t server_port = 0;
  End ends[2];

  int HostOf(int side) const { return ends[side].host; }
  bool AnyOpen() const { return ends[kClient].open || ends[kServer].open; }
};

// ---------------------------------------- what is handed out

class SimNetwork::SimConnection final : public Connection {
 public:
  SimConnection(SimNetwork& net, WirePtr wire, int side)
      : net_(net), wire_(std::move(wire)), side_(side) {
    ++net_.objects_;
    end().owner = this;
  }
  ~SimConnection() override {
    --net_.objects_;
    net_.CloseByOwner(wire_, side_, base::CancelledError("destroyed"));
    end().owner = nullptr;
    end().handlers.reset();
    if (on_destroyed_) on_destroyed_();
  }

  void Start(Handlers handlers) override {
    LOCKSTEP_CHECK(end().handlers == nullptr, "a connection starts once");
    end().handlers = std::make_shared<const Handlers>(std::move(handlers));
    net_.After(Duration(0), [&net = net_, wire = wire_, side = side_] {
      net.Drain(wire, side);
      net.Acknowledge(wire, side);
    });
  }
  Status Send(const google::protobuf::MessageLite& message) override {
    return net_.Send(wire_, side_, message.SerializeAsString());
  }
  void Close() override {
    net_.CloseByOwner(wire_, side_, base::CancelledError("the connection was closed on this side"));
  }
  bool closed() const override { return end().closed; }
  size_t queued_bytes() const override { return end().unsent_bytes; }
  const Peer& peer() const override { return end().peer; }

  void set_on_destroyed(std::function<void()> what) { on_destroyed_ = std::move(what); }

 private:
  End& end() const { return wire_->ends[side_]; }

  SimNetwork& net_;
  const WirePtr wire_;
  const int side_;
  std::function<void()> on_destroyed_;
};

class SimNetwork::SimListener final : public Listener {
 public:
  SimListener(SimNetwork& net, int host, uint16_t port, Identity identity,
              Network::ListenOptions options, Network::OnConnection on_connection)
      : net_(net),
        host_(host),
        life_(net.HostAt(host).lives),
        port_(port),
        identity_(std::move(identity)),
        options_(std::move(options)),
        on_connection_(std::make_shared<const Network::OnConnection>(std::move(on_connection))) {
    ++net_.objects_;
    net_.HostAt(host_).listeners[port_] = this;
  }
  ~SimListener() override {
    --net_.objects_;
    Host& host = net_.HostAt(host_);
    if (host.lives == life_) host.listeners.erase(port_);
  }

  Endpoint endpoint() const override {
    return {options_.host.empty() ? net_.HostAt(host_).name : options_.host, port_};
  }
  uint64_t refused_total() const override { return refused_total_; }

  const Identity& identity() const { return identity_; }
  bool Reaches(int from) const { return !IsLoopbackName(options_.host) || from == host_; }
  bool Full() const {
    return options_.connections_max > 0 && *connection_count_ >= options_.connections_max;
  }
  void Refuse() { ++refused_total_; }
  /// The callback may destroy this.
  void HandOut(std::unique_ptr<SimConnection> connection) {
    ++*connection_count_;
    connection->set_on_destroyed([count = connection_count_] { --*count; });
    const auto on_connection = on_connection_;
    (*on_connection)(std::move(connection));
  }

 private:
  SimNetwork& net_;
  const int host_;
  const uint64_t life_;
  const uint16_t port_;
  const Identity identity_;
  const Network::ListenOptions options_;
  const std::shared_ptr<const Network::OnConnection> on_connection_;
  const std::shared_ptr<size_t> connection_count_ = std::make_shared<size_t>(0);
  uint64_t refused_total_ = 0;
};

/// Tries the endpoints one after the other, again and again. Its owner holds the handle alone.
class SimNetwork::SimConnecting : public std::enable_shared_from_this<SimConnecting> {
 public:
  class Handle final : public Connecting {
   public:
    Handle(SimNetwork& net, std::shared_ptr<SimConnecting> attempt)
        : net_(net), attempt_(std::move(attempt)) {
      ++net_.objects_;
    }
    ~Handle() override {
      --net_.objects_;
      attempt_->over_ = true;
    }

   private:
    SimNetwork& net_;
    const std::shared_ptr<SimConnecting> attempt_;
  };

  SimConnecting(SimNetwork& net, int host, Identity identity, std::vector<Endpoint> endpoints,
                Duration timeout, Network::OnConnected done)
      : net_(net),
        host_(host),
        life_(net.HostAt(host).lives),
        identity_(std::move(identity)),
        endpoints_(std::move(endpoints)),
        timeout_(timeout),
        done_(std::move(done)),
        said_(endpoints_.size()) {}

  void Begin() {
    if (endpoints_.empty()) {
      return Later(Duration(0), [this] {
        Finish(base::InvalidArgumentError("connect: no endpoints were given"));
      });
    }
    Later(std::max(timeout_, Duration(0)), [this] { Finish(Failure()); });
    Later(Duration(0), [this] { Try(); });
  }

 private:
  enum class Kind : uint8_t { kNotTried, kSilent, kUnknownHost, kRefused, kStranger };
  struct Said {
    Kind kind = Kind::kNotTried;
    std::string text = "not tried";
  };

  template <class What>
  void Later(Duration delay, What what) {
    net_.After(delay, [self = shared_from_this(), what = std::move(what)]() mutable {
      if (!self->over_ && self->net_.HostAt(self->host_).lives == self->life_) what();
    });
  }

  void Try() {
    const uint64_t attempt = ++attempt_;
    const int remote = net_.Resolve(endpoints_[index_].host, host_);
    if (remote < 0) return Next({Kind::kUnknownHost, "no such host"});
    Later(net_.options_.attempt_timeout, [this, attempt] {
      if (attempt == attempt_) Next({Kind::kSilent, "no answer"});
    });
    Later(net_.Latency(host_, remote), [this, attempt, remote] {
      if (attempt == attempt_ && net_.Passes(host_, remote)) Arrive(attempt, remote);
    });
  }

  /// At the remote host; the answer takes its time.
  void Arrive(uint64_t attempt, int remote) {
    Said answer;
    Host& host = net_.HostAt(remote);
    const auto found = host.listeners.find(endpoints_[index_].port);
    if (host.refuses || found == host.listeners.end() || !found->second->Reaches(host_)) {
      answer = {Kind::kRefused, "connection refused"};
    } else if (found->second->identity().job != identity_.job) {
      found->second->Refuse();
      answer = {Kind::kStranger, "it is not of our job"};
    } else if (found->second->Full()) {
      found->second->Refuse();
      answer = {Kind::kRefused, "it has all the connections that it takes"};
    }
    // Back, and once more there and back for the handshake that proves who is who.
    const Duration handshake = answer.kind == Kind::kRefused
                                   ? Duration(0)
                                   : net_.Latency(host_, remote) + net_.Latency(remote, host_);
    Later(net_.Latency(remote, host_) + handshake, [this, attempt, remote,
                                                    answer = std::move(answer)]() mutable {
      if (attempt != attempt_ || !net_.Passes(remote, host_)) return;
      if (answer.kind != Kind::kNotTried) return Next(std::move(answer));
      const WirePtr wire = net_.MakeWire(host_, remote, endpoints_[index_].port, identity_);
      Finish(std::unique_ptr<Connection>(std::make_unique<SimConnection>(net_, wire, kClient)));
    });
  }

  void Next(Said said) {
    ++attempt_;
    said_[index_] = std::move(said);
    if (++index_ < endpoints_.size()) return Try();
    index_ = 0;
    for (const Said& one : said_) {
      if (one.kind == Kind::kStranger) return Finish(Failure());
    }
    Later(net_.options_.retry_pause, [this] { Try(); });
  }

  Status Failure() const {
    std::string text = "connect";
    bool stranger = false;
    bool all_refused = true;
    for (size_t i = 0; i < said_.size(); ++i) {
      stranger |= said_[i].kind == Kind::kStranger;
      all_refused &= said_[i].kind == Kind::kRefused;
      text += (i == 0 ? " to " : "; ") + endpoints_[i].host + ":" +
              std::to_string(endpoints_[i].port) + ": " + said_[i].text;
    }
    if (stranger) return base::PermissionDeniedError(text);
    text += " (tried for " + base::FormatDuration(timeout_) + ")";
    return all_refused ? base::UnavailableError(text) : base::DeadlineExceededError(text);
  }

  void Finish(base::Result<std::unique_ptr<Connection>> result) {
    over_ = true;
    const Network::OnConnected done = std::move(done_);
    done(std::move(result));
  }

  SimNetwork& net_;
  const int host_;
  const uint64_t life_;
  const Identity identity_;
  const std::vector<Endpoint> endpoints_;
  const Duration timeout_;
  Network::OnConnected done_;
  std::vector<Said> said_;  // last, by endpoint
  size_t index_ = 0;
  uint64_t attempt_ = 0;
  bool over_ = false;
};

class SimNetwork::SimNode final : public Network {
 public:
  SimNode(SimNetwork& net, int host, Identity identity)
      : net_(net), host_(host), identity_(std::move(identity)) {
    ++net_.objects_;
  }
  ~SimNode() override { --net_.objects_; }

  base::Result<std::unique_ptr<Listener>> Listen(const ListenOptions& options,
                                                 OnConnection on_connection) override {
    const Host& host = net_.HostAt(host_);
    if (!options.host.empty() && net_.Resolve(options.host, host_) != host_) {
      return base::InvalidArgumentError("listen on " + options.host +
                                        ": that is no name or address of " + host.name);
    }
    const bool any = options.ports == PortRange{0, 0};
    const int last = any ? kLastPort : std::min(options.ports.last, kLastPort);
    for (int port = any ? kFirstPort : std::max(options.ports.first, 1); port <= last; ++port) {
      if (host.listeners.contains(static_cast<uint16_t>(port))) continue;
      return std::make_unique<SimListener>(net_, host_, static_cast<uint16_t>(port), identity_,
                                           options, std::move(on_connection));
    }
    return base::ResourceExhaustedError("listen: no port from " +
                                        std::to_string(options.ports.first) + " to " +
                                        std::to_string(options.ports.last) + " is free");
  }

  std::unique_ptr<Connecting> Connect(std::vector<Endpoint> endpoints, Duration timeout,
                                      OnConnected done) override {
    auto attempt = std::make_shared<SimConnecting>(net_, host_, identity_, std::move(endpoints),
                                                   timeout, std::move(done));
    attempt->Begin();
    return std::make_unique<SimConnecting::Handle>(net_, std::move(attempt));
  }

 private:
  SimNetwork& net_;
  const int host_;
  const Identity identity_;
};

// ---------------------------------------- hosts and paths

SimNetwork::SimNetwork(event::SimLoop& loop, uint64_t seed, Options options)
    : loop_(loop), random_(seed), options_(options) {}

SimNetwork::~SimNetwork() {
  LOCKSTEP_CHECK(objects_ == 0, "a connection, listener or node outlives its network");
}

std::unique_ptr<Network> SimNetwork::Join(const std::string& host, Identity identity) {
  return std::make_unique<SimNode>(*this, HostId(host), std::move(identity));
}

int SimNetwork::HostId(const std::string& name) {
  const auto [found, is_new] = host_ids_.emplace(name, static_cast<int>(hosts_.size()));
  if (is_new) hosts_.push_back({.name = name});
  return found->second;
}

SimNetwork::Host& SimNetwork::HostAt(int id) { return hosts_[static_cast<size_t>(id)]; }

int SimNetwork::Resolve(const std::string& name, int from) const {
  if (IsLoopbackName(name)) return from;
  const auto found = host_ids_.find(name);
  return found == host_ids_.end() ? -1 : found->second;
}

const SimNetwork::Path& SimNetwork::PathOf(int from, int to) const {
  const auto found = paths_.find({from, to});
  return found == paths_.end() ? default_path_ : found->second;
}

SimNetwork::Path& SimNetwork::PathOf(int from, int to) {
  return paths_.emplace(std::make_pair(from, to), default_path_).first->second;
}

bool SimNetwork::Passes(int from, int to) const {
  const auto up = [this](int host) { return hosts_[static_cast<size_t>(host)].up; };
  return !PathOf(from, to).cut && up(from) && up(to);
}

Duration SimNetwork::Upto(Duration limit) {
  return Duration(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(limit.count()) + 1)));
}

bool SimNetwork::Chance(int percent) {
  return percent > 0 && random_.Below(100) < static_cast<uint64_t>(percent);
}

Duration SimNetwork::Latency(int from, int to) {
  const Path& path = std::as_const(*this).PathOf(from, to);
  return path.latency_min + Upto(std::max(path.latency_max - path.latency_min, Duration(0)));
}

void SimNetwork::Note(uint64_t what, uint64_t which) {
  for (const uint64_t word :
       {what, which, static_cast<uint64_t>(loop_.Now().time_since_epoch().count())}) {
    fingerprint_ = (fingerprint_ ^ word) * 0x100000001b3u;
  }
}

void SimNetwork::After(Duration delay, std::function<void()> what) {
  const uint64_t id = next_pending_++;
  event::Registration timer = loop_.After(delay, [this, id] {
    const auto due = pending_.extract(id);
    due.mapped().what();
  });
  pending_.emplace(id, Pending{std::move(timer), std::move(what)});
}

void SimNetwork::SetPath(const std::string& from, const std::string& to, const Path& path) {
  const int a = HostId(from);
  const int b = HostId(to);
  Path& old = PathOf(a, b);
  const bool heals = old.cut && !path.cut;
  old = path;
  if (heals) ForEachWireBetween(a, b, [this](const WirePtr& wire) { RetransmitSoon(wire); });
}

void SimNetwork::SetAllPaths(const Path& path) {
  default_path_ = path;
  for (auto& [ends, one] : paths_) {
    const bool cut = one.cut;
    one = path;
    one.cut |= cut;
  }
}

void SimNetwork::Cut(const std::string& from, const std::string& to) {
  const int a = HostId(from);
  PathOf(a, HostId(to)).cut = true;
}

void SimNetwork::Partition(const std::string& a, const std::string& b) {
  Cut(a, b);
  Cut(b, a);
}

void SimNetwork::Heal(const std::string& a, const std::string& b) {
  const int one = HostId(a);
  const int other = HostId(b);
  PathOf(one, other).cut = false;
  PathOf(other, one).cut = false;
  ForEachWireBetween(one, other, [this](const WirePtr& wire) { RetransmitSoon(wire); });
}

void SimNetwork::Reset(const std::string& a, const std::string& b) {
  ForEachWireBetween(HostId(a), HostId(b), [this](const WirePtr& wire) {
    After(Duration(0), [this, wire] {
      for (const int side : {kClient, kServer})
        Break(wire, side, base::UnavailableError("connection reset by the network"));
    });
  });
}

void SimNetwork::HalfOpen(const std::string& dead, const std::string& unaware) {
  const int host = HostId(dead);
  ForEachWireBetween(host, HostId(unaware), [this, host](const WirePtr& wire) {
    After(Duration(0), [this, wire, host] {
      Break(wire, wire->HostOf(kClient) == host ? kClient : kServer,
            base::UnavailableError("connection lost"));
    });
  });
}

void SimNetwork::RefuseConnects(const std::string& host, bool refuse) {
  HostAt(HostId(host)).refuses = refuse;
}

void SimNetwork::Die(const std::string& name, Death death) {
  const int id = HostId(name);
  Host& host = HostAt(id);
  ++host.lives;
  host.listeners.clear();
  if (death == Death::kSilent) host.up = false;
  for (const auto& [number, wire] : wires_) {
    for (const int side : {kClient, kServer}) {
      End& end = wire->ends[side];
      if (end.host != id || !end.open) continue;
      end.open = false;
      const int peer = 1 - side;
      if (death == Death::kReset) {
        SendReset(wire, peer);
      } else {
        After(options_.give_up_after, [this, lost = wire, peer] {
          Break(lost, peer, base::UnavailableError("connection timed out"));
        });
      }
    }
  }
  std::erase_if(wires_, [](const auto& entry) { return !entry.second->AnyOpen(); });
}

void SimNetwork::Boot(const std::string& name) {
  const int id = HostId(name);
  HostAt(id).up = true;
  for (const auto& [number, wire] : wires_) {
    if (wire->HostOf(kClient) == id || wire->HostOf(kServer) == id) RetransmitSoon(wire);
  }
}

// ---------------------------------------- connections

SimNetwork::WirePtr SimNetwork::MakeWire(int client, int server, uint16_t server_port,
                                         const Identity& who) {
  const auto wire = std::make_shared<Wire>();
  wire->id = next_wire_++;
  wire->server_port = server_port;
  Host& from = HostAt(client);
  Host& to = HostAt(server);
  const int client_port = from.next_client_port;
  from.next_client_port = client_port == kLastPort ? kFirstPort : client_port + 1;
  wire->ends[kClient].host = client;
  wire->ends[kClient].life = from.lives;
  wire->ends[kServer].host = server;
  wire->ends[kServer].life = to.lives;
  wire->ends[kServer].peer = {who.name, from.name + ":" + std::to_string(client_port), to.name};
  wire->ends[kClient].peer = {"", to.name + ":" + std::to_string(server_port), from.name};
  const auto listener = to.listeners.find(server_port);
  if (listener != to.listeners.end())
    wire->ends[kClient].peer.name = listener->second->identity().name;
  wires_.emplace(wire->id, wire);
  End& end = wire->ends[kClient];  // the server's opens when the hello arrives there
  end.open = true;
  end.unsent.push_back({.kind = Segment::Kind::kHello});
  end.unsent_bytes += end.unsent.back().bytes();
  Pump(wire, kClient);
  return wire;
}

template <class What>
void SimNetwork::ForEachWireBetween(int a, int b, What what) {
  for (const auto& [id, wire] : wires_) {
    const int client = wire->HostOf(kClient);
    const int server = wire->HostOf(kServer);
    if ((client == a && server == b) || (client == b && server == a)) what(wire);
  }
}

Status SimNetwork::Send(const WirePtr& wire, int side, std::string payload) {
  End& end = wire->ends[side];
  if (end.closed) return base::FailedPreconditionError("send a message: the connection is closed");
  if (payload.size() > options_.payload_bytes_max) {
    const Status too_long = base::InvalidArgumentError(
        "send a message of " + std::to_string(payload.size()) + " bytes; the limit is " +
        std::to_string(options_.payload_bytes_max));
    CloseByOwner(wire, side, too_long);
    return too_long;
  }
  if (!end.open) return base::OkStatus();  // its end has not been read yet, or nobody will
  Segment segment{.payload = std::move(payload)};
  if (end.unsent_bytes + segment.bytes() > options_.queue_bytes_max) {
    const Status full = base::ResourceExhaustedError(
        "send a message of " + std::to_string(segment.payload.size()) +
        " bytes: " + std::to_string(end.unsent_bytes) + " are waiting already and the limit is " +
        std::to_string(options_.queue_bytes_max) + "; the peer does not read");
    CloseByOwner(wire, side, full);
    return full;
  }
  end.unsent_bytes += segment.bytes();
  end.unsent.push_back(std::move(segment));
  Pump(wire, side);
  return base::OkStatus();
}

/// What the kernel has been given still goes out; with unread messages in its hands it resets.
void SimNetwork::CloseByOwner(const WirePtr& wire, int side, Status why) {
  End& end = wire->ends[side];
  if (std::exchange(end.closed, true)) return;
  if (std::exchange(end.open, false)) {
    if (!end.inbox.empty()) {
      SendReset(wire, 1 - side);
    } else {
      Segment fin{.kind = end.unsent.empty() ? Segment::Kind::kFin : Segment::Kind::kTornFin,
                  .number = end.next_number++,
                  .sent_at = loop_.Now()};
      Transmit(wire, side, fin);
      end.in_flight.push_back(std::move(fin));
    }
  }
  end.unsent.clear();
  end.unsent_bytes = 0;
  end.inbox.clear();
  end.ended = std::move(why);
  After(Duration(0), [this, wire, side] { Drain(wire, side); });
  Forget(wire);
}

void SimNetwork::Forget(const WirePtr& wire) {
  if (!wire->AnyOpen()) wires_.erase(wire->id);
}

/// Gives the kernel what its buffers hold.
void SimNetwork::Pump(const WirePtr& wire, int side) {
  End& end = wire->ends[side];
  while (end.open && !end.unsent.empty() &&
         end.sent_bytes - end.credited_bytes < options_.window_bytes) {
    Segment segment = std::move(end.unsent.front());
    end.unsent.pop_front();
    segment.number = end.next_number++;
    segment.sent_at = loop_.Now();
    end.unsent_bytes -= segment.bytes();
    end.sent_bytes += segment.bytes();
    Transmit(wire, side, segment);
    end.in_flight.push_back(std::move(segment));
  }
  if (!end.watched && !end.in_flight.empty()) WatchForSilence(wire, side, options_.give_up_after);
}

void SimNetwork::Transmit(const WirePtr& wire, int side, const Segment& segment) {
  End& end = wire->ends[side];
  const int to = wire->HostOf(1 - side);
  const uint64_t speed = std::as_const(*this).PathOf(end.host, to).bytes_per_second;
  SteadyTime departed = loop_.Now();
  if (speed > 0) {
    SteadyTime& busy_until = busy_until_[{end.host, to}];
    departed = std::max(departed, busy_until) +
               Duration(static_cast<int64_t>(segment.bytes() * 1'000'000'000 / speed));
    busy_until = departed;
  }
  end.last_arrival = std::max(end.last_arrival, departed + Latency(end.host, to));
  After(end.last_arrival - loop_.Now(),
        [this, wire, side, number = segment.number, transmission = end.transmission] {
          Arrive(wire, side, number, transmission);
        });
}

/// At the peer of `side`.
void SimNetwork::Arrive(const WirePtr& wire, int side, uint64_t number, uint64_t transmission) {
  End& from = wire->ends[side];
  End& to = wire->ends[1 - side];
  if (transmission != from.transmission) return;
  if (!Passes(from.host, to.host)) {
    from.stalled = true;
    return;
  }
  if (number > to.next_expected) return;  // behind one that was lost
  Note(wire->id * 2 + static_cast<uint64_t>(side), number);
  if (number < to.next_expected) return Acknowledge(wire, 1 - side);
  const Segment segment = from.in_flight[number - from.in_flight.front().number];
  const bool opens = segment.kind == Segment::Kind::kHello;
  if (HostAt(to.host).lives != to.life || (opens ? !MayOpen(wire) : !to.open))
    return SendReset(wire, side);
  ++to.next_expected;
  switch (segment.kind) {
    case Segment::Kind::kHello: HandOut(wire); break;
    case Segment::Kind::kMessage: TakeIn(wire, side, segment); break;
    case Segment::Kind::kFin: EndBy(wire, 1 - side, base::OkStatus()); break;
    case Segment::Kind::kTornFin:
      EndBy(wire, 1 - side, base::DataLossError("the peer closed the connection within a message"));
      break;
  }
  Drain(wire, 1 - side);
  Acknowledge(wire, 1 - side);
}

bool SimNetwork::MayOpen(const WirePtr& wire) {
  Host& host = HostAt(wire->HostOf(kServer));
  const auto listener = host.listeners.find(wire->server_port);
  if (listener == host.listeners.end()) return false;
  if (!listener->second->Full()) return true;
  listener->second->Refuse();
  return false;
}

void SimNetwork::HandOut(const WirePtr& wire) {
  End& end = wire->ends[kServer];
  end.open = true;
  wires_.emplace(wire->id, wire);  // its client may have closed it meanwhile
  HostAt(end.host)
      .listeners.at(wire->server_port)
      ->HandOut(std::make_unique<SimConnection>(*this, wire, kServer));
}

/// A message has come from `side`.
void SimNetwork::TakeIn(const WirePtr& wire, int side, const Segment& segment) {
  End& to = wire->ends[1 - side];
  const Path& path = std::as_const(*this).PathOf(wire->HostOf(side), to.host);
  End::Unread unread{segment.payload, segment.bytes()};
  if (Chance(path.dropped_percent)) {
    to.read_bytes += unread.credit;
    return;
  }
  if (Chance(path.duplicated_percent)) to.inbox.push_back({segment.payload, 0});
  if (!Chance(path.reordered_percent)) return to.inbox.push_back(std::move(unread));
  After(Upto(kReorderMax), [this, wire, side, unread = std::move(unread)]() mutable {
    End& late = wire->ends[1 - side];
    if (!late.open) return;
    late.inbox.push_back(std::move(unread));
    Drain(wire, 1 - side);
    Acknowledge(wire, 1 - side);
  });
}

/// Hands over what has come, as far as the owner wants it. Only from callbacks of the loop.
void SimNetwork::Drain(const WirePtr& wire, int side) {
  End& end = wire->ends[side];
  const auto handlers = end.handlers;
  if (handlers == nullptr) return;
  const auto heard = [this, &end] {
    return end.owner != nullptr && HostAt(end.host).lives == end.life;
  };
  while (heard() && !end.inbox.empty()) {
    const End::Unread next = std::move(end.inbox.front());
    end.inbox.pop_front();
    end.read_bytes += next.credit;
    handlers->on_message(next.payload);
  }
  if (!heard() || !end.ended.has_value() || std::exchange(end.told, true)) return;
  end.closed = true;
  Note(~wire->id, static_cast<uint64_t>(end.ended->code()));
  if (handlers->on_closed) handlers->on_closed(*end.ended);
}

/// Tells the sender what has come and what has been read.
void SimNetwork::Acknowledge(const WirePtr& wire, int receiver) {
  const int from = wire->HostOf(receiver);
  const int to = wire->HostOf(1 - receiver);
  After(Latency(from, to), [this, wire, receiver, from, to] {
    End& sender = wire->ends[1 - receiver];
    if (!Passes(from, to)) {
      sender.stalled = true;
      return;
    }
    const End& heard = wire->ends[receiver];
    while (!sender.in_flight.empty() && sender.in_flight.front().number < heard.next_expected)
      sender.in_flight.pop_front();
    sender.credited_bytes = std::max(sender.credited_bytes, heard.read_bytes);
    Pump(wire, 1 - receiver);
  });
}

/// There is no socket any more; what has come can still be read.
void SimNetwork::EndBy(const WirePtr& wire, int side, Status why) {
  End& end = wire->ends[side];
  if (!std::exchange(end.open, false)) return;
  end.unsent.clear();
  end.unsent_bytes = 0;
  ++end.transmission;
  end.ended = std::move(why);
  Forget(wire);
}

/// Only from callbacks of the loop.
void SimNetwork::Break(const WirePtr& wire, int side, Status why) {
  EndBy(wire, side, std::move(why));
  Drain(wire, side);
}

void SimNetwork::SendReset(const WirePtr& wire, int to) {
  const int from = 1 - to;
  After(Latency(wire->HostOf(from), wire->HostOf(to)), [this, wire, from, to] {
    if (Passes(wire->HostOf(from), wire->HostOf(to)))
      Break(wire, to, base::UnavailableError("connection reset by the peer"));
  });
}

void SimNetwork::RetransmitSoon(const WirePtr& wire) {
  for (const int side : {kClient, kServer}) {
    if (!wire->ends[side].stalled) continue;
    After(Upto(options_.retransmit_max), [this, wire, side] {
      End& end = wire->ends[side];
      if (!std::exchange(end.stalled, false) || HostAt(end.host).lives != end.life) return;
      ++end.transmission;
      end.last_arrival = loop_.Now();
      for (const Segment& segment : end.in_flight) Transmit(wire, side, segment);
    });
  }
}

void SimNetwork::WatchForSilence(const WirePtr& wire, int side, Duration delay) {
  wire->ends[side].watched = true;
  After(delay, [this, wire, side] {
    End& end = wire->ends[side];
    end.watched = false;
    if (!end.open || end.in_flight.empty()) return;
    const SteadyTime due = end.in_flight.front().sent_at + options_.give_up_after;
    if (loop_.Now() < due) return WatchForSilence(wire, side, due - loop_.Now());
    Break(wire, side, base::UnavailableError("connection timed out"));
  });
}

}  // namespace lockstep::net
