// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/folder_exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/hmac.h"

namespace lockstep::launcher {
namespace {

using collectives::AddressCard;

constexpr size_t kKeyBytes = 32;
constexpr size_t kTextBytes = 256;
constexpr size_t kAddressesMax = 16;
// The deadline's clock wants to be looked at often (AwakeClock).
constexpr base::Duration kLook = std::chrono::milliseconds(2);

/// A card as it lies in its file; texts end with a zero.
struct CardFile {
  uint32_t member_count = 0;
  uint32_t port = 0;
  uint32_t incarnation = 0;
  uint32_t address_count = 0;
  int64_t pid = 0;
  int32_t memory = -1;
  int32_t encrypts = 0;
  int32_t flows = 1;
  int32_t reserved = 0;
  std::array<uint8_t, 16> nonce{};
  char host_id[kTextBytes] = {};
  char host[kTextBytes] = {};
  char addresses[kAddressesMax][kTextBytes] = {};
};

bool Put(const std::string& text, char (&field)[kTextBytes]) {
  if (text.size() >= kTextBytes) return false;
  std::memcpy(field, text.c_str(), text.size() + 1);
  return true;
}

std::string TextOf(const char (&field)[kTextBytes]) {
  return std::string(field, strnlen(field, kTextBytes));
}

base::Result<CardFile> FileOf(const AddressCard& card, int member_count) {
  CardFile file;
  file.member_count = static_cast<uint32_t>(member_count);
  file.port = card.port;
  file.incarnation = card.incarnation.value();
  file.pid = card.pid;
  file.memory = card.memory;
  file.encrypts = card.encrypts ? 1 : 0;
  file.flows = card.flows;
  file.nonce = card.nonce;
  file.address_count = static_cast<uint32_t>(std::min(card.addresses.size(), kAddressesMax));
  bool fits = Put(card.host_id, file.host_id) && Put(card.host, file.host);
  for (uint32_t i = 0; i < file.address_count; ++i)
    fits = fits && Put(card.addresses[i], file.addresses[i]);
  if (fits) return file;
  return base::InvalidArgumentError("a host's name or address of host " + card.host +
                                    " has more than " + std::to_string(kTextBytes - 1) + " bytes");
}

AddressCard CardOf(const CardFile& file) {
  AddressCard card;
  for (uint32_t i = 0; i < std::min<size_t>(file.address_count, kAddressesMax); ++i)
    card.addresses.push_back(TextOf(file.addresses[i]));
  card.port = static_cast<uint16_t>(file.port);
  card.nonce = file.nonce;
  card.host_id = TextOf(file.host_id);
  card.host = TextOf(file.host);
  card.pid = file.pid;
  card.memory = file.memory;
  card.encrypts = file.encrypts != 0;
  card.flows = std::clamp(file.flows, 1, collectives::kTcpFlowsMax);
  card.incarnation = base::Incarnation(file.incarnation);
  return card;
}

/// Makes `path` with those bytes, whole or not at all. False when it is there already.
base::Result<bool> Publish(const std::string& path, const void* bytes, size_t size) {
  const std::string draft = path + "." + std::to_string(::getpid());
  const base::UniqueFd fd(
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open " + draft);
  const bool written = ::write(fd.get(), bytes, size) == static_cast<ssize_t>(size);
  const int write_error = errno;
  const bool made = written && ::link(draft.c_str(), path.c_str()) == 0;
  const int link_error = errno;
  (void)::unlink(draft.c_str());
  if (!written) return base::ErrnoStatus(write_error, "write " + draft);
  if (!made && link_error != EEXIST) return base::ErrnoStatus(link_error, "make " + path);
  return made;
}

/// False while it is not there.
base::Result<bool> Read(const std::string& path, void* bytes, size_t size) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return false;
  if (!fd.valid()) return base::ErrnoStatus(errno, "open " + path);
  if (::read(fd.get(), bytes, size) == static_cast<ssize_t>(size)) return true;
  return base::DataLossError(path + " has not " + std::to_string(size) +
                             " bytes; another release wrote it");
}

}  // namespace

base::Result<net::Secret> FolderExchange::Key() const {
  std::array<uint8_t, kKeyBytes> key;
  net::FillRandom(key);
  const std::string path = folder_ + "/key";
  RETURN_IF_ERROR(Publish(path, key.data(), key.size()).status());
  RETURN_IF_ERROR(Read(path, key.data(), key.size()).status());
  return net::Secret(std::string(reinterpret_cast<const char*>(key.data()), key.size()));
}

base::Result<std::vector<std::optional<AddressCard>>> FolderExchange::Exchange(
    const collectives::ExchangeRequest& request, const AddressCard& mine,
    const collectives::OpDeadline& deadline) {
  const auto path_of = [&](int member) {
    return folder_ + "/" + request.group.ToString() + "." + request.epoch.ToString() + "." +
           std::to_string(member);
  };
  ASSIGN_OR_RETURN(const CardFile own, FileOf(mine, request.member_count));
  ASSIGN_OR_RETURN(const bool made, Publish(path_of(request.member), &own, sizeof own));
  if (!made) {
    return base::AlreadyExistsError(
        "member " + std::to_string(request.member) + " of group " + request.group.ToString() +
        " has come already: " + path_of(request.member) + "; the rank joined twice");
  }
  std::vector<std::optional<AddressCard>> cards(static_cast<size_t>(request.member_count));
  while (true) {
    int missing = 0;
    for (int member = 0; member < request.member_count; ++member) {
      std::optional<AddressCard>& card = cards[static_cast<size_t>(member)];
      if (card.has_value()) continue;
      CardFile file;
      ASSIGN_OR_RETURN(const bool come, Read(path_of(member), &file, sizeof file));
      if (come && file.member_count != own.member_count) {
        return base::FailedPreconditionError(
            "group " + request.group.ToString() + " has " + std::to_string(file.member_count) +
            " members to member " + std::to_string(member) + ", and " +
            std::to_string(own.member_count) + " to this one");
      }
      if (come) card = CardOf(file);
      if (!come) ++missing;
    }
    if (missing == 0) return cards;
    if (deadline.Left().count() <= 0) break;
    std::this_thread::sleep_for(kLook);
  }
  (void)::unlink(path_of(request.member).c_str());  // who comes later is not to wait for me
  return cards;
}

}  // namespace lockstep::launcher
