// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_direct.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace lockstep::collectives {
namespace {

/// The pieces of a stream with `inputs` bytes of the one kind and `results` of the other, in order:
/// both ends go through the same. `add_input` and `add_result` take what of the block it is.
template <class AddInput, class AddResult>
void ForEachPiece(size_t inputs, size_t results, const AddInput& add_input,
                  const AddResult& add_result) {
  if (results == 0) {
    if (inputs > 0) add_input(TcpBlock{0, inputs});
    return;
  }
  const auto add = [](const auto& to, size_t slice, size_t bytes) {
    const size_t begin = std::min(slice * kRingSliceBytes, bytes);
    const size_t length = std::min(kRingSliceBytes, bytes - begin);
    if (length > 0) to(TcpBlock{begin, length});
  };
  const size_t slices = (std::max(inputs, results) + kRingSliceBytes - 1) / kRingSliceBytes;
  for (size_t slice = 0; slice < slices + kDirectLag; ++slice) {
    add(add_input, slice, inputs);
    if (slice >= kDirectLag) add(add_result, slice - kDirectLag, results);
  }
}

class Direct {
 public:
  Direct(const Op& op, const std::vector<TcpBlock>& blocks, int self)
      : op_(op), blocks_(blocks), self_(self), size_(static_cast<int>(blocks.size())) {}

  TcpPlan Plan() {
    plan_.join = {.bytes = Block(self_).bytes,
                  .mine = op_.in + Block(self_).offset,
                  .place = static_cast<size_t>(self_),
                  .to = ResultTo()};
    for (int from = 0; from < size_; ++from) {
      if (from != self_) AddIn(from);
    }
    for (int step = 1; step < size_; ++step)
      AddOut((self_ + step) % size_);  // not all to one first
    return std::move(plan_);
  }

 private:
  const TcpBlock& Block(int member) const { return blocks_[static_cast<size_t>(member)]; }
  /// Whether others' blocks go to it.
  bool Gets(int member) const {
    return op_.kind == OpKind::kAllReduce || (op_.kind == OpKind::kReduce && member == op_.peer);
  }
  std::byte* ResultTo() const {
    const bool scatters = op_.kind != OpKind::kAllReduce && op_.kind != OpKind::kReduce;
    if (scatters) return op_.out;
    return Gets(self_) ? op_.out + Block(self_).offset : nullptr;
  }

  void AddIn(int from) {
    InStream in{.from = from, .pieces = {}};
    ForEachPiece(
        Block(self_).bytes, Gets(self_) ? Block(from).bytes : 0,
        [&](TcpBlock part) {
          in.pieces.push_back({.kind = InPiece::Kind::kAside, .bytes = part.bytes});
        },
        [&](TcpBlock part) {
          std::byte* const to = op_.out + Block(from).offset + part.offset;
          in.pieces.push_back({.bytes = part.bytes, .to = to});
        });
    if (!in.pieces.empty()) plan_.ins.push_back(std::move(in));
  }

  void AddOut(int to) {
    OutStream out{.to = to, .pieces = {}};
    ForEachPiece(
        Block(to).bytes, Gets(to) ? Block(self_).bytes : 0,
        [&](TcpBlock part) {
          out.pieces.push_back(
              {.from = op_.in + Block(to).offset + part.offset, .bytes = part.bytes});
        },
        [&](TcpBlock part) {
          const std::byte* const joined = plan_.join.to;
          out.pieces.push_back({.from = joined == nullptr ? nullptr : joined + part.offset,
                                .bytes = part.bytes,
                                .in = OutPiece::kJoined,
                                .after = part.offset});
        });
    if (!out.pieces.empty()) plan_.outs.push_back(std::move(out));
  }

  const Op& op_;
  const std::vector<TcpBlock>& blocks_;
  const int self_;
  const int size_;
  TcpPlan plan_;
};

}  // namespace

TcpPlan PlanDirect(const Op& op, const std::vector<TcpBlock>& blocks, int self) {
  return Direct(op, blocks, self).Plan();
}

}  // namespace lockstep::collectives
