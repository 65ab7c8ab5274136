// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/floor_ops.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "collectives/host/shm/stream_copy.h"
#include "collectives/types.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/known_values.h"

namespace lockstep::launcher {
namespace {

using collectives::Dtype;
using collectives::Reduction;

constexpr size_t kRanks = FloorPair::kRanks;
constexpr double kScales[kRanks] = {LOCKSTEP_BENCH_PREMUL_SCALE, LOCKSTEP_BENCH_PREMUL_SCALE};
// What is copied on its way at a time; four of them are in use at once, of a whole stage.
constexpr size_t kWindowBytes = size_t{64} << 10;
constexpr size_t kWindowsInUse = 4;
static_assert(kWindowsInUse * kWindowBytes <= FloorPair::kStageBytes / 2);
// Of process_vm_readv: shorter calls cost more, longer ones leave the second-level cache.
constexpr size_t kFetchBytes = size_t{256} << 10;
// Written twice from the first-level cache.
constexpr size_t kPushBytes = size_t{4} << 10;
// Beyond it a word more is nothing against a copy more.
constexpr size_t kWholeOfSharedBytesMax = size_t{64} << 10;

constexpr std::string_view kPastCaches = "-past-caches";
constexpr struct {
  std::string_view name;
  FloorMove move;
} kMoves[] = {{"pull", FloorMove::kPull},     {"push", FloorMove::kPush},
              {"halves", FloorMove::kHalves}, {"whole", FloorMove::kWhole},
              {"slices", FloorMove::kSlices}, {"attached", FloorMove::kAttached}};

/// Where a process has what the other one reads, in the payload of its line.
struct Address {
  int64_t pid;
  const void* in;
  const void* out;
};
static_assert(sizeof(Address) <= FloorPair::kInlineBytes);

bool ReadMemory(int64_t pid, const std::byte* from, std::byte* to, size_t bytes) {
  while (bytes > 0) {
    iovec local{to, bytes};
    iovec remote{const_cast<std::byte*>(from), bytes};
    const ssize_t got = process_vm_readv(static_cast<pid_t>(pid), &local, 1, &remote, 1, 0);
    if (got <= 0) {
      if (got == 0) errno = EFAULT;
      return false;
    }
    to += got;
    from += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

/// Elements, of which the first of two ranks has half in whole cache lines.
struct Half {
  size_t begin;
  size_t count;
};
Half HalfOf(size_t count, size_t unit, int rank) {
  const size_t line = FloorPair::kLineBytes / unit;
  const size_t first = std::min(count, (count / line + 1) / 2 * line);
  return rank == 0 ? Half{0, first} : Half{first, count - first};
}

int Refuse(const char* why, char* error) {
  std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", why);
  return LOCKSTEP_BENCH_UNSUPPORTED;
}

}  // namespace

std::optional<FloorWay> FindFloorWay(std::string_view name) {
  FloorWay way;
  if (name.ends_with(kPastCaches)) {
    way.past_caches = true;
    name.remove_suffix(kPastCaches.size());
  }
  for (const auto& one : kMoves) {
    if (one.name != name) continue;
    way.move = one.move;
    return way;
  }
  return std::nullopt;
}

struct FloorOps::Reduced {
  const std::byte* in;
  std::byte* out;
  size_t unit;
  size_t count;  // of one part
  const collectives::ReduceKernels& kernels;

  size_t bytes() const { return count * unit; }
};

FloorOps::FloorOps(FloorPair& pair, FloorWay way) : pair_(pair), way_(way) {
  if (way.move == FloorMove::kAttached) fetched_.resize(kFetchBytes);
}

// --------------------------------------------------------------------------------------- the calls

const char* FloorOps::WhyNot(const lockstep_bench_call& call) const {
  const FloorMove move = way_.move;
  const size_t bytes = call.count * lockstep_bench_dtype_bytes(call.dtype);
  if (move == FloorMove::kPush && !way_.leaves_to_reader &&
      (call.op != LOCKSTEP_BENCH_ALL_GATHER || kRanks * bytes < kPushedBytesMin))
    return "what it saves is left to who reads the output";
  switch (call.op) {
    case LOCKSTEP_BENCH_ALL_REDUCE:
      if (move == FloorMove::kPull || move == FloorMove::kPush) break;
      if (move == FloorMove::kHalves && !pair_.shares()) return "it needs buffers that both map";
      if (bytes <= FloorPair::kInlineBytes) {
        const bool first = move == (pair_.shares() ? FloorMove::kHalves : FloorMove::kWhole);
        return first && !way_.past_caches ? nullptr : "so few bytes go in a line, by any way";
      }
      if (move != FloorMove::kHalves && pair_.shares() && bytes > kWholeOfSharedBytesMax)
        return "a word more costs less than a copy more";
      return nullptr;
    case LOCKSTEP_BENCH_BROADCAST:
      if (move == FloorMove::kWhole || move == FloorMove::kSlices) break;
      if (move == FloorMove::kAttached) break;
      return pair_.shares() ? nullptr : "it needs buffers that both map";
    case LOCKSTEP_BENCH_REDUCE_SCATTER:
      if (move != FloorMove::kPull) break;
      return pair_.shares() ? nullptr : "it needs buffers that both map";
    case LOCKSTEP_BENCH_ALL_GATHER:
    case LOCKSTEP_BENCH_ALL_TO_ALL:
      if (call.op == LOCKSTEP_BENCH_ALL_TO_ALL && call.in_place != 0) break;
      if (move != FloorMove::kPull && move != FloorMove::kPush) break;
      return pair_.shares() ? nullptr : "it needs buffers that both map";
    default: break;
  }
  return "this way has no such op";
}

int FloorOps::Run(const lockstep_bench_call& call, char* error) {
  if (const char* const why = WhyNot(call); why != nullptr) return Refuse(why, error);
  const size_t unit = lockstep_bench_dtype_bytes(call.dtype);
  switch (call.op) {
    case LOCKSTEP_BENCH_ALL_REDUCE:
    case LOCKSTEP_BENCH_REDUCE_SCATTER: break;
    case LOCKSTEP_BENCH_BROADCAST: Broadcast(call, call.count * unit); return LOCKSTEP_BENCH_OK;
    default: Move(call, call.count * unit); return LOCKSTEP_BENCH_OK;
  }
  if (call.dtype != dtype_ || call.reduction != reduction_) {
    dtype_ = call.dtype;
    reduction_ = call.reduction;
    kernels_ = FindReduceKernels(static_cast<Dtype>(dtype_), static_cast<Reduction>(reduction_));
  }
  if (kernels_.to_one == nullptr) return Refuse("there is no such kernel", error);
  const Reduced op{.in = static_cast<const std::byte*>(call.in),
                   .out = static_cast<std::byte*>(call.out),
                   .unit = unit,
                   .count = call.count,
                   .kernels = kernels_};
  if (call.op == LOCKSTEP_BENCH_REDUCE_SCATTER) {
    ReducePart(op);
    return LOCKSTEP_BENCH_OK;
  }
  return Reduce(op, error);
}

int FloorOps::Reduce(const Reduced& op, char* error) {
  if (op.bytes() <= FloorPair::kInlineBytes) {
    ReduceInline(op);
    return LOCKSTEP_BENCH_OK;
  }
  switch (way_.move) {
    case FloorMove::kWhole: PassWhole(op); return LOCKSTEP_BENCH_OK;
    case FloorMove::kSlices: PassSlices(op); return LOCKSTEP_BENCH_OK;
    case FloorMove::kAttached: return FetchHalves(op, error);
    default: ReduceHalves(op); return LOCKSTEP_BENCH_OK;
  }
}

// ------------------------------------------------------------------------------------ between them

FloorOps::Inputs FloorOps::InOrder(const std::byte* mine, const std::byte* other) const {
  return pair_.rank() == 0 ? Inputs{mine, other} : Inputs{other, mine};
}

void FloorOps::Copy(std::byte* to, const std::byte* from, size_t bytes) const {
  if (to == from || bytes == 0) return;
  if (way_.past_caches) {
    collectives::StreamCopy(to, from, bytes);
  } else {
    std::memcpy(to, from, bytes);
  }
}

void FloorOps::SayWritten(uint64_t word) {
  if (way_.past_caches) collectives::FenceStreamCopies();
  pair_.Say(word);
}

void FloorOps::Meet() {
  pair_.Say(++word_);
  pair_.Await(word_);
}

void FloorOps::Part() {
  SayWritten(++word_);
  pair_.Await(word_);
}

size_t FloorOps::TakeStage(size_t bytes) {
  const size_t lines =
      (bytes + FloorPair::kLineBytes - 1) / FloorPair::kLineBytes * FloorPair::kLineBytes;
  if (staged_ + lines > FloorPair::kStageBytes) staged_ = 0;
  const size_t begin = staged_;
  staged_ += lines;
  return begin;
}

// ---------------------------------------------------------------------------------- shared buffers

void FloorOps::ReduceInline(const Reduced& op) {
  const Inputs in = InOrder(op.in, pair_.Exchange(op.in, op.bytes()));
  op.kernels.to_one(op.out, in.data(), kScales, kRanks, op.count);
}

void FloorOps::ReduceHalves(const Reduced& op) {
  const Half half = HalfOf(op.count, op.unit, pair_.rank());
  const size_t offset = half.begin * op.unit;
  const Inputs in = InOrder(op.in + offset, pair_.Mirrored(op.in) + offset);
  std::byte* const out[kRanks] = {op.out + offset, pair_.Mirrored(op.out) + offset};
  Meet();
  op.kernels.to_all(out, kRanks, way_.past_caches, in.data(), kScales, kRanks, half.count);
  Part();
}

void FloorOps::ReducePart(const Reduced& op) {
  const size_t offset = static_cast<size_t>(pair_.rank()) * op.bytes();
  const Inputs in = InOrder(op.in + offset, pair_.Mirrored(op.in) + offset);
  Meet();
  if (way_.past_caches) {
    op.kernels.to_all(&op.out, 1, true, in.data(), kScales, kRanks, op.count);
  } else {
    op.kernels.to_one(op.out, in.data(), kScales, kRanks, op.count);
  }
  Part();
}

void FloorOps::Move(const lockstep_bench_call& call, size_t part) {
  const auto mine = static_cast<size_t>(pair_.rank()) * part;
  const auto other = static_cast<size_t>(pair_.other()) * part;
  const auto* const in = static_cast<const std::byte*>(call.in);
  auto* const out = static_cast<std::byte*>(call.out);
  const bool deals = call.op == LOCKSTEP_BENCH_ALL_TO_ALL;
  const std::byte* const kept = deals ? in + mine : in;
  Meet();
  if (way_.move == FloorMove::kPull) {
    const std::byte* const theirs = call.in_place != 0 ? pair_.Mirrored(out) + other
                                    : deals            ? pair_.Mirrored(in) + mine
                                                       : pair_.Mirrored(in);
    Copy(out + mine, kept, part);
    Copy(out + other, theirs, part);
  } else {
    const std::byte* const given = deals ? in + other : in;
    for (size_t at = 0; at < part; at += kPushBytes) {
      const size_t bytes = std::min(kPushBytes, part - at);
      Copy(out + mine + at, kept + at, bytes);
      Copy(pair_.Mirrored(out) + mine + at, given + at, bytes);
    }
  }
  Part();
}

void FloorOps::Broadcast(const lockstep_bench_call& call, size_t bytes) {
  auto* const data = static_cast<std::byte*>(call.out);
  const bool is_root = pair_.rank() == call.root;
  const bool halves = way_.move == FloorMove::kHalves;
  const bool writes = is_root == (way_.move == FloorMove::kPush);
  if (halves) {
    const size_t fetched = HalfOf(bytes, 1, 0).count;
    Meet();
    if (is_root) {
      Copy(pair_.Mirrored(data) + fetched, data + fetched, bytes - fetched);
    } else {
      Copy(data, pair_.Mirrored(data), fetched);
    }
    Part();
    return;
  }
  // One moves all, when the other has come; which then needs to know that it is done.
  const uint64_t there = ++word_;
  const uint64_t moved = ++word_;
  if (!writes) {
    pair_.Say(there);
    pair_.Await(moved);
    return;
  }
  pair_.Await(there);
  if (is_root) {
    Copy(pair_.Mirrored(data), data, bytes);
  } else {
    Copy(data, pair_.Mirrored(data), bytes);
  }
  SayWritten(moved);
}

// ------------------------------------------------------------------------------ through the stages

// A word says that a window is staged, so one that is awaited also says that the other has done
// with all windows but the last two: four places would be enough.
void FloorOps::PassWhole(const Reduced& op) {
  const size_t windows = (op.bytes() + kWindowBytes - 1) / kWindowBytes;
  size_t places[2];
  const auto stage = [&](size_t window) {
    const size_t begin = window * kWindowBytes;
    const size_t bytes = std::min(kWindowBytes, op.bytes() - begin);
    const size_t place = places[window % 2] = TakeStage(bytes);
    Copy(pair_.Stage(pair_.rank(), 0) + place, op.in + begin, bytes);
    SayWritten(word_ + window + 1);
  };
  stage(0);
  for (size_t window = 0; window < windows; ++window) {
    if (window + 1 < windows) stage(window + 1);
    const size_t begin = window * kWindowBytes;
    const size_t count = std::min(kWindowBytes, op.bytes() - begin) / op.unit;
    const Inputs in = InOrder(op.in + begin, pair_.Stage(pair_.other(), 0) + places[window % 2]);
    std::byte* const out = op.out + begin;
    pair_.Await(word_ + window + 1);
    if (way_.past_caches) {
      op.kernels.to_all(&out, 1, true, in.data(), kScales, kRanks, count);
    } else {
      op.kernels.to_one(out, in.data(), kScales, kRanks, count);
    }
  }
  word_ += windows;
}

// In each step, of one window each: what the other has combined is copied out, what it has staged
// is combined, and the next is staged. A word says that the step is done.
void FloorOps::PassSlices(const Reduced& op) {
  const Half mine = HalfOf(op.count, op.unit, pair_.rank());
  const Half other = HalfOf(op.count, op.unit, pair_.other());
  const size_t length = kWindowBytes / op.unit;
  const size_t windows = (std::max(mine.count, other.count) + length - 1) / length;
  const auto window_of = [&](const Half& half, size_t window) {
    const size_t begin = std::min(half.count, window * length);
    return Half{half.begin + begin, std::min(length, half.count - begin)};
  };
  size_t places[kWindowsInUse];
  for (size_t step = 0; step <= windows + 1; ++step) {
    if (step > 0) pair_.Await(word_ + step);
    if (step >= 2) {
      const Half window = window_of(other, step - 2);
      Copy(op.out + window.begin * op.unit,
           pair_.Stage(pair_.other(), 1) + places[(step - 2) % kWindowsInUse],
           window.count * op.unit);
    }
    if (step >= 1 && step <= windows) {
      const Half window = window_of(mine, step - 1);
      const size_t place = places[(step - 1) % kWindowsInUse];
      const size_t offset = window.begin * op.unit;
      const Inputs in = InOrder(op.in + offset, pair_.Stage(pair_.other(), 0) + place);
      std::byte* const out[kRanks] = {op.out + offset, pair_.Stage(pair_.rank(), 1) + place};
      op.kernels.to_all(out, kRanks, way_.past_caches, in.data(), kScales, kRanks, window.count);
    }
    if (step < windows) {
      const Half window = window_of(other, step);
      const size_t place = places[step % kWindowsInUse] =
          TakeStage(std::min(length, std::max(mine.count, other.count) - step * length) * op.unit);
      Copy(pair_.Stage(pair_.rank(), 0) + place, op.in + window.begin * op.unit,
           window.count * op.unit);
    }
    if (step <= windows) SayWritten(word_ + step + 1);
  }
  word_ += windows + 1;
}

// -------------------------------------------------------------------------------- process_vm_readv

/// Tried once, by a value that lies in the other; both come to the same.
bool FloorOps::MayAttach() {
  if (may_attach_) return *may_attach_;
  const uint64_t value = 0x6c6f636b73746570u + static_cast<uint64_t>(pair_.rank());
  const Address mine{.pid = ::getpid(), .in = &value, .out = nullptr};
  std::memcpy(pair_.my_payload(), &mine, sizeof mine);
  Meet();
  Address other;
  std::memcpy(&other, pair_.other_payload(), sizeof other);
  uint64_t seen = 0;
  const bool could =
      ReadMemory(other.pid, static_cast<const std::byte*>(other.in),
                 reinterpret_cast<std::byte*>(&seen), sizeof seen) &&
      seen == value - static_cast<uint64_t>(pair_.rank()) + static_cast<uint64_t>(pair_.other());
  Meet();
  const Address said{.pid = could ? 1 : 0, .in = nullptr, .out = nullptr};
  std::memcpy(pair_.my_payload(), &said, sizeof said);
  Meet();
  std::memcpy(&other, pair_.other_payload(), sizeof other);
  Meet();
  may_attach_ = could && other.pid == 1;
  return *may_attach_;
}

int FloorOps::FetchHalves(const Reduced& op, char* error) {
  if (!MayAttach()) return Refuse("the kernel does not let them process_vm_readv", error);
  const Half mine = HalfOf(op.count, op.unit, pair_.rank());
  const Half theirs = HalfOf(op.count, op.unit, pair_.other());
  const Address said{.pid = ::getpid(), .in = op.in, .out = op.out};
  std::memcpy(pair_.my_payload(), &said, sizeof said);
  Meet();
  Address other;
  std::memcpy(&other, pair_.other_payload(), sizeof other);
  bool all_read = true;
  const size_t length = kFetchBytes / op.unit;
  for (size_t begin = 0; begin < mine.count; begin += length) {
    const size_t count = std::min(length, mine.count - begin);
    const size_t offset = (mine.begin + begin) * op.unit;
    all_read = all_read && ReadMemory(other.pid, static_cast<const std::byte*>(other.in) + offset,
                                      fetched_.data(), count * op.unit);
    const Inputs in = InOrder(op.in + offset, fetched_.data());
    op.kernels.to_one(op.out + offset, in.data(), kScales, kRanks, count);
  }
  Meet();
  const size_t offset = theirs.begin * op.unit;
  all_read = all_read && ReadMemory(other.pid, static_cast<const std::byte*>(other.out) + offset,
                                    op.out + offset, theirs.count * op.unit);
  Meet();
  if (all_read) return LOCKSTEP_BENCH_OK;
  std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "process_vm_readv: %s", std::strerror(errno));
  return LOCKSTEP_BENCH_FAILED;
}

}  // namespace lockstep::launcher
