// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/private_buffer.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <cstring>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(PrivateBufferTest, AnySizeIsZeroedAndBeginsAtAPage) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{4096}, size_t{100'000}, size_t{2} << 20,
                             (size_t{5} << 20) + 1}) {
    ASSERT_OK_AND_ASSIGN(const auto buffer, MakePrivateBuffer(bytes));

    EXPECT_EQ(buffer->bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 4096, 0u);
    if (bytes == 0) continue;
    EXPECT_EQ(buffer->data()[0], std::byte{0});
    EXPECT_EQ(buffer->data()[bytes - 1], std::byte{0});
    std::memset(buffer->data(), 7, bytes);
  }
}

TEST(PrivateBufferTest, ALargeOneBeginsAtAHugePage) {
  ASSERT_OK_AND_ASSIGN(const auto buffer, MakePrivateBuffer(size_t{3} << 20));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % (size_t{2} << 20), 0u);
}

TEST(PrivateBufferTest, TooMuchIsAnError) {
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX / 4}) {
    EXPECT_THAT(MakePrivateBuffer(bytes),
                StatusIs(Code::kResourceExhausted, HasSubstr(std::to_string(bytes))));
  }
}

}  // namespace
}  // namespace lockstep::collectives
