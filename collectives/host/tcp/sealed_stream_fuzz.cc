// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whatever is done to what was sent, and whatever comes instead: what is delivered is the beginning
// of what was sent.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "collectives/host/tcp/sealed_stream.h"
#include "runtime/base/check.h"
#include "runtime/base/unique_fd.h"

namespace {

using lockstep::base::UniqueFd;
using lockstep::collectives::SealedStream;
using lockstep::net::Secret;

constexpr char kForth[] = "0123456789abcdef0123456789abcdef";
constexpr char kBack[] = "fedcba9876543210fedcba9876543210";
constexpr size_t kRecords = 4;

std::string TextOf(size_t record) { return std::string(3 + 20 * record, char('a' + record)); }

/// The wire of kRecords records.
std::vector<std::string> Sent() {
  int fds[2];
  LOCKSTEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0,
                 "there are sockets");
  const UniqueFd end(fds[0]), wire(fds[1]);
  SealedStream sender({.out = Secret(kForth), .in = Secret(kBack)});
  std::vector<std::string> records;
  for (size_t i = 0; i < kRecords; ++i) {
    std::string text = TextOf(i);
    const iovec piece{text.data(), text.size()};
    LOCKSTEP_CHECK(sender.Send(end.get(), {&piece, 1}) == static_cast<ssize_t>(text.size()), "");
    std::string record(1000, '\0');
    const ssize_t got = ::recv(wire.get(), record.data(), record.size(), MSG_DONTWAIT);
    LOCKSTEP_CHECK(got > 0, "a record went out");
    record.resize(static_cast<size_t>(got));
    records.push_back(std::move(record));
  }
  return records;
}

/// Steps of three bytes: what is done, to which record, and with which byte of it.
std::string Wire(const uint8_t* data, size_t size) {
  static const std::vector<std::string> sent = Sent();
  std::vector<std::string> records = sent;
  for (; size >= 3 && records.size() < 20 && !records.empty(); data += 3, size -= 3) {
    const size_t at = data[1] % records.size();
    std::string& record = records[at];
    switch (data[0] % 6) {
      case 0: record[data[2] % record.size()] ^= static_cast<char>(1 << (data[0] / 6 % 8)); break;
      case 1:
        records.insert(records.begin() + static_cast<ptrdiff_t>(at), sent[at % kRecords]);
        break;
      case 2: records.erase(records.begin() + static_cast<ptrdiff_t>(at)); break;
      case 3: std::swap(record, records[data[2] % records.size()]); break;
      case 4: record.resize(1 + data[2] % record.size()); break;
      case 5: record.insert(data[2] % record.size(), 1, static_cast<char>(data[0])); break;
    }
  }
  std::string wire;
  for (const std::string& record : records) wire += record;
  return wire;
}

}  // namespace

/// The first byte: 0 = the rest comes as it is, else it says what is done to four records.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 10'000) return 0;
  const std::string wire = data[0] == 0
                               ? std::string(reinterpret_cast<const char*>(data) + 1, size - 1)
                               : Wire(data + 1, size - 1);
  int fds[2];
  LOCKSTEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0,
                 "there are sockets");
  UniqueFd from(fds[0]);
  const UniqueFd to(fds[1]);
  if (!wire.empty() && ::send(from.get(), wire.data(), wire.size(), MSG_DONTWAIT) < 0) return 0;
  from.reset();
  std::string text;
  for (size_t i = 0; i < kRecords; ++i) text += TextOf(i);

  SealedStream receiver({.out = Secret(kBack), .in = Secret(kForth)});
  std::string came;
  int idle = 0;
  const size_t at_once = 1 + data[1] % 50;
  while (true) {
    std::byte piece[50];
    const ssize_t got = receiver.Receive(to.get(), piece, at_once);
    if (got < 0) break;
    LOCKSTEP_CHECK(got > 0 || ++idle < 3, "the end comes at last");
    came.append(reinterpret_cast<const char*>(piece), static_cast<size_t>(got));
    LOCKSTEP_CHECK(text.starts_with(came), "what is delivered was sent, in its order");
  }
  return 0;
}
