// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/board_bytes.h"

#include <cstdint>
#include <cstring>

namespace lockstep::collectives {
namespace {

struct WireInvitation {
  uint32_t from_parent;
  NcclUniqueId id;
};
static_assert(sizeof(WireInvitation) == 132 && sizeof(CallCard) == 256);

template <class T>
std::string BytesOf(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/// It goes to a terminal.
template <size_t N>
void MakePrintable(char (&text)[N]) {
  text[N - 1] = '\0';
  for (char* c = text; *c != '\0'; ++c) {
    if (static_cast<unsigned char>(*c) < 0x20 || *c == 0x7f) *c = '?';
  }
}

}  // namespace

std::string BytesOfInvitation(const GroupBoard::Invitation& invitation) {
  return BytesOf(
      WireInvitation{.from_parent = invitation.from_parent ? 1U : 0U, .id = invitation.id});
}

base::Result<GroupBoard::Invitation> ParseInvitation(std::string_view bytes) {
  WireInvitation wire;
  if (bytes.size() != sizeof wire)
    return base::DataLossError("what came is no invitation to a communicator");
  std::memcpy(&wire, bytes.data(), sizeof wire);
  if (wire.from_parent > 1)
    return base::DataLossError("an invitation to a communicator says neither how nor where");
  return GroupBoard::Invitation{.from_parent = wire.from_parent == 1, .id = wire.id};
}

std::string BytesOfCallCard(const CallCard& card) { return BytesOf(card); }

base::Result<CallCard> ParseCallCard(std::string_view bytes) {
  CallCard card;
  if (bytes.size() != sizeof card) return base::DataLossError("what came is no card of a call");
  std::memcpy(&card, bytes.data(), sizeof card);
  if (card.kind >= kOpKindLimit || card.dtype >= kDtypeLimit || card.reduction >= kReductionLimit ||
      card.refused > 1) {
    return base::DataLossError("a card names a call of another release");
  }
  MakePrintable(card.call_site);
  if (card.refused != 0) MakePrintable(card.reason);  // else nobody shows it: it may be counts
  return card;
}

}  // namespace lockstep::collectives
