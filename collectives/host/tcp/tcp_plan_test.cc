// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Plans of all members, carried out in memory: bytes go as soon as the plan lets them.
#include "collectives/host/tcp/tcp_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "collectives/host/tcp/tcp_direct.h"
#include "runtime/base/random.h"

namespace lockstep::collectives {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const TcpLink kFarLink = TcpLink::Measured(1000, 8000);  // few hops are best

/// One member's buffers and plan, and how far it is.
struct Member {
  std::vector<std::byte> in, out;
  TcpPlan plan;
  std::vector<uint64_t> processed, sent;       // by stream
  std::vector<std::vector<std::byte>> asides;  // by stream, of the join
  uint64_t joined = 0;
  std::vector<std::byte> window;  // what the join put there
  uint64_t from_window = 0;       // bytes that have gone from there
};

/// Members that reduce bytes by adding them up, but the inputs of a join so that their order shows:
/// ten times what came before, and the next. A stream that is joined and the window that the join
/// fills hold one byte; windows for anything else are not for it.
class Simulation {
 public:
  Simulation(const Op& shape, int size, bool in_place, TcpLink link) : members_(size) {
    for (int self = 0; self < size; ++self) {
      Member& member = members_[static_cast<size_t>(self)];
      Op op = shape;
      for (size_t i = 0; i < op.bytes(); ++i)
        member.out.push_back(static_cast<std::byte>(self * 7 + static_cast<int>(i) * 3 + 1));
      member.in = member.out;
      op.in = in_place ? member.out.data() : member.in.data();
      op.out = member.out.data();
      member.plan = PlanOf(op, self, size, link);
      member.processed.resize(member.plan.ins.size());
      member.sent.resize(member.plan.outs.size());
      member.asides.resize(member.plan.ins.size());
    }
  }

  /// Whether all ended. Members have their turns in an order that is `seed`'s.
  bool Run(uint64_t seed) {
    base::Random random(seed);
    std::vector<size_t> order(members_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
    while (true) {
      bool moved = false, done = true;
      for (const size_t self : order) {
        for (size_t stream = 0; stream < members_[self].plan.outs.size(); ++stream) {
          // As far as it goes: the others fall behind.
          while (SendOne(static_cast<int>(self), stream, done)) moved = true;
        }
      }
      if (done || !moved) return done;
    }
  }
  const Member& member(size_t index) const { return members_[index]; }

 private:
  /// A byte of that stream, if it may go.
  bool SendOne(int self, size_t stream, bool& done) {
    Member& member = members_[static_cast<size_t>(self)];
    const OutStream& out = member.plan.outs[stream];
    uint64_t at = member.sent[stream];
    for (const OutPiece& piece : out.pieces) {
      if (at >= piece.bytes) {
        at -= piece.bytes;
        continue;
      }
      done = false;
      if (piece.after != OutPiece::kAtOnce && Processed(member, piece.in) < piece.after + at + 1)
        return false;
      const std::byte byte =
          piece.from != nullptr ? piece.from[at] : member.window[member.from_window];
      if (!Receive(members_[static_cast<size_t>(out.to)], self, byte)) return false;
      ++member.sent[stream];
      if (piece.from == nullptr) {
        ++member.from_window;
        Join(member);
      }
      return true;
    }
    return false;
  }

  static uint64_t Processed(const Member& member, int in) {
    return in == OutPiece::kJoined ? member.joined : member.processed[static_cast<size_t>(in)];
  }

  static void Join(Member& member) {
    const TcpJoin& join = member.plan.join;
    const auto is_there = [&](const auto& aside) { return aside.size() > member.joined; };
    while (member.joined < join.bytes && std::ranges::all_of(member.asides, is_there) &&
           (join.to != nullptr || member.window.size() == member.from_window)) {
      int value = 0;
      for (size_t place = 0; place <= member.asides.size(); ++place) {
        const std::byte input = place == join.place
                                    ? join.mine[member.joined]
                                    : member.asides[place - (place > join.place)][member.joined];
        value = value * 10 + static_cast<int>(input);
      }
      if (join.to != nullptr) {
        join.to[member.joined] = static_cast<std::byte>(value);
      } else {
        member.window.push_back(static_cast<std::byte>(value));
      }
      ++member.joined;
    }
  }

  /// False: not yet.
  static bool Receive(Member& member, int from, std::byte byte) {
    size_t stream = 0;
    while (member.plan.ins[stream].from != from) ++stream;
    uint64_t at = member.processed[stream];
    for (const InPiece& piece : member.plan.ins[stream].pieces) {
      if (at >= piece.bytes) {
        at -= piece.bytes;
        continue;
      }
      if (piece.behind >= 0 &&
          member.processed[static_cast<size_t>(piece.behind)] < piece.after + at + 1)
        return false;
      if (piece.kind == InPiece::Kind::kAside) {
        if (member.asides[stream].size() > member.joined) return false;
        member.asides[stream].push_back(byte);
        ++member.processed[stream];
        Join(member);
        return true;
      }
      ++member.processed[stream];
      const int mine = piece.kind == InPiece::Kind::kStore ? 0 : static_cast<int>(piece.mine[at]);
      piece.to[at] = static_cast<std::byte>(static_cast<int>(byte) + mine);
      return true;
    }
    ADD_FAILURE() << "a byte behind the end";
    return false;
  }

  std::vector<Member> members_;
};

TEST(TcpPlanTest, HalvingAndDoublingSumsOnAllMembers) {
  for (const int size : {4, 8, 16}) {
    for (const size_t count : {size_t{1}, size_t{5}, size_t{16}, size_t{333}}) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const bool in_place = seed % 2 == 0;
        const Op op{.kind = OpKind::kAllReduce, .reduction = Reduction::kSum, .count = count};
        Simulation simulation(op, size, in_place, kFarLink);
        EXPECT_EQ(simulation.member(0).plan.ins.size() > 1, true) << "not a ring";

        ASSERT_TRUE(simulation.Run(seed)) << size << " members, " << count << " bytes";

        for (size_t i = 0; i < count; ++i) {
          int sum = 0;
          for (int self = 0; self < size; ++self) sum += self * 7 + static_cast<int>(i) * 3 + 1;
          for (int self = 0; self < size; ++self) {
            ASSERT_EQ(simulation.member(static_cast<size_t>(self)).out[i],
                      static_cast<std::byte>(sum))
                << "element " << i << " of " << count << " on " << self << " of " << size;
          }
        }
      }
    }
  }
}

/// What members in order make of element `i` in one step.
std::byte Joined(int size, size_t i) {
  int value = 0;
  for (int self = 0; self < size; ++self)
    value = value * 10 +
            static_cast<int>(static_cast<std::byte>(self * 7 + static_cast<int>(i) * 3 + 1));
  return static_cast<std::byte>(value);
}

Op SixteenBits(OpKind kind, size_t count) {
  return {.kind = kind, .dtype = Dtype::kBf16, .reduction = Reduction::kSum, .count = count};
}

// However little room there is, and in whatever order members have their turns.
TEST(TcpPlanTest, DirectJoinsAllInputsInOrderAndEndsOnAll) {
  for (const int size : {2, 3, 5}) {
    for (const size_t count : {size_t{2}, size_t{7}, size_t{500}}) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        Simulation simulation(SixteenBits(OpKind::kAllReduce, count), size, seed % 2 == 0,
                              kFarLink);

        ASSERT_TRUE(simulation.Run(seed)) << size << " members, " << count << " elements";

        for (int self = 0; self < size; ++self) {
          for (size_t i = 0; i < 2 * count; ++i) {
            ASSERT_EQ(simulation.member(static_cast<size_t>(self)).out[i], Joined(size, i))
                << "byte " << i << " of " << count << " elements on " << self << " of " << size;
          }
        }
      }
    }
  }
}

TEST(TcpPlanTest, DirectReducesToEachRoot) {
  for (const int size : {2, 3, 4}) {
    for (int root = 0; root < size; ++root) {
      Op op = SixteenBits(OpKind::kReduce, 41);
      op.peer = root;
      Simulation simulation(op, size, root == 0, kFarLink);

      ASSERT_TRUE(simulation.Run(3)) << size << " members to " << root;

      for (size_t i = 0; i < 2 * op.count; ++i)
        ASSERT_EQ(simulation.member(static_cast<size_t>(root)).out[i], Joined(size, i));
      const Member& other = simulation.member(static_cast<size_t>(root == 0 ? 1 : 0));
      EXPECT_EQ(other.out, other.in) << "not the root's";
    }
  }
}

// Results wait behind inputs, and on the way to a root fill the window.
TEST(TcpPlanTest, DirectOfSeveralSlicesEndsWithTheLeastRoom) {
  for (const OpKind kind : {OpKind::kAllReduce, OpKind::kReduce}) {
    Op op = SixteenBits(kind, 3 * (kDirectLag + 2) * kRingSliceBytes / 2 + 1);
    op.peer = 1;
    for (uint64_t seed = 0; seed < 2; ++seed) {
      Simulation simulation(op, 3, seed % 2 == 0, kFarLink);

      ASSERT_TRUE(simulation.Run(seed)) << OpKindName(kind);

      for (size_t i = 0; i < 2 * op.count; ++i)
        ASSERT_EQ(simulation.member(1).out[i], Joined(3, i)) << "byte " << i;
    }
  }
}

TEST(TcpPlanTest, OnlyWhatStepsWouldRoundGoesDirect) {
  const auto streams = [](Dtype dtype, Reduction reduction, OpKind kind) {
    std::byte memory[256];
    const Op op{.kind = kind,
                .dtype = dtype,
                .reduction = reduction,
                .peer = 0,
                .in = memory,
                .out = memory,
                .count = 5};
    return PlanOf(op, 0, 5, TcpLink()).ins.size();
  };
  for (const OpKind kind : {OpKind::kAllReduce, OpKind::kReduce, OpKind::kReduceScatter}) {
    EXPECT_EQ(streams(Dtype::kF16, Reduction::kAverage, kind), 4u);  // also to a root
    EXPECT_EQ(streams(Dtype::kBf16, Reduction::kProduct, kind), 4u);
    EXPECT_EQ(streams(Dtype::kBf16, Reduction::kMax, kind), 1u);
    EXPECT_EQ(streams(Dtype::kF32, Reduction::kSum, kind), 1u);
  }
}

TEST(TcpPlanTest, ABroadcastReachesAllFromEveryRootInEachWay) {
  // By how fast a byte is against a hop: binomial tree, two-way tree, chain.
  for (const TcpLink link : {kFarLink, TcpLink::Measured(16, 8), TcpLink::Measured(1, 8)}) {
    for (const int size : {2, 5, 8, 13}) {
      for (const int root : {0, size - 1}) {
        Simulation simulation({.kind = OpKind::kBroadcast, .peer = root, .count = 200}, size, true,
                              link);

        ASSERT_TRUE(simulation.Run(1)) << size << " members from " << root;

        for (int self = 0; self < size; ++self) {
          EXPECT_EQ(simulation.member(static_cast<size_t>(self)).out,
                    simulation.member(static_cast<size_t>(root)).in);
        }
      }
    }
  }
}

TEST(TcpPlanTest, TheExplanationNamesTheWayAndTheFigures) {
  const auto explained = [](OpKind kind, Dtype dtype, TcpLink link) {
    return ExplainPlan(kind, dtype, 1000, 4, link);
  };
  EXPECT_THAT(explained(OpKind::kAllReduce, Dtype::kF32, kFarLink),
              HasSubstr("a halving and doubling"));
  EXPECT_THAT(explained(OpKind::kBroadcast, Dtype::kF32, TcpLink()), HasSubstr("assumed"));
  EXPECT_THAT(explained(OpKind::kReduce, Dtype::kBf16, kFarLink),
              AllOf(HasSubstr("direct: of sums, averages and products of bf16"),
                    HasSubstr("over 3 connections"), HasSubstr("rounded once")));
  EXPECT_THAT(explained(OpKind::kAllGather, Dtype::kBf16, kFarLink), HasSubstr("a ring"));
}

}  // namespace
}  // namespace lockstep::collectives
