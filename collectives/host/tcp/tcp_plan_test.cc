// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Plans of all members, carried out in memory: bytes go as soon as the plan lets them.
#include "collectives/host/tcp/tcp_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/random.h"

namespace lockstep::collectives {
namespace {

const TcpLink kFarLink = TcpLink::Measured(1000, 8000);  // few hops are best

/// One member's buffers and plan, and how far it is.
struct Member {
  std::vector<std::byte> in, out;
  TcpPlan plan;
  std::vector<uint64_t> processed, sent;  // by stream
};

/// Members that reduce bytes by adding them up. What goes through windows is not for it.
class Simulation {
 public:
  Simulation(const Op& shape, int size, bool in_place, TcpLink link) : members_(size) {
    for (int self = 0; self < size; ++self) {
      Member& member = members_[static_cast<size_t>(self)];
      Op op = shape;
      for (size_t i = 0; i < op.count; ++i)
        member.out.push_back(static_cast<std::byte>(self * 7 + static_cast<int>(i) * 3 + 1));
      member.in = member.out;
      op.in = in_place ? member.out.data() : member.in.data();
      op.out = member.out.data();
      member.plan = PlanOf(op, self, size, link);
      member.processed.resize(member.plan.ins.size());
      member.sent.resize(member.plan.outs.size());
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
      if (piece.after != OutPiece::kAtOnce &&
          member.processed[static_cast<size_t>(piece.in)] < piece.after + at + 1)
        return false;
      if (!Receive(members_[static_cast<size_t>(out.to)], self, piece.from[at])) return false;
      ++member.sent[stream];
      return true;
    }
    return false;
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
  EXPECT_NE(ExplainPlan(OpKind::kAllReduce, 1000, 4, kFarLink).find("a halving and doubling"),
            std::string::npos);
  EXPECT_NE(ExplainPlan(OpKind::kBroadcast, 1000, 4, TcpLink()).find("assumed"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::collectives
