// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/record_cipher.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep::net {
namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Record {
  std::string shown;
  std::vector<std::byte> bytes;  // sealed, and the tag
};

class RecordCipherTest : public ::testing::Test {
 protected:
  Record Seal(const std::vector<std::string>& pieces, std::string shown = "shown") {
    std::vector<iovec> all;
    size_t bytes = 0;
    for (const std::string& piece : pieces) {
      all.push_back({const_cast<char*>(piece.data()), piece.size()});
      bytes += piece.size();
    }
    Record record{.shown = std::move(shown), .bytes = {}};
    record.bytes.resize(bytes + RecordCipher::kTagBytes);
    seals_.Seal(BytesOf(record.shown), all, record.bytes.data());
    return record;
  }
  /// "(refused)" when it does not open.
  std::string Open(const Record& record) {
    std::string text(record.bytes.size() - RecordCipher::kTagBytes, '?');
    const std::span<const std::byte> bytes(record.bytes);
    if (opens_->Open(BytesOf(record.shown), bytes.first(text.size()), bytes.data() + text.size(),
                     reinterpret_cast<std::byte*>(text.data())))
      return text;
    EXPECT_EQ(text, std::string(text.size(), '\0'));
    return "(refused)";
  }

  /// The opening end, as it was before the first record.
  void Renew() { opens_.emplace(RecordCipher::Role::kOpens, Secret(kKey), 3); }

  RecordCipher seals_{RecordCipher::Role::kSeals, Secret(kKey), 3};
  std::optional<RecordCipher> opens_{std::in_place, RecordCipher::Role::kOpens, Secret(kKey), 3};
};

TEST_F(RecordCipherTest, RecordsOpenInTheirOrderThroughChangesOfKeys) {
  for (int i = 0; i < 10; ++i) {
    const std::string text = "record " + std::to_string(i);
    EXPECT_EQ(Open(Seal({text.substr(0, 3), "", text.substr(3)})), text);
  }
}

TEST_F(RecordCipherTest, EveryBitCountsOfWhatIsSealedShownAndOfTheTag) {
  const Record record = Seal({"a record"});
  for (size_t at = 0; at < record.bytes.size() + record.shown.size(); ++at) {
    Renew();
    Record changed = record;
    if (at < record.bytes.size()) {
      changed.bytes[at] ^= std::byte{1};
    } else {
      changed.shown[at - record.bytes.size()] ^= 1;
    }
    EXPECT_EQ(Open(changed), "(refused)") << at;
  }
  Renew();
  EXPECT_EQ(Open(record), "a record");
}

TEST_F(RecordCipherTest, OneThatIsRepeatedLeftOutOrMovedDoesNotOpen) {
  const Record first = Seal({"first"}), second = Seal({"second"});

  EXPECT_EQ(Open(second), "(refused)");  // the first one was left out
  Renew();
  EXPECT_EQ(Open(first), "first");
  EXPECT_EQ(Open(first), "(refused)");
}

TEST_F(RecordCipherTest, TheSameTextTwiceLooksDifferent) {
  EXPECT_NE(Seal({"text"}).bytes, Seal({"text"}).bytes);
}

}  // namespace
}  // namespace lockstep::net
