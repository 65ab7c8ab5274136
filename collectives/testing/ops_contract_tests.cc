// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of each op of collectives/group.h, as tests that every backend's test compiles in. A
// body knows the others by its group alone: on some backends they are other processes. What a
// backend says that it lacks must be refused, and is not tested further.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "collectives/group.h"
#include "collectives/testing/ops_contract.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Status;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// 0 and 1; inline; small; beyond small; several windows; none divisible by 3 or 8.
constexpr size_t kCounts[] = {0, 1, 11, 1000, 2053, 70'001, 300'007};
constexpr std::byte kGuard{0xa5};

/// The gang's memory with guards around it; in main memory at an odd address, which no GPU reduces at.
class Guarded {
 public:
  Guarded(size_t count, Dtype dtype)
      : count_(count),
        dtype_(dtype),
        edge_(OpsContractTest::gang().device().kind == Device::Kind::kCpu ? 37 : 64),
        bytes_(OpsContractTest::gang().Allocate(size() + 2 * edge_)) {
    std::fill_n(bytes_.get(), size() + 2 * edge_, kGuard);
  }

  std::byte* data() { return bytes_.get() + edge_; }
  size_t size() const { return count_ * DtypeBytes(dtype_); }
  Buffer buffer() { return part(0, count_); }
  Buffer part(size_t offset, size_t count) {
    return {data() + offset * DtypeBytes(dtype_), count, dtype_, OpsContractTest::gang().device()};
  }
  bool intact() const {
    const auto is_guard = [](std::byte byte) { return byte == kGuard; };
    const std::byte* const end = bytes_.get() + edge_ + size();
    return std::all_of(bytes_.get(), bytes_.get() + edge_, is_guard) &&
           std::all_of(end, end + edge_, is_guard);
  }

 private:
  const size_t count_;
  const Dtype dtype_;
  const size_t edge_;
  const std::shared_ptr<std::byte> bytes_;
};

/// One element there.
template <class T>
class Cell {
 public:
  Cell(Dtype dtype, T value) : memory_(1, dtype) {
    std::memcpy(memory_.data(), &value, sizeof value);
  }
  Buffer buffer() { return memory_.buffer(); }
  T value() {
    T value;
    std::memcpy(&value, memory_.data(), sizeof value);
    return value;
  }

 private:
  Guarded memory_;
};

/// Element `i` of what `rank` puts in: integers that are exact in every dtype, and stay so.
int64_t InputOf(int rank, size_t i) {
  return 1 + static_cast<int64_t>((i * 7 + static_cast<size_t>(rank) * 3) % 4);
}

bool IsFloat(Dtype dtype) {
  return dtype == Dtype::kF16 || dtype == Dtype::kBf16 || dtype == Dtype::kF32 ||
         dtype == Dtype::kF64;
}

void Store(Dtype dtype, std::byte* at, double value) {
  const auto whole = static_cast<int64_t>(value);  // wraps around in what is narrower
  const auto put = [at](auto typed) { std::memcpy(at, &typed, sizeof typed); };
  switch (dtype) {
    case Dtype::kBool: return put(static_cast<uint8_t>(value != 0));
    case Dtype::kU8: return put(static_cast<uint8_t>(whole));
    case Dtype::kI8: return put(static_cast<int8_t>(whole));
    case Dtype::kI16: return put(static_cast<int16_t>(whole));
    case Dtype::kI32: return put(static_cast<int32_t>(whole));
    case Dtype::kI64: return put(whole);
    case Dtype::kU32: return put(static_cast<uint32_t>(whole));
    case Dtype::kU64: return put(static_cast<uint64_t>(whole));
    case Dtype::kBf16:
      return put(static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16));
    case Dtype::kF16: {  // small numbers of few bits only
      if (value == 0) return put(uint16_t{0});
      int exponent = 0;
      const double mantissa = std::frexp(std::abs(value), &exponent);  // in [0.5, 1)
      const auto bits = static_cast<uint16_t>((exponent + 14) << 10 |
                                              static_cast<int>((mantissa * 2 - 1) * 1024));
      return put(static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0)));
    }
    case Dtype::kF32: return put(static_cast<float>(value));
    case Dtype::kF64: return put(value);
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: FAIL() << "no f8 here";
  }
}

double Load(Dtype dtype, const std::byte* at) {
  const auto get = [at]<class T>(T typed) {
    std::memcpy(&typed, at, sizeof typed);
    return typed;
  };
  switch (dtype) {
    case Dtype::kBool:
    case Dtype::kU8: return get(uint8_t{});
    case Dtype::kI8: return get(int8_t{});
    case Dtype::kI16: return get(int16_t{});
    case Dtype::kI32: return get(int32_t{});
    case Dtype::kI64: return static_cast<double>(get(int64_t{}));
    case Dtype::kU32: return get(uint32_t{});
    case Dtype::kU64: return static_cast<double>(get(uint64_t{}));
    case Dtype::kBf16: return std::bit_cast<float>(static_cast<uint32_t>(get(uint16_t{})) << 16);
    case Dtype::kF16: {
      const uint16_t bits = get(uint16_t{});
      const int exponent = bits >> 10 & 31;
      const double mantissa = (bits & 1023) / 1024.0;
      const double value =
          exponent == 0 ? std::ldexp(mantissa, -14) : std::ldexp(1 + mantissa, exponent - 15);
      return (bits & 0x8000) != 0 ? -value : value;
    }
    case Dtype::kF32: return get(float{});
    case Dtype::kF64: return get(double{});
    case Dtype::kF8E4m3:
    case Dtype::kF8E5m2: break;
  }
  ADD_FAILURE() << "no f8 here";
  return 0;
}

/// `first`: the index that the first element has in the whole input of `rank`.
void Fill(Buffer buffer, int rank, size_t first = 0) {
  for (size_t i = 0; i < buffer.count; ++i) {
    Store(buffer.dtype, static_cast<std::byte*>(buffer.data) + i * DtypeBytes(buffer.dtype),
          static_cast<double>(InputOf(rank, first + i)));
  }
}

/// Of element `i` over all ranks.
double Reduced(Dtype dtype, Reduction reduction, int size, size_t i, double scale_step = 0) {
  const auto in = [&](int rank) -> double {
    const auto value = static_cast<double>(InputOf(rank, i));
    return dtype == Dtype::kBool ? (value != 0 ? 1 : 0) : value;
  };
  double value = in(0);
  for (int rank = 1; rank < size; ++rank) {
    const double next = in(rank);
    const auto bits = static_cast<int64_t>(value), next_bits = static_cast<int64_t>(next);
    switch (reduction) {
      case Reduction::kSum:
      case Reduction::kAverage: value += next; break;
      case Reduction::kPremultipliedSum: value += next * (1 + scale_step * rank); break;
      case Reduction::kProduct: value *= next; break;
      case Reduction::kMin: value = std::min(value, next); break;
      case Reduction::kMax: value = std::max(value, next); break;
      case Reduction::kBitAnd: value = static_cast<double>(bits & next_bits); break;
      case Reduction::kBitOr: value = static_cast<double>(bits | next_bits); break;
      case Reduction::kBitXor: value = static_cast<double>(bits ^ next_bits); break;
      case Reduction::kNone: ADD_FAILURE(); break;
    }
  }
  if (dtype == Dtype::kBool && reduction == Reduction::kSum) return value != 0 ? 1 : 0;
  if (reduction != Reduction::kAverage) return value;
  return IsFloat(dtype) ? value / size : std::trunc(value / size);
}

/// Every element of `buffer` equals expected(i), which a dtype of fewer bits rounds.
template <class Expected>
void ExpectElements(Buffer buffer, const Expected& expected, const char* what) {
  const auto* const data = static_cast<const std::byte*>(buffer.data);
  for (size_t i = 0; i < buffer.count; ++i) {
    const double value = Load(buffer.dtype, data + i * DtypeBytes(buffer.dtype));
    double wanted = expected(i);
    if (!IsFloat(buffer.dtype)) {  // as it comes out when it wraps around
      std::byte cell[8];
      Store(buffer.dtype, cell, wanted);
      wanted = Load(buffer.dtype, cell);
    }
    const double tolerance = buffer.dtype == Dtype::kBf16  ? std::abs(wanted) / 256
                             : buffer.dtype == Dtype::kF16 ? std::abs(wanted) / 2048
                             : buffer.dtype == Dtype::kF32 ? std::abs(wanted) * 1e-7
                                                           : 0;
    if (std::abs(value - wanted) <= tolerance) continue;  // far faster than a macro for each
    FAIL() << what << ": element " << i << " of " << buffer.count << " " << DtypeName(buffer.dtype)
           << " is " << value << " instead of " << wanted;
  }
}

bool Lacks(Group& group, OpKind kind) { return !group.capabilities().Has(kind); }

std::vector<Dtype> Dtypes(const Group& group) {
  std::vector<Dtype> dtypes;
  for (uint8_t value = 1; value < kDtypeLimit; ++value) {
    const auto dtype = static_cast<Dtype>(value);
    if (group.capabilities().Has(dtype) && dtype != Dtype::kF8E4m3 && dtype != Dtype::kF8E5m2)
      dtypes.push_back(dtype);
  }
  return dtypes;
}

size_t IndexOf(const Group& group) { return static_cast<size_t>(group.rank().value()); }
size_t SizeOf(const Group& group) { return static_cast<size_t>(group.size()); }

// -------------------------------------------------------------------------------- ops that reduce

TEST_P(OpsContractTest, AllReduceOfEveryDtypeWithEveryReduction) {
  Run([](Group& group) {
    for (const Dtype dtype : Dtypes(group)) {
      for (uint8_t value = 1; value < kReductionLimit; ++value) {
        const auto reduction = static_cast<Reduction>(value);
        if (!group.CanReduce(dtype, reduction)) continue;
        for (const size_t count : {size_t{5}, size_t{70'001}}) {
          SCOPED_TRACE(std::string(DtypeName(dtype)) + " " + std::string(ReductionName(reduction)));
          Guarded in(count, dtype), out(count, dtype);
          Fill(in.buffer(), group.rank().value());
          const double scale_step = reduction == Reduction::kPremultipliedSum ? 1 : 0;
          const OpOptions options{.scale = 1 + scale_step * group.rank().value()};
          const auto expected = [&](size_t i) {
            return Reduced(dtype, reduction, group.size(), i, scale_step);
          };
          ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), reduction, options)->Wait());
          ExpectElements(out.buffer(), expected, "out of place");
          ASSERT_OK(group.AllReduce(in.buffer(), in.buffer(), reduction, options)->Wait());
          ExpectElements(in.buffer(), expected, "in place");
          ASSERT_TRUE(in.intact() && out.intact());
        }
      }
    }
  });
}

TEST_P(OpsContractTest, AllReduceOfEverySize) {
  Run([](Group& group) {
    for (const size_t count : kCounts) {
      Guarded in(count, Dtype::kF32), out(count, Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllReduce(in.buffer(), out.buffer(), Reduction::kSum)->Wait());
      ExpectElements(
          out.buffer(),
          [&](size_t i) { return Reduced(Dtype::kF32, Reduction::kSum, group.size(), i); }, "sum");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, ReduceLeavesTheResultOnTheRootAlone) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduce)) return;
    for (int root = 0; root < group.size(); ++root) {
      for (const size_t count : kCounts) {
        const bool is_root = root == group.rank().value();
        Guarded in(count, Dtype::kI32), out(count, Dtype::kI32);
        Fill(in.buffer(), group.rank().value());
        const Buffer to = is_root ? out.buffer() : Buffer{};
        ASSERT_OK(group.Reduce(in.buffer(), to, Reduction::kSum, GroupRank(root))->Wait());
        const auto sum = [&](size_t i) {
          return Reduced(Dtype::kI32, Reduction::kSum, group.size(), i);
        };
        if (is_root) ExpectElements(out.buffer(), sum, "on the root");
        ASSERT_OK(group.Reduce(in.buffer(), in.buffer(), Reduction::kSum, GroupRank(root))->Wait());
        const auto own = [&](size_t i) {
          return static_cast<double>(InputOf(group.rank().value(), i));
        };
        if (is_root) {
          ExpectElements(in.buffer(), sum, "in place on the root");
        } else {
          ExpectElements(in.buffer(), own, "untouched elsewhere");
        }
        ASSERT_TRUE(in.intact() && out.intact());
      }
    }
  });
}

TEST_P(OpsContractTest, ReduceScatterGivesEachItsPart) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatter)) return;
    for (const size_t count : kCounts) {
      Guarded in(count * SizeOf(group), Dtype::kF32), out(count, Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      const auto expected = [&](size_t i) {
        return Reduced(Dtype::kF32, Reduction::kSum, group.size(), IndexOf(group) * count + i);
      };
      ASSERT_OK(group.ReduceScatter(in.buffer(), out.buffer(), Reduction::kSum)->Wait());
      ExpectElements(out.buffer(), expected, "out of place");
      const Buffer own = in.part(IndexOf(group) * count, count);
      ASSERT_OK(group.ReduceScatter(in.buffer(), own, Reduction::kSum)->Wait());
      ExpectElements(own, expected, "in place");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

/// Parts of different sizes, some of them empty.
std::vector<size_t> PartsOf(size_t count, int size) {
  std::vector<size_t> parts(static_cast<size_t>(size));
  for (size_t r = 0; r < parts.size(); ++r) parts[r] = r % 3 == 1 ? 0 : count / (r + 1);
  return parts;
}
size_t Before(std::span<const size_t> parts, size_t index) {
  return std::accumulate(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(index), size_t{0});
}

TEST_P(OpsContractTest, ReduceScatterVGivesPartsOfDifferentSizes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kReduceScatterV)) return;
    for (const size_t count : kCounts) {
      const auto parts = PartsOf(count, group.size());
      const size_t offset = Before(parts, IndexOf(group));
      Guarded in(Before(parts, parts.size()), Dtype::kI64), out(parts[IndexOf(group)], Dtype::kI64);
      Fill(in.buffer(), group.rank().value());
      const auto expected = [&](size_t i) {
        return Reduced(Dtype::kI64, Reduction::kMax, group.size(), offset + i);
      };
      ASSERT_OK(group.ReduceScatterV(in.buffer(), out.buffer(), parts, Reduction::kMax)->Wait());
      ExpectElements(out.buffer(), expected, "out of place");
      const Buffer own = in.part(offset, parts[IndexOf(group)]);
      ASSERT_OK(group.ReduceScatterV(in.buffer(), own, parts, Reduction::kMax)->Wait());
      ExpectElements(own, expected, "in place");
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

// ---------------------------------------------------------------------------------- ops that move

TEST_P(OpsContractTest, BroadcastOfEveryDtypeFromEveryRoot) {
  Run([](Group& group) {
    for (const Dtype dtype : Dtypes(group)) {
      for (int root = 0; root < group.size(); ++root) {
        for (const size_t count : {size_t{0}, size_t{7}, size_t{70'001}}) {
          Guarded buffer(count, dtype);
          Fill(buffer.buffer(), group.rank().value());
          ASSERT_OK(group.Broadcast(buffer.buffer(), GroupRank(root))->Wait());
          Guarded expected(count, dtype);
          Fill(expected.buffer(), root);
          ASSERT_EQ(std::memcmp(buffer.data(), expected.data(), buffer.size()), 0);
          ASSERT_TRUE(buffer.intact());
        }
      }
    }
  });
}

TEST_P(OpsContractTest, AllGatherConcatenates) {
  Run([](Group& group) {
    for (const size_t count : kCounts) {
      Guarded in(count, Dtype::kI16), out(count * SizeOf(group), Dtype::kI16);
      Fill(in.buffer(), group.rank().value());
      const auto expected = [&](size_t i) {
        return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
      };
      ASSERT_OK(group.AllGather(in.buffer(), out.buffer())->Wait());
      ExpectElements(out.buffer(), expected, "out of place");
      Guarded in_place(count * SizeOf(group), Dtype::kI16);
      const Buffer own = in_place.part(IndexOf(group) * count, count);
      Fill(own, group.rank().value());
      ASSERT_OK(group.AllGather(own, in_place.buffer())->Wait());
      ExpectElements(in_place.buffer(), expected, "in place");
      ASSERT_TRUE(in.intact() && out.intact() && in_place.intact());
    }
  });
}

TEST_P(OpsContractTest, AllGatherVConcatenatesPartsOfDifferentSizes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllGatherV)) return;
    for (const size_t count : kCounts) {
      const auto parts = PartsOf(count, group.size());
      Guarded in(parts[IndexOf(group)], Dtype::kF64), out(Before(parts, parts.size()), Dtype::kF64);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllGatherV(in.buffer(), out.buffer(), parts)->Wait());
      for (size_t r = 0; r < parts.size(); ++r) {
        ExpectElements(
            out.part(Before(parts, r), parts[r]),
            [&](size_t i) { return static_cast<double>(InputOf(static_cast<int>(r), i)); }, "part");
      }
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, AllToAllTransposes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllToAll)) return;
    for (const size_t count : kCounts) {
      Guarded in(count * SizeOf(group), Dtype::kF32), out(count * SizeOf(group), Dtype::kF32);
      Fill(in.buffer(), group.rank().value());
      ASSERT_OK(group.AllToAll(in.buffer(), out.buffer())->Wait());
      for (size_t r = 0; r < SizeOf(group); ++r) {
        ExpectElements(
            out.part(r * count, count),
            [&](size_t i) {
              return static_cast<double>(InputOf(static_cast<int>(r), IndexOf(group) * count + i));
            },
            "part");
      }
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, AllToAllVTransposesPartsOfDifferentSizes) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kAllToAllV)) return;
    // From a to b; some of them nothing.
    const auto part = [](size_t count, size_t from, size_t to) {
      return (from + 2 * to) % 3 == 1 ? 0 : count / (1 + from + to);
    };
    for (const size_t count : kCounts) {
      std::vector<size_t> sends, receives;
      for (size_t r = 0; r < SizeOf(group); ++r) {
        sends.push_back(part(count, IndexOf(group), r));
        receives.push_back(part(count, r, IndexOf(group)));
      }
      Guarded in(Before(sends, sends.size()), Dtype::kU32);
      Guarded out(Before(receives, receives.size()), Dtype::kU32);
      for (size_t r = 0; r < SizeOf(group); ++r)
        Fill(in.part(Before(sends, r), sends[r]), group.rank().value(), r);
      ASSERT_OK(group.AllToAllV(in.buffer(), sends, out.buffer(), receives)->Wait());
      for (size_t r = 0; r < SizeOf(group); ++r) {
        ExpectElements(
            out.part(Before(receives, r), receives[r]),
            [&](size_t i) {
              return static_cast<double>(InputOf(static_cast<int>(r), IndexOf(group) + i));
            },
            "part");
      }
      ASSERT_TRUE(in.intact() && out.intact());
    }
  });
}

TEST_P(OpsContractTest, GatherAndScatterByEveryRoot) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kGather) || Lacks(group, OpKind::kScatter)) return;
    for (int root = 0; root < group.size(); ++root) {
      for (const size_t count : kCounts) {
        const bool is_root = root == group.rank().value();
        Guarded part(count, Dtype::kF32), all(count * SizeOf(group), Dtype::kF32);
        Fill(part.buffer(), group.rank().value());
        const Buffer whole = is_root ? all.buffer() : Buffer{.dtype = Dtype::kF32};
        ASSERT_OK(group.Gather(part.buffer(), whole, GroupRank(root))->Wait());
        if (is_root) {
          ExpectElements(
              all.buffer(),
              [&](size_t i) {
                return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
              },
              "gathered");
        }
        Guarded back(count, Dtype::kF32);
        ASSERT_OK(group.Scatter(whole, back.buffer(), GroupRank(root))->Wait());
        ASSERT_EQ(std::memcmp(back.data(), part.data(), part.size()), 0) << count;
        ASSERT_TRUE(part.intact() && all.intact() && back.intact());
      }
    }
  });
}

TEST_P(OpsContractTest, OpsOfAllKindsOneAfterTheOther) {
  Run([](Group& group) {
    std::vector<std::shared_ptr<Work>> works;
    const size_t count = 3001;
    std::vector<std::unique_ptr<Guarded>> buffers;
    const auto make = [&](size_t elements) -> Guarded& {
      buffers.push_back(std::make_unique<Guarded>(elements, Dtype::kF32));
      Fill(buffers.back()->buffer(), group.rank().value());
      return *buffers.back();
    };
    for (int round = 0; round < 5; ++round) {
      const GroupRank root(round % group.size());
      Guarded& sum = make(count);
      works.push_back(group.AllReduce(sum.buffer(), sum.buffer(), Reduction::kSum));
      works.push_back(group.Barrier());
      Guarded& all = make(count * SizeOf(group));
      works.push_back(group.AllGather(all.part(IndexOf(group) * count, count), all.buffer()));
      works.push_back(group.Broadcast(make(count).buffer(), root));
      if (!Lacks(group, OpKind::kAllToAll))
        works.push_back(group.AllToAll(all.buffer(), make(count * SizeOf(group)).buffer()));
      if (!Lacks(group, OpKind::kReduceScatter))
        works.push_back(group.ReduceScatter(all.buffer(), make(count).buffer(), Reduction::kMax));
    }
    for (const auto& work : works) ASSERT_OK(work->Wait());
    for (const auto& buffer : buffers) ASSERT_TRUE(buffer->intact());
  });
}

// ------------------------------------------------------------------------------ sends and receives

TEST_P(OpsContractTest, SendsMeetReceivesInTheOrderOfTheirPair) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend)) return;
    const int next = (group.rank().value() + 1) % group.size();
    const int previous = (group.rank().value() + group.size() - 1) % group.size();
    std::vector<std::unique_ptr<Guarded>> buffers;
    std::vector<std::shared_ptr<Work>> works;
    for (const size_t count : kCounts) {
      buffers.push_back(std::make_unique<Guarded>(count, Dtype::kF32));
      Fill(buffers.back()->buffer(), group.rank().value(), count);
      works.push_back(group.Send(buffers.back()->buffer(), GroupRank(next)));
    }
    for (const size_t count : kCounts) {
      Guarded got(count, Dtype::kF32);
      ASSERT_OK(group.Recv(got.buffer(), GroupRank(previous))->Wait()) << count;
      ExpectElements(
          got.buffer(), [&](size_t i) { return static_cast<double>(InputOf(previous, count + i)); },
          "received");
      ASSERT_TRUE(got.intact());
    }
    for (const auto& work : works) ASSERT_OK(work->Wait());
    EXPECT_EQ(works.back()->seq(), base::OpSeq(std::size(kCounts)));
  });
}

// Each sends to all and receives from all, sends first: without the batch it would be a deadlock
// wherever a send waits for its receive.
TEST_P(OpsContractTest, ABatchGoesOnAllAtOnce) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend)) return;
    const size_t count = 200'003;
    Guarded in(count, Dtype::kI32), out(count * SizeOf(group), Dtype::kI32);
    Fill(in.buffer(), group.rank().value());
    std::vector<Transfer> transfers;
    for (int r = 0; r < group.size(); ++r)
      transfers.push_back(Transfer::Send(in.buffer(), GroupRank(r)));
    for (int r = 0; r < group.size(); ++r) {
      transfers.push_back(
          Transfer::Recv(out.part(static_cast<size_t>(r) * count, count), GroupRank(r)));
    }
    const auto work = group.Batch(transfers);
    ASSERT_OK(work->Wait());
    ExpectElements(
        out.buffer(),
        [&](size_t i) {
          return static_cast<double>(InputOf(static_cast<int>(i / count), i % count));
        },
        "received");
    ASSERT_OK(group.Batch({})->Wait());
  });
}

TEST_P(OpsContractTest, TransfersAndCollectivesDoNotWaitForEachOther) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || group.size() < 2) return;
    Guarded data(100'000, Dtype::kF32);
    std::shared_ptr<Work> received;
    if (group.rank() == GroupRank(1))
      received = group.Recv(data.buffer(), GroupRank(0));  // before the barrier, sent after it
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(0)) {
      Fill(data.buffer(), 0);
      ASSERT_OK(group.Send(data.buffer(), GroupRank(1))->Wait());
    }
    if (received != nullptr) {
      ASSERT_OK(received->Wait());
      ExpectElements(
          data.buffer(), [](size_t i) { return static_cast<double>(InputOf(0, i)); }, "received");
    }
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, AReceiveThatNobodyWaitsForEndsAllTheSame) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || group.size() < 2) return;
    Cell<float> cell(Dtype::kF32, group.rank() == GroupRank(0) ? 3.0f : 0.0f);
    if (group.rank() == GroupRank(0)) {
      ASSERT_OK(group.Send(cell.buffer(), GroupRank(1))->Wait());
    } else if (group.rank() == GroupRank(1)) {
      const auto work = group.Recv(cell.buffer(), GroupRank(0));
      ASSERT_OK(work->WaitFor(seconds(30)));
      EXPECT_EQ(cell.value(), 3);
    }
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, ASendThatDoesNotFitItsReceiveIsAnErrorOfBoth) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || !group.capabilities().compares_calls || group.size() < 2)
      return;
    Guarded data(4, Dtype::kF32);
    if (group.rank() == GroupRank(0)) {
      (void)group.Send(data.buffer(), GroupRank(1))->Wait();
      const Status status = group.Barrier({.timeout = seconds(20)})->Wait();
      EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage) << status.ToString();
    } else if (group.rank() == GroupRank(1)) {
      const Status status = group.Recv(data.part(0, 3), GroupRank(0))->Wait();
      EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition, HasSubstr("met a send of 4 f32")));
      EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage);
      EXPECT_FALSE(group.Barrier()->Wait().ok());
    } else {
      EXPECT_FALSE(group.Barrier()->Wait().ok());
    }
  });
}

TEST_P(OpsContractTest, AReceiveThatNobodySendsNamesTheSender) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSend) || group.size() < 2) return;
    Guarded data(4, Dtype::kF32);
    if (group.rank() == GroupRank(1)) {
      const Status status =
          group.Recv(data.buffer(), GroupRank(0), {.timeout = milliseconds(50)})->Wait();
      EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 0 never sent it")));
    }
    EXPECT_FALSE(group.Barrier({.timeout = seconds(20)})->Wait().ok());
  });
}

// ---------------------------------------------------------------------------------- derived groups

TEST_P(OpsContractTest, SplitMakesAGroupForEachColor) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSplit)) return;
    const int rank = group.rank().value();
    // The last one stays out; keys turn the order around.
    const bool out = group.size() > 1 && rank == group.size() - 1;
    ASSERT_OK_AND_ASSIGN(const auto half, group.Split(out ? kNoColor : rank % 2, -rank));
    ASSERT_EQ(half == nullptr, out);
    if (half != nullptr) {
      std::vector<Rank> members;
      for (int r = group.size() - 1; r >= 0; --r) {
        if (r % 2 == rank % 2 && (group.size() == 1 || r != group.size() - 1))
          members.push_back(group.info().world_ranks[static_cast<size_t>(r)]);
      }
      EXPECT_EQ(half->info().world_ranks, members);
      Cell<int64_t> sum(Dtype::kI64, rank);
      ASSERT_OK(half->AllReduce(sum.buffer(), sum.buffer(), Reduction::kSum)->Wait());
      int64_t expected = 0;
      for (const Rank member : members) expected += member.value();
      EXPECT_EQ(sum.value(), expected);
    }
    ASSERT_OK(group.Barrier()->Wait());  // before any of them leaves its half
  });
}

TEST_P(OpsContractTest, ADuplicateHasAnOrderOfItsOwn) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kSplit)) return;
    ASSERT_OK_AND_ASSIGN(const auto other, group.Duplicate());
    EXPECT_EQ(other->info().world_ranks, group.info().world_ranks);
    Cell<float> a(Dtype::kF32, 1), b(Dtype::kF32, 2);
    const auto on = [](Group& g, Cell<float>& x) {
      return g.AllReduce(x.buffer(), x.buffer(), Reduction::kSum);
    };
    // In another order on every second member.
    const bool first = group.rank().value() % 2 == 0;
    const auto one = first ? on(group, a) : on(*other, b);
    const auto two = first ? on(*other, b) : on(group, a);
    ASSERT_OK(one->Wait());
    ASSERT_OK(two->Wait());
    EXPECT_EQ(a.value(), static_cast<float>(group.size()));
    EXPECT_EQ(b.value(), static_cast<float>(2 * group.size()));
    ASSERT_OK(group.Barrier()->Wait());  // an abort may end what is in flight on others
    other->Abort(base::AbortedError("enough"));
    ASSERT_OK(group.Barrier()->Wait());
  });
}

TEST_P(OpsContractTest, APoisonedGroupShrinksToThoseThatAreLeft) {
  Run([](Group& group) {
    if (Lacks(group, OpKind::kShrink) || group.size() < 3) return;
    const GroupRank gone(1);
    if (group.rank() == gone) {
      // It never calls again; the others find out and go on without it.
      EXPECT_FALSE(group.Barrier({.timeout = seconds(30)})->Wait().ok());
      return;
    }
    if (group.rank() == GroupRank(0)) group.Abort(base::AbortedError("rank 1 is of no use"));
    EXPECT_FALSE(group.Barrier({.timeout = seconds(30)})->Wait().ok());
    ASSERT_OK_AND_ASSIGN(const auto rest, group.Shrink({&gone, 1}, {.timeout = seconds(30)}));
    EXPECT_EQ(rest->size(), group.size() - 1);
    Cell<float> one(Dtype::kF32, 1);
    ASSERT_OK(rest->AllReduce(one.buffer(), one.buffer(), Reduction::kSum)->Wait());
    EXPECT_EQ(one.value(), static_cast<float>(rest->size()));
    ASSERT_OK(rest->Barrier()->Wait());
  });
}

// ------------------------------------------------------------------------------------------ other

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
        const auto sum = [&](size_t i) {
          return Reduced(Dtype::kF32, Reduction::kSum, group.size(), i);
        };
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

TEST_P(OpsContractTest, ExplainSaysWhatWouldRun) {
  Run([](Group& group) {
    EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kF32, 1 << 20), HasSubstr("all_reduce"));
    EXPECT_NE(group.Explain(OpKind::kAllReduce, Dtype::kF32, 1), "");
    ASSERT_OK(group.Barrier()->Wait());
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
