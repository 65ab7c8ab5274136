// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_CARD_BYTES_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_CARD_BYTES_H_

/// Cards as bytes, which agents carry without looking into them. Little endian; a text is its
/// length in one byte, and its bytes:
///
///   version (1 byte, 3), number of addresses (1), each a text; port (2); nonce (16); host_id, a
///   text; host, a text; pid (8); incarnation (4); memory (4); 1 if it encrypts, else 0 (1);
///   flows (1)
///
/// Example, a card with address 10.0.0.7 and port 29400 begins: 03 01 08 31 30 2e 30 2e 30 2e 37 d8
/// 72.
///
/// Functions without state: callable from any thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/host/tcp/address_exchange.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// A card keeps so many addresses, and so much of a host's name, that it goes into CARD of the
/// attach protocol.
inline constexpr size_t kCardAddressesMax = 4;
inline constexpr size_t kCardHostBytesMax = 128;

std::string BytesOfCard(const AddressCard& card);
/// Errors: DataLoss - no card of this release.
base::Result<AddressCard> ParseCard(std::string_view bytes);
/// The content of CARDS: for each member the length of its card (4 bytes), and that; empty for one
/// that has not come. Errors: DataLoss - no table of `member_count` cards.
base::Result<std::vector<std::optional<AddressCard>>> ParseCardTable(std::string_view bytes,
                                                                     int member_count);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_CARD_BYTES_H_
