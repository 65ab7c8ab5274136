// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pmi_server.h"

#include <errno.h>
#include <sys/socket.h>

#include <charconv>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/base/logging.h"

namespace lockstep::launcher {
namespace {

// Who shares memory with whom, as MPICH asks it: one node, all ranks on it.
constexpr char kMappingKey[] = "PMI_process_mapping";

std::string Result(const std::string& command, const std::string& rest) {
  return "cmd=" + command + " " + rest + "\n";
}

/// A code that is no number is one of an error, whatever it says.
int CodeOf(const std::string& text) {
  int code = 1;
  std::from_chars(text.data(), text.data() + text.size(), code);
  return code;
}

}  // namespace

/// A rank's end of the protocol.
struct PmiServer::Client {
  base::Rank rank;
  base::UniqueFd fd;
  std::string unfinished;  // of a line; at most kLineBytesMax
  bool waits_in_barrier = false;
  bool asks_for_spawn = false;  // in several lines, to the one that says "endcmd"
  event::Registration watch;
};

PmiServer::PmiServer(Config config, event::Loop& loop) : config_(std::move(config)), loop_(loop) {}
PmiServer::~PmiServer() = default;

base::Status PmiServer::BeginRound(base::Round round, int rank_count) {
  seq_.AssertHeld();
  EndRound();
  store_name_ = config_.job_id + "-" + round.ToString();
  rank_count_ = rank_count;
  store_[kMappingKey] = "(vector,(0,1," + std::to_string(rank_count) + "))";
  return base::OkStatus();
}

base::Result<MpiSeat> PmiServer::SeatOf(base::Rank rank) {
  seq_.AssertHeld();
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return base::ErrnoStatus(errno, "make the sockets by which MPI serves rank " + rank.ToString());
  auto client = std::make_unique<Client>();
  client->rank = rank;
  client->fd.reset(fds[0]);
  Client& placed = *client;
  clients_[rank] = std::move(client);
  placed.watch = loop_.Watch(placed.fd.get(), {.readable = true},
                             [this, &placed](event::Readiness) { OnReadable(placed); });
  MpiSeat seat;
  seat.fd.reset(fds[1]);
  seat.rank_fd = kRankFd;
  seat.variables = {{"PMI_FD", std::to_string(kRankFd)},
                    {"PMI_RANK", rank.ToString()},
                    {"PMI_SIZE", std::to_string(rank_count_)},
                    {"MPI_LOCALRANKID", rank.ToString()},
                    {"MPI_LOCALNRANKS", std::to_string(rank_count_)}};
  return seat;
}

void PmiServer::EndRound() {
  seq_.AssertHeld();
  clients_.clear();
  store_.clear();
  store_bytes_ = 0;
  waiting_in_barrier_ = 0;
}

void PmiServer::OnReadable(Client& client) {
  char bytes[kLineBytesMax];
  const ssize_t size = ::recv(client.fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return CutOff(client);  // it has ended; its exit tells how
  client.unfinished.append(bytes, static_cast<size_t>(size));
  size_t begin = 0;
  for (size_t end = 0; (end = client.unfinished.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    if (!OnLine(client, std::string_view(client.unfinished).substr(begin, end - begin))) return;
  }
  client.unfinished.erase(0, begin);
  if (client.unfinished.size() < kLineBytesMax) return;
  LOG(ERROR) << "rank " << client.rank << " sent PMI a line of more than " << kLineBytesMax
             << " bytes: it is cut off";
  CutOff(client);
}

bool PmiServer::OnLine(Client& client, std::string_view text) {
  const PmiLine line(text);
  if (line.Has("mcmd")) client.asks_for_spawn = true;
  if (client.asks_for_spawn) {
    if (text != "endcmd") return true;
    client.asks_for_spawn = false;
    return Send(client, Result("spawn_result", "rc=-1 msg=not_supported"));
  }
  if (line.command() == "barrier_in") {
    OnBarrier(client);
    return client.fd.valid();
  }
  if (line.command() == "abort") {
    config_.on_abort(client.rank, CodeOf(line.Value("exitcode")));
    return true;  // without an answer, which MPICH would go on after: it awaits its end
  }
  const std::string answer = AnswerTo(line);
  if (!answer.empty()) return Send(client, answer);
  LOG(ERROR) << "rank " << client.rank << " sent PMI \"" << text.substr(0, 80)
             << "\", which is no command of version 1: it is cut off";
  CutOff(client);
  return false;
}

/// "" when the command is none that is known.
std::string PmiServer::AnswerTo(const PmiLine& line) {
  const std::string& command = line.command();
  if (command == "init") {
    const bool ours = line.Value("pmi_version") == "1";
    return Result("response_to_init",
                  std::string("pmi_version=1 pmi_subversion=1 rc=") + (ours ? "0" : "-1"));
  }
  if (command == "get_maxes")
    return Result("maxes", "kvsname_max=" + std::to_string(kNameBytesMax) +
                               " keylen_max=" + std::to_string(kKeyBytesMax) +
                               " vallen_max=" + std::to_string(kValueBytesMax) + " rc=0");
  if (command == "get_appnum") return Result("appnum", "appnum=0 rc=0");
  if (command == "get_universe_size")
    return Result("universe_size", "size=" + std::to_string(rank_count_) + " rc=0");
  if (command == "get_my_kvsname") return Result("my_kvsname", "kvsname=" + store_name_ + " rc=0");
  if (command == "get_ranks2hosts") return Result("put_ranks2hosts", "rc=-1 msg=unknown");
  if (command == "put") return Put(line);
  if (command == "get") return Get(line);
  if (command == "publish_name") return Result("publish_result", "rc=-1 msg=not_supported");
  if (command == "unpublish_name") return Result("unpublish_result", "rc=-1 msg=not_supported");
  if (command == "lookup_name") return Result("lookup_result", "rc=-1 msg=not_supported");
  if (command == "finalize") return Result("finalize_ack", "rc=0");
  return "";
}

std::string PmiServer::Put(const PmiLine& line) {
  const std::string& key = line.Value("key");
  const std::string& value = line.Value("value");
  const auto refused = [](const char* why) {
    return Result("put_result", std::string("rc=-1 msg=") + why);
  };
  if (line.Value("kvsname") != store_name_) return refused("no_such_kvs");
  if (key.empty() || key.size() > kKeyBytesMax) return refused("bad_key");
  if (value.size() > kValueBytesMax) return refused("value_too_long");
  if (store_bytes_ + key.size() + value.size() > kStoreBytesMax) return refused("store_is_full");
  if (!store_.emplace(key, value).second) return refused("duplicate_key");
  store_bytes_ += key.size() + value.size();
  return Result("put_result", "rc=0 msg=success");
}

std::string PmiServer::Get(const PmiLine& line) const {
  const auto found = store_.find(line.Value("key"));
  if (line.Value("kvsname") != store_name_ || found == store_.end())
    return Result("get_result", "rc=-1 msg=key_not_found value=unknown");
  return Result("get_result", "rc=0 msg=success value=" + found->second);
}

/// What was put before a barrier is there for everybody behind it, since there is one store.
void PmiServer::OnBarrier(Client& client) {
  if (!std::exchange(client.waits_in_barrier, true)) ++waiting_in_barrier_;
  if (waiting_in_barrier_ < rank_count_) return;
  waiting_in_barrier_ = 0;
  for (auto& [rank, other] : clients_) {
    if (std::exchange(other->waits_in_barrier, false)) Send(*other, Result("barrier_out", "rc=0"));
  }
}

/// A rank awaits each answer before it asks again, so the socket never fills up but for one that
/// does not play by the rules.
bool PmiServer::Send(Client& client, const std::string& text) {
  const ssize_t sent =
      ::send(client.fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(text.size())) return true;
  CutOff(client);
  return false;
}

/// Leaves the client itself, in which a caller may stand.
void PmiServer::CutOff(Client& client) {
  client.watch.reset();
  client.fd.reset();
  client.unfinished.clear();
  if (std::exchange(client.waits_in_barrier, false)) --waiting_in_barrier_;
}

}  // namespace lockstep::launcher
