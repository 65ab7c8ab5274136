// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Of the contract of each op (ops_contract.h): shared buffers, wrong calls, words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collectives/agreement.h"
#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/ops_data.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Status;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// In them, elsewhere, and in them on some members alone: the result is the same.
TEST_P(OpsContractTest, SharedBuffersServeAsInputAndOutput) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllocate)) return;
    const size_t n = SizeOf(group);
    const size_t most = 300'007;
    ASSERT_OK_AND_ASSIGN(const auto in, group.AllocBuffer((most * n + 3) * 4));
    ASSERT_OK_AND_ASSIGN(const auto out, group.AllocBuffer((most * n + 3) * 4));
    ASSERT_EQ(in->bytes(), (most * n + 3) * 4);
    ASSERT_EQ(*in->data(), std::byte{0});
    std::vector<float> other_in(most * n + 3), other_out(most * n);
    for (const size_t count : {size_t{5}, size_t{600}, size_t{2053}, most}) {
      for (const int shared_below : {group.size(), 0, 1}) {
        SCOPED_TRACE(std::to_string(count) + " in shared buffers below rank " +
                     std::to_string(shared_below));
        const bool shares = group.rank().value() < shared_below;
        float* const from = shares ? reinterpret_cast<float*>(in->data()) + 3 : other_in.data();
        float* const to = shares ? reinterpret_cast<float*>(out->data()) : other_out.data();
        const auto buffer = [](float* data, size_t elements) {
          return Buffer{data, elements, Dtype::kF32};
        };
        const auto sum = [&](size_t i) { return SumOf(group.size(), i); };
        const auto gathered = [&](size_t i) {
          return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
        };

        Fill(buffer(from, count), group.rank().value());
        ASSERT_OK(group.AllReduce(buffer(from, count), buffer(to, count), Reduction::kSum)->Wait());
        ExpectElements(buffer(to, count), sum, "all_reduce");
        ASSERT_OK(
            group.AllReduce(buffer(from, count), buffer(from, count), Reduction::kSum)->Wait());
        ExpectElements(buffer(from, count), sum, "all_reduce in place");

        Fill(buffer(from, count), group.rank().value());
        ASSERT_OK(group.AllGather(buffer(from, count), buffer(to, count * n))->Wait());
        ExpectElements(buffer(to, count * n), gathered, "all_gather");

        Fill(buffer(from, count), group.rank().value());
        ASSERT_OK(group.Broadcast(buffer(from, count), GroupRank(group.size() - 1))->Wait());
        ExpectElements(
            buffer(from, count),
            [&](size_t i) { return static_cast<double>(InputOf(group.size() - 1, i)); },
            "broadcast");

        Fill(buffer(from, count * n), group.rank().value());
        if (!Lacks(group, OpKind::kReduceScatter)) {
          ASSERT_OK(
              group.ReduceScatter(buffer(from, count * n), buffer(to, count), Reduction::kSum)
                  ->Wait());
          ExpectElements(
              buffer(to, count), [&](size_t i) { return sum(IndexOf(group) * count + i); },
              "reduce_scatter");
        }
        if (!Lacks(group, OpKind::kAllToAll)) {
          ASSERT_OK(group.AllToAll(buffer(from, count * n), buffer(to, count * n))->Wait());
          ExpectElements(
              buffer(to, count * n),
              [&](size_t i) {
                return static_cast<double>(
                    InputOf(static_cast<int>(i / count), IndexOf(group) * count + i % count));
              },
              "all_to_all");
        }
      }
    }
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, WrongShapesAreRefusedByName) {
  struct Wrong {
    OpKind kind;
    const char* reason;
    std::function<std::shared_ptr<Work>(Group&, Guarded&)> call;
  };
  const auto in = [](Guarded& data, size_t count) { return ConstBuffer(data.part(0, count)); };
  const auto out = [](Guarded& data, size_t count) { return data.part(64, count); };
  const std::vector<Wrong> wrongs = {
      {OpKind::kReduceScatter, "as many as the outputs",
       [&](Group& g, auto& d) {
         return g.ReduceScatter(in(d, SizeOf(g) + 1), out(d, 1), Reduction::kSum);
       }},
      {OpKind::kAllGatherV, "counts for",
       [&](Group& g, auto& d) { return g.AllGatherV(in(d, 1), out(d, 1), {}); }},
      {OpKind::kAllToAllV, "sum of its counts",
       [&](Group& g, auto& d) {
         const std::vector<size_t> counts(SizeOf(g), 2);
         return g.AllToAllV(in(d, 1), counts, out(d, 2 * SizeOf(g)), counts);
       }},
      {OpKind::kGather, "in a group of",
       [&](Group& g, auto& d) { return g.Gather(in(d, 1), out(d, 1), GroupRank(-1)); }},
      {OpKind::kScatter, "in a group of",
       [&](Group& g, auto& d) { return g.Scatter(in(d, 1), out(d, 1), GroupRank(g.size())); }},
      {OpKind::kAllToAll, "overlap",
       [&](Group& g, auto& d) { return g.AllToAll(in(d, SizeOf(g)), d.part(0, SizeOf(g))); }},
      {OpKind::kSend, "in a group of",
       [&](Group& g, auto& d) { return g.Send(in(d, 1), GroupRank(g.size())); }},
  };
  Run([](Group& group) {
    Guarded one(1, Dtype::kF32);
    EXPECT_THAT(group.AllReduce(one.buffer(), one.buffer(), Reduction::kNone)->Wait(),
                StatusIs(Code::kUnimplemented, HasSubstr("all_reduce of f32 with none")));
  });
  for (const Wrong& wrong : wrongs) {
    SCOPED_TRACE(wrong.reason);
    Run([&](Group& group) {
      if (Lacks(group, wrong.kind)) return;
      Guarded data(256, Dtype::kF32);
      const std::vector<std::byte> before(data.size(), kGuard);
      const Status status = wrong.call(group, data)->Wait();
      EXPECT_THAT(status, StatusIs(Code::kInvalidArgument, HasSubstr(wrong.reason)));
      EXPECT_EQ(std::memcmp(data.data(), before.data(), before.size()), 0);
      EXPECT_FALSE(group.Barrier()->Wait().ok());
    });
  }
}

/// An op of parts of `count` elements, whose buffers begin at `in` and `out`; this member is its
/// root.
struct AnyCall {
  OpKind kind;
  bool has_output = true;  // beside what it reads
  std::function<std::shared_ptr<Work>(Group&, Buffer in, Buffer out, size_t count)> make;
};

Buffer Sized(Buffer buffer, size_t count) {
  buffer.count = count;
  return buffer;
}

std::vector<AnyCall> CallsOfEveryKind() {
  using W = std::shared_ptr<Work>;
  const auto n = [](const Group& g) { return SizeOf(g); };
  const auto each = [](const Group& g, size_t count) {
    return std::vector<size_t>(SizeOf(g), count);
  };
  return {
      {OpKind::kAllReduce, true,
       [](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.AllReduce(Sized(in, c), Sized(out, c), Reduction::kSum);
       }},
      {OpKind::kReduce, true,
       [](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.Reduce(Sized(in, c), Sized(out, c), Reduction::kSum, g.rank());
       }},
      {OpKind::kBroadcast, false,
       [](Group& g, Buffer in, Buffer, size_t c) -> W {
         return g.Broadcast(Sized(in, c), g.rank());
       }},
      {OpKind::kAllGather, true,
       [n](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.AllGather(Sized(in, c), Sized(out, c * n(g)));
       }},
      {OpKind::kAllGatherV, true,
       [n, each](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.AllGatherV(Sized(in, c), Sized(out, c * n(g)), each(g, c));
       }},
      {OpKind::kReduceScatter, true,
       [n](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.ReduceScatter(Sized(in, c * n(g)), Sized(out, c), Reduction::kSum);
       }},
      {OpKind::kReduceScatterV, true,
       [n, each](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.ReduceScatterV(Sized(in, c * n(g)), Sized(out, c), each(g, c), Reduction::kSum);
       }},
      {OpKind::kAllToAll, true,
       [n](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.AllToAll(Sized(in, c * n(g)), Sized(out, c * n(g)));
       }},
      {OpKind::kAllToAllV, true,
       [n, each](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.AllToAllV(Sized(in, c * n(g)), each(g, c), Sized(out, c * n(g)), each(g, c));
       }},
      {OpKind::kGather, true,
       [n](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.Gather(Sized(in, c), Sized(out, c * n(g)), g.rank());
       }},
      {OpKind::kScatter, true,
       [n](Group& g, Buffer in, Buffer out, size_t c) -> W {
         return g.Scatter(Sized(in, c * n(g)), Sized(out, c), g.rank());
       }},
      {OpKind::kSend, false,
       [](Group& g, Buffer in, Buffer, size_t c) -> W { return g.Send(Sized(in, c), g.rank()); }},
      {OpKind::kRecv, false,
       [](Group& g, Buffer in, Buffer, size_t c) -> W { return g.Recv(Sized(in, c), g.rank()); }},
  };
}

// In every kind of op: buffers that are null, that overlap where they may not, that cannot be.
TEST_P(OpsContractTest, NullOverlappingAndOverflowingBuffersAreRefusedByEveryOp) {
  constexpr size_t kCount = 8;
  constexpr size_t kTooMany = SIZE_MAX / 2;
  for (const AnyCall& any : CallsOfEveryKind()) {
    for (const char* const reason : {"null", "overlap", "overflows"}) {
      SCOPED_TRACE(std::string(OpKindName(any.kind)) + " " + reason);
      const bool overlaps = std::string(reason) == "overlap";
      if (overlaps && !any.has_output) continue;
      Run([&](Group& group) {
        if (Lacks(group, any.kind)) return;
        Guarded data(kCount * SizeOf(group) + 1, Dtype::kF32);
        const std::vector<std::byte> before(data.size(), kGuard);
        const Buffer null{nullptr, 0, Dtype::kF32, OpsContractTest::gang().device()};
        const bool is_null = std::string(reason) == "null";
        const Buffer in = is_null ? null : data.part(0, 0);
        const Status status = any.make(group, in, overlaps ? data.part(1, 0) : in,
                                       overlaps || is_null ? kCount : kTooMany)
                                  ->Wait();
        EXPECT_THAT(status, StatusIs(Code::kInvalidArgument, HasSubstr(reason)));
        EXPECT_EQ(std::memcmp(data.data(), before.data(), before.size()), 0);
        EXPECT_FALSE(group.Barrier()->Wait().ok());
      });
    }
  }
}

struct StreamCall {
  OpKind kind;
  std::function<Status(Group&, const Buffer& data, const OpOptions&)> make;
};

std::vector<StreamCall> StreamCalls() {
  return {
      {OpKind::kAllReduce,
       [](Group& g, const Buffer& data, const OpOptions& options) {
         return g.AllReduce(data, data, Reduction::kSum, options)->Wait();
       }},
      {OpKind::kReduce,
       [](Group& g, const Buffer& data, const OpOptions& options) {
         return g.Reduce(data, data, Reduction::kSum, GroupRank(0), options)->Wait();
       }},
      {OpKind::kBarrier, [](Group& g, const Buffer&,
                            const OpOptions& options) { return g.Barrier(options)->Wait(); }},
      {OpKind::kBatch,
       [](Group& g, const Buffer& data, const OpOptions& options) {
         return g.Send(data, g.rank(), options)->Wait();
       }},
      {OpKind::kAllocate,
       [](Group& g, const Buffer&, const OpOptions& options) {
         return g.AllocBuffer(64, options).status();
       }},
      {OpKind::kSplit, [](Group& g, const Buffer&,
                          const OpOptions& options) { return g.Split(0, 0, options).status(); }},
      {OpKind::kShrink, [](Group& g, const Buffer&,
                           const OpOptions& options) { return g.Shrink({}, options).status(); }},
      {OpKind::kGrow, [](Group& g, const Buffer&,
                         const OpOptions& options) { return g.Grow({}, options).status(); }},
  };
}

// It was ignored: an op read what a GPU had not written yet.
TEST_P(OpsContractTest, AStreamIsRefusedWhereBuffersAreInMainMemory) {
  for (const StreamCall& call : StreamCalls()) {
    SCOPED_TRACE(OpKindName(call.kind));
    Run([&](Group& group) {
      if (group.capabilities().cuda_memory || Lacks(group, call.kind)) return;
      int on_gpu = 0;
      Cell<float> one(Dtype::kF32, 1);
      EXPECT_THAT(
          call.make(group, one.buffer(), {.stream = &on_gpu}),
          StatusIs(Code::kInvalidArgument,
                   HasSubstr("backend " + group.capabilities().backend +
                             " works in main memory, where " + std::string(OpKindName(call.kind)) +
                             "'s stream of a GPU means nothing")));
      EXPECT_EQ(one.value(), 1.0f);
    });
  }
}

// What is in a GPU's memory is not read behind the caller's back, nor taken for right.
TEST_P(OpsContractTest, OutputsAreComparedInMainMemoryElseTheCallSaysWhatToDo) {
  Run([](Group& group) {
    Cell<float> one(Dtype::kF32, 1);
    const auto verified = [&] {
      return group.AllReduce(one.buffer(), one.buffer(), Reduction::kMax, {.verify = true})->Wait();
    };
    if (group.capabilities().host_memory) {
      EXPECT_OK(CheckAgreement(group, one.buffer()));
      EXPECT_OK(verified());
      Buffer elsewhere = one.buffer();
      elsewhere.device.kind = Device::Kind::kCuda;
      EXPECT_THAT(CheckAgreement(group, elsewhere),
                  StatusIs(Code::kUnimplemented, HasSubstr("Copy it to main memory")));
      ASSERT_OK(group.Barrier()->Wait());
      return;
    }
    const auto says_what_to_do = StatusIs(
        Code::kUnimplemented,
        AllOf(HasSubstr("of backend " + group.capabilities().backend + ": its ops take no main"),
              HasSubstr("the digests of all members, which AllGather brings")));
    EXPECT_THAT(CheckAgreement(group, one.buffer()), says_what_to_do);
    ASSERT_OK(group.Barrier()->Wait());  // nothing was begun
    EXPECT_THAT(verified(), says_what_to_do);
    EXPECT_EQ(one.value(), 1.0f);
  });
}

TEST_P(OpsContractTest, ExplainSaysWhatWouldRun) {
  Run([](Group& group) {
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 1 << 20), HasSubstr("all_reduce"));
    EXPECT_NE(group.Explain(OpKind::kAllReduce, Dtype::kF32, 1), "");
    ASSERT_OK(group.Barrier()->Wait());
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
