// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/wide_calls.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace lockstep::collectives {
namespace {

/// In front of a bundle.
struct WideBundle {
  uint32_t calls_bytes = 0;
  uint32_t carried_bytes = 0;
};

bool IsRooted(OpKind kind) { return kind == OpKind::kBroadcast || kind == OpKind::kScatter; }

/// Elements of all inputs together, or of the largest; at most `limit` + 1.
std::pair<size_t, size_t> InCounts(const Op& op, int size, size_t limit) {
  size_t sum = 0, largest = 0;
  const int differ =
      op.reduction == Reduction::kNone ? size : 1;  // the first ones are like the rest
  for (int member = 0; member < differ; ++member) {
    const size_t count = std::min(InCount(op, member, size), limit + 1);
    sum = std::min(sum + count, limit + 1);
    largest = std::max(largest, count);
  }
  return {sum, largest};
}

void Append(std::vector<std::byte>& to, const void* bytes, size_t count) {
  const auto* const from = static_cast<const std::byte*>(bytes);
  to.insert(to.end(), from, from + count);
}

}  // namespace

WideRoute WideRouteOf(const Op& op, int size, int largest_machine) {
  if (op.kind == OpKind::kBarrier || op.kind == OpKind::kAllocate) return WideRoute::kNothing;
  if (op.kind == OpKind::kAllToAllV) return WideRoute::kMoved;
  const size_t unit = DtypeBytes(op.dtype);
  const size_t limit = kWideCarriedBytes / unit / static_cast<size_t>(largest_machine);
  const auto [sum, largest] = InCounts(op, size, limit);
  if (largest <= kWideInlineBytes / unit) return WideRoute::kInline;
  const size_t counted = op.reduction == Reduction::kNone ? sum : largest;
  return counted <= limit ? WideRoute::kCarried : WideRoute::kMoved;
}

WideCalls::WideCalls(TcpSeat& seat, TcpCalls& between, MachineOps& machine,
                     const Placement& placement, const TcpCircle* across)
    : seat_(seat),
      between_(between),
      machine_(machine),
      placement_(placement),
      across_(across),
      slots_(placement.neighbors().size()),
      calls_(static_cast<size_t>(seat.size())),
      inputs_(calls_.size()),
      machine_input_(static_cast<size_t>(placement.machine_count())) {}

bool WideCalls::Exchange(const Op& op, TcpWait& wait) {
  if (!ShowNeighbors(op, wait)) return false;
  carried_.clear();
  route_ = WideRouteOf(op, seat_.size(), placement_.largest());
  if (route_ == WideRoute::kCarried && NeighborsAgree() && !GatherCarried(op, wait)) return false;
  if (across_ != nullptr) {
    ComposeBundle();
    if (!TradeBundles(wait)) return false;
  }
  if (!placement_.even() && !HandOnCalls(wait)) return false;
  const auto call_of = [this](int member) -> const CallEntry& { return call(member); };
  if (!seat_.CallsAgree(call_of, wait)) return false;
  if (across_ != nullptr && !SizesFit(op, wait)) return false;
  return placement_.even() || HandOnData(op, wait);
}

bool WideCalls::ShowNeighbors(const Op& op, TcpWait& wait) {
  Slot& own = slots_[static_cast<size_t>(machine_.self())];
  own.call = seat_.EntryOf(op, wait.seq());
  own.call.member = machine_.self();
  const size_t bytes = InputBytes(op, seat_.self());
  const bool shows = op.kind != OpKind::kAllToAllV && bytes > 0 && bytes <= kWideInlineBytes;
  own.call.payload_bytes = shows ? static_cast<uint32_t>(bytes) : 0;
  if (shows) std::memcpy(own.input, op.in, bytes);
  if (!machine_.alone()) {
    const Op show{.kind = OpKind::kAllGather,
                  .in = reinterpret_cast<const std::byte*>(&own),
                  .out = reinterpret_cast<std::byte*>(slots_.data()),
                  .count = sizeof(Slot)};
    if (!machine_.Run(show, TcpWait::Phase::kArrival, wait)) return false;
  }
  for (size_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    // Another process wrote it.
    slot.call.payload_bytes =
        std::min(slot.call.payload_bytes, static_cast<uint32_t>(kWideInlineBytes));
    slot.call.call_site[kCallSiteBytes - 1] = 0;
    const auto member = static_cast<size_t>(placement_.neighbors()[index]);
    calls_[member] = slot.call;
    inputs_[member] = {slot.input, slot.call.payload_bytes};
  }
  return true;
}

bool WideCalls::NeighborsAgree() const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [this](const Slot& slot) { return slot.call.fingerprint == fingerprint(); });
}

bool WideCalls::GatherCarried(const Op& op, TcpWait& wait) {
  carried_.resize(CarriedBytes(op, placement_.mine()));
  if (carried_.empty()) return true;
  const size_t unit = DtypeBytes(op.dtype);
  if (op.reduction != Reduction::kNone)
    return machine_.AllReduce(op, op.in, carried_.data(), carried_.size() / unit, wait);
  if (IsRooted(op.kind)) {
    if (op.peer == seat_.self()) std::memcpy(carried_.data(), op.in, carried_.size());
    return machine_.Broadcast(op.dtype, carried_.data(), carried_.size() / unit,
                              placement_.index_of(op.peer), wait);
  }
  std::vector<size_t> counts;
  size_t before = 0;
  for (const int member : placement_.neighbors()) {
    if (member == seat_.self()) before = std::accumulate(counts.begin(), counts.end(), size_t{0});
    counts.push_back(InCount(op, member, seat_.size()));
  }
  const size_t own = InputBytes(op, seat_.self());
  if (own > 0) std::memcpy(carried_.data() + before * unit, op.in, own);
  return machine_.AllGather(op.dtype, carried_.data(), counts, wait);
}

void WideCalls::ComposeBundle() {
  WideBundle head{.carried_bytes = static_cast<uint32_t>(carried_.size())};
  for (const Slot& slot : slots_)
    head.calls_bytes += static_cast<uint32_t>(sizeof slot.call) + slot.call.payload_bytes;
  bundle_.clear();
  Append(bundle_, &head, sizeof head);
  for (const Slot& slot : slots_) {
    Append(bundle_, &slot.call, sizeof slot.call);
    Append(bundle_, slot.input, slot.call.payload_bytes);
  }
  Append(bundle_, carried_.data(), carried_.size());
}

bool WideCalls::TradeBundles(TcpWait& wait) {
  CallEntry entry = mine().call;
  entry.payload_bytes = static_cast<uint32_t>(bundle_.size());
  if (!between_.Exchange(*across_, entry, bundle_, wait, [] {})) return false;
  for (int machine = 0; machine < placement_.machine_count(); ++machine) {
    if (machine == placement_.mine()) continue;
    if (!ParseBundle(machine, between_.payload(machine), wait)) return false;
  }
  machine_input_[static_cast<size_t>(placement_.mine())] = carried_;
  return true;
}

bool WideCalls::ParseBundle(int machine, std::span<const std::byte> bundle, TcpWait& wait) {
  const std::vector<int>& members = placement_.machine(machine);
  const auto fail = [&](const base::Status& finding) {
    wait.FailProtocol(across_->member(machine), finding);
    return false;
  };
  WideBundle head;
  if (bundle.size() < sizeof head) return fail(base::DataLossError("its bundle has no head"));
  std::memcpy(&head, bundle.data(), sizeof head);
  bundle = bundle.subspan(sizeof head);
  if (bundle.size() != size_t{head.calls_bytes} + head.carried_bytes)
    return fail(base::DataLossError("its bundle is of another length than its head says"));
  const auto count = static_cast<int>(members.size());
  const auto entries = ParseCallEntries(bundle.first(head.calls_bytes), 0, members.size(), count);
  if (!entries.ok()) return fail(entries.status());
  for (size_t index = 0; index < members.size(); ++index) {
    const auto member = static_cast<size_t>(members[index]);
    calls_[member] = (*entries)[index].call;
    inputs_[member] = (*entries)[index].payload;
  }
  machine_input_[static_cast<size_t>(machine)] = bundle.subspan(head.calls_bytes);
  return true;
}

bool WideCalls::HandOnCalls(TcpWait& wait) {
  return machine_.Broadcast(Dtype::kU8, reinterpret_cast<std::byte*>(calls_.data()),
                            calls_.size() * sizeof(CallEntry), 0, wait, TcpWait::Phase::kArrival);
}

size_t WideCalls::InputBytes(const Op& op, int member) const {
  return InCount(op, member, seat_.size()) * DtypeBytes(op.dtype);
}

size_t WideCalls::CarriedBytes(const Op& op, int machine) const {
  if (op.reduction != Reduction::kNone) return InputBytes(op, 0);
  if (IsRooted(op.kind))
    return machine == placement_.machine_of(op.peer) ? InputBytes(op, op.peer) : 0;
  size_t bytes = 0;
  for (const int member : placement_.machine(machine)) bytes += InputBytes(op, member);
  return bytes;
}

bool WideCalls::SizesFit(const Op& op, TcpWait& wait) {
  for (int machine = 0; machine < placement_.machine_count(); ++machine) {
    bool fits = route_ != WideRoute::kCarried ||
                machine_input_[static_cast<size_t>(machine)].size() == CarriedBytes(op, machine);
    for (const int member : placement_.machine(machine)) {
      fits = fits && (route_ != WideRoute::kInline ||
                      inputs_[static_cast<size_t>(member)].size() == InputBytes(op, member));
    }
    if (fits) continue;
    wait.FailProtocol(across_->member(machine), base::DataLossError("an input has the wrong size"));
    return false;
  }
  return true;
}

// Of what was agreed on, so that all know how much it is.
bool WideCalls::HandOnData(const Op& op, TcpWait& wait) {
  if (route_ != WideRoute::kInline && route_ != WideRoute::kCarried) return true;
  std::vector<size_t> sizes;
  if (route_ == WideRoute::kInline) {
    for (int member = 0; member < seat_.size(); ++member) sizes.push_back(InputBytes(op, member));
  } else {
    for (int machine = 0; machine < placement_.machine_count(); ++machine)
      sizes.push_back(CarriedBytes(op, machine));
  }
  auto& parts = route_ == WideRoute::kInline ? inputs_ : machine_input_;
  handed_on_.clear();
  handed_on_.reserve(std::accumulate(sizes.begin(), sizes.end(), size_t{0}));
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (FirstOfMachine()) {
      Append(handed_on_, parts[i].data(), sizes[i]);
    } else {
      handed_on_.resize(handed_on_.size() + sizes[i]);
    }
  }
  const std::byte* at = handed_on_.data();
  for (size_t i = 0; i < sizes.size(); at += sizes[i++]) parts[i] = {at, sizes[i]};
  return handed_on_.empty() ||
         machine_.Broadcast(Dtype::kU8, handed_on_.data(), handed_on_.size(), 0, wait);
}

std::vector<const std::byte*> WideCalls::Inputs(const Op& op) const {
  std::vector<const std::byte*> inputs(calls_.size(), nullptr);
  const bool carried = route_ == WideRoute::kCarried;
  for (size_t member = 0; member < inputs.size() && !carried; ++member)
    inputs[member] = inputs_[member].data();
  for (int machine = 0; machine < placement_.machine_count() && carried; ++machine) {
    const std::byte* at = machine_input_[static_cast<size_t>(machine)].data();
    for (const int member : placement_.machine(machine)) {
      if (InputBytes(op, member) > 0) inputs[static_cast<size_t>(member)] = at;
      at += InputBytes(op, member);
    }
  }
  return inputs;
}

std::vector<const std::byte*> WideCalls::Sums() const {
  std::vector<const std::byte*> sums;
  for (const std::span<const std::byte>& sum : machine_input_) sums.push_back(sum.data());
  return sums;
}

const double* WideCalls::Scales(const Op& op) {
  if (op.reduction != Reduction::kPremultipliedSum) return nullptr;
  scales_.clear();
  for (const CallEntry& call : calls_) scales_.push_back(call.scale);
  return scales_.data();
}

}  // namespace lockstep::collectives
