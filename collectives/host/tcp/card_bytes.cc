// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/card_bytes.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace lockstep::collectives {
namespace {

constexpr uint8_t kVersion = 3;
constexpr size_t kTextBytesMax = 255;

template <class T>
void Append(std::string& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void AppendText(std::string& bytes, std::string_view text, size_t most = kTextBytesMax) {
  const std::string_view kept = text.substr(0, most);
  Append(bytes, static_cast<uint8_t>(kept.size()));
  bytes += kept;
}

/// Reads on as long as there are bytes; what is beyond them is zero, and remembered.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  template <class T>
  void Read(T& value) {
    std::memcpy(&value, Take(sizeof value).data(), sizeof value);
  }
  std::string_view Take(size_t count) {
    static constexpr char kNothing[kTextBytesMax + 1] = {};
    if (count > left_.size()) {
      short_ = true;
      left_ = {};
      return {kNothing, std::min(count, sizeof kNothing)};
    }
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::string TakeText() {
    uint8_t length = 0;
    Read(length);
    return std::string(Take(length));
  }
  /// All was there, and nothing else.
  bool IsDone() const { return !short_ && left_.empty(); }
  bool is_short() const { return short_; }

 private:
  std::string_view left_;
  bool short_ = false;
};

}  // namespace

std::string BytesOfCard(const AddressCard& card) {
  std::string bytes;
  const size_t addresses = std::min(card.addresses.size(), kCardAddressesMax);
  Append(bytes, kVersion);
  Append(bytes, static_cast<uint8_t>(addresses));
  for (size_t i = 0; i < addresses; ++i) AppendText(bytes, card.addresses[i], 63);
  Append(bytes, card.port);
  Append(bytes, card.nonce);
  AppendText(bytes, card.host_id, 63);
  AppendText(bytes, card.host, kCardHostBytesMax);
  Append(bytes, card.pid);
  Append(bytes, card.incarnation.value());
  Append(bytes, card.memory);
  Append(bytes, static_cast<uint8_t>(card.encrypts ? 1 : 0));
  Append(bytes, static_cast<uint8_t>(card.flows));
  return bytes;
}

base::Result<AddressCard> ParseCard(std::string_view bytes) {
  Reader reader(bytes);
  uint8_t version = 0, addresses = 0;
  reader.Read(version);
  reader.Read(addresses);
  if (version != kVersion || addresses > kCardAddressesMax)
    return base::DataLossError("what came is no card of this release");
  AddressCard card;
  for (int i = 0; i < addresses; ++i) card.addresses.push_back(reader.TakeText());
  reader.Read(card.port);
  reader.Read(card.nonce);
  card.host_id = reader.TakeText();
  card.host = reader.TakeText();
  reader.Read(card.pid);
  uint32_t incarnation = 0;
  reader.Read(incarnation);
  card.incarnation = base::Incarnation(incarnation);
  reader.Read(card.memory);
  uint8_t encrypts = 0, flows = 0;
  reader.Read(encrypts);
  reader.Read(flows);
  card.encrypts = encrypts != 0;
  card.flows = flows;
  if (!reader.IsDone()) return base::DataLossError("a card has the wrong length");
  if (card.flows < 1 || card.flows > kTcpFlowsMax)
    return base::DataLossError("a card has " + std::to_string(card.flows) +
                               " connections a pair; there are 1 to " +
                               std::to_string(kTcpFlowsMax));
  return card;
}

base::Result<std::vector<std::optional<AddressCard>>> ParseCardTable(std::string_view bytes,
                                                                     int member_count) {
  Reader reader(bytes);
  std::vector<std::optional<AddressCard>> cards;
  for (int member = 0; member < member_count; ++member) {
    uint32_t length = 0;
    reader.Read(length);
    const std::string_view content = reader.Take(length);
    if (reader.is_short()) return base::DataLossError("a table of cards ends too early");
    cards.emplace_back();
    if (content.empty()) continue;
    ASSIGN_OR_RETURN(cards.back(), ParseCard(content));
  }
  if (!reader.IsDone()) return base::DataLossError("a table has too many cards");
  return cards;
}

}  // namespace lockstep::collectives
