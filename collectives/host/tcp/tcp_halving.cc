// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_halving.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep::collectives {
namespace {

struct Range {
  size_t begin = 0;  // elements
  size_t end = 0;
  size_t count() const { return end - begin; }
};

/// What `member` has left to combine after each round, beginning with all; in round k it trades
/// with the one whose number differs in bit size / 2^(k + 1).
std::vector<Range> RangesOf(int member, int size, size_t count) {
  std::vector<Range> ranges{{0, count}};
  for (int bit = size / 2; bit > 0; bit /= 2) {
    const Range range = ranges.back();
    const size_t middle = range.begin + range.count() / 2;
    ranges.push_back((member & bit) == 0 ? Range{range.begin, middle} : Range{middle, range.end});
  }
  return ranges;
}

/// The finished blocks of all that `member` had left after `round` rounds, in the order in which it
/// comes by them: its own, then what each partner brings, the last one first.
void AddBlocks(int member, int size, int round, size_t count, std::vector<Range>& blocks) {
  if (size >> round == 1) {
    blocks.push_back(RangesOf(member, size, count).back());
    return;
  }
  AddBlocks(member, size, round + 1, count, blocks);
  AddBlocks(member ^ (size >> (round + 1)), size, round + 1, count, blocks);
}

std::vector<Range> BlocksOf(int member, int size, int round, size_t count) {
  std::vector<Range> blocks;
  AddBlocks(member, size, round, count, blocks);
  return blocks;
}

class Halving {
 public:
  Halving(const Op& op, int self, int size)
      : op_(op),
        self_(self),
        size_(size),
        unit_(DtypeBytes(op.dtype)),
        ranges_(RangesOf(self, size, op.count)),
        rounds_(static_cast<int>(ranges_.size()) - 1) {}

  TcpPlan Plan() {
    for (int round = 0; round < rounds_; ++round) Halve(round);
    for (int round = 0; round < rounds_; ++round) Double(round);
    return std::move(plan_);
  }

 private:
  int Partner(int round) const { return self_ ^ (size_ >> (round + 1)); }
  const Range& Left(int round) const { return ranges_[static_cast<size_t>(round)]; }
  size_t Bytes(const Range& range) const { return range.count() * unit_; }

  void Halve(int round) {
    const Range all = Left(round), kept = Left(round + 1);
    const Range given =
        kept.begin == all.begin ? Range{kept.end, all.end} : Range{all.begin, kept.begin};
    // What I put in: at first my input, then what has been made of it in the output.
    const std::byte* const mine = round == 0 ? op_.in : op_.out;
    plan_.ins.push_back({.from = Partner(round),
                         .pieces = {{.kind = round + 1 == rounds_ ? InPiece::Kind::kFinish
                                                                  : InPiece::Kind::kCombine,
                                     .came = 1 << round,
                                     .own = 1 << round,
                                     .bytes = Bytes(kept),
                                     .to = op_.out + kept.begin * unit_,
                                     .mine = mine + kept.begin * unit_,
                                     .behind = round - 1,
                                     .after = (kept.begin - all.begin) * uint64_t{unit_}}}});
    const uint64_t after =
        round == 0 ? OutPiece::kAtOnce : (given.begin - all.begin) * uint64_t{unit_};
    plan_.outs.push_back({.to = Partner(round),
                          .pieces = {{.from = mine + given.begin * unit_,
                                      .bytes = Bytes(given),
                                      .in = round == 0 ? 0 : round - 1,
                                      .after = after}}});
  }

  /// With the partner of that round: it gets all that I had left after it, and I get what it had.
  void Double(int round) {
    for (const Range& block : BlocksOf(Partner(round), size_, round + 1, op_.count)) {
      plan_.ins[static_cast<size_t>(round)].pieces.push_back(
          {.bytes = Bytes(block), .to = op_.out + block.begin * unit_});
    }
    AddOut(round, ranges_.back(), rounds_ - 1, 0);
    for (int from = rounds_ - 1; from > round; --from) {
      uint64_t after = Bytes(Left(from + 1));  // the half that came first
      for (const Range& block : BlocksOf(Partner(from), size_, from + 1, op_.count)) {
        AddOut(round, block, from, after);
        after += Bytes(block);
      }
    }
  }

  void AddOut(int round, const Range& block, int in, uint64_t after) {
    plan_.outs[static_cast<size_t>(round)].pieces.push_back(
        {.from = op_.out + block.begin * unit_, .bytes = Bytes(block), .in = in, .after = after});
  }

  const Op& op_;
  const int self_;
  const int size_;
  const size_t unit_;
  const std::vector<Range> ranges_;  // by round
  const int rounds_;
  TcpPlan plan_;
};

}  // namespace

TcpPlan PlanHalving(const Op& op, int self, int size) { return Halving(op, self, size).Plan(); }

}  // namespace lockstep::collectives
