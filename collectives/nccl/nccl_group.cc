// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_group.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "collectives/engine/joining.h"
#include "collectives/engine/op_queue.h"
#include "collectives/engine/own_deadline.h"
#include "collectives/nccl/nccl_calls.h"
#include "collectives/nccl/nccl_meeting.h"
#include "collectives/nccl/nccl_registration.h"
#include "collectives/nccl/nccl_status.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
base::Status NcclGroup::Check(const Config& config, const NcclRuntime& runtime) {
  const GroupSpec& spec = config.spec;
  const int size = static_cast<int>(spec.world_ranks.size());
  if (size < 1 || spec.rank.value() < 0 || spec.rank.value() >= size) {
    return base::InvalidArgumentError("making group " + spec.name + ": rank " +
                                      spec.rank.ToString() + " of " + std::to_string(size) +
                                      " members");
  }
  int devices = 0;
  RETURN_IF_ERROR(CudaStatus(runtime.libraries(),
                             runtime.libraries().cuda().get_device_count(&devices),
                             "making group " + spec.name + ": counting GPUs"));
  if (config.device >= 0 && config.device < devices) return base::OkStatus();
  return base::FailedPreconditionError(
      "making group " + spec.name + ": CUDA shows " + std::to_string(devices) +
      " devices to this process and none of them is " + std::to_string(config.device) +
      "; look at CUDA_VISIBLE_DEVICES");
}

Communicator::Config NcclGroup::CommunicatorConfig(const Config& config,
                                                   std::shared_ptr<NcclRuntime> runtime) {
  const size_t size = config.spec.world_ranks.size();
  return {.runtime = std::move(runtime),
          .device = config.device,
          .name = "group " + config.spec.name,
          .rank = config.spec.rank.value(),
          .size = static_cast<int>(size),
          // The barrier's, and then the numbers of every member and our own (GatherNumbers).
          .scratch_bytes = kNcclScratchBytes + (size + 1) * kSplitNumbers * sizeof(int32_t)};
}

Capabilities NcclGroup::CapabilitiesOn(int device, Capabilities of_library) {
  of_library.cuda_device = device;
  return of_library;
}

base::Result<std::unique_ptr<NcclGroup>> NcclGroup::Create(Config config,
                                                           std::shared_ptr<NcclRuntime> runtime) {
  RETURN_IF_ERROR(Check(config, *runtime));
  if (config.derived == nullptr) config.derived = std::make_shared<DerivedSpecs>();
  const OwnDeadline own(config.join_timeout);
  Joining joining(config.recorder.get(), config.spec, config.join_timeout);
  ASSIGN_OR_RETURN(std::unique_ptr<GroupBoard> board,
                   runtime->boards().Open(config.spec, own.deadline));
  const Communicator::Config communicator = CommunicatorConfig(config, runtime);
  ASSIGN_OR_RETURN(std::shared_ptr<Communicator> made, MeetById({.spec = config.spec,
                                                                 .config = communicator,
                                                                 .board = *board,
                                                                 .deadline = own.deadline}));
  Recorder::Seat seat = joining.End(config.spec);
  return std::unique_ptr<NcclGroup>(new NcclGroup(
      std::move(config), std::move(runtime), std::move(seat), std::move(board), std::move(made)));
}

NcclGroup::NcclGroup(Config config, std::shared_ptr<NcclRuntime> runtime, Recorder::Seat seat,
                     std::unique_ptr<GroupBoard> board, std::shared_ptr<Communicator> communicator)
    : config_(std::move(config)),
      runtime_(std::move(runtime)),
      info_(InfoOf(config_.spec, "nccl")),
      capabilities_(CapabilitiesOn(config_.device, runtime_->libraries().capabilities())),
      timeout_ns_(config_.timeout.count()),
      engine_(std::make_shared<NcclEngine>(
          NcclEngine::Config{.runtime = runtime_,
                             .spec = config_.spec,
                             .device = config_.device,
                             .recorder = config_.recorder,
                             .info = info_,
                             .check_calls = config_.check_calls,
                             .seat = std::make_shared<Recorder::Seat>(std::move(seat))},
          std::move(board), std::move(communicator))) {
  lockstep_fork_guard_init(&guard_);
}

NcclGroup::~NcclGroup() {
  if (!owner()) {
    // A forked child: threads, locks and the GPU are the parent's. What is private to us leaks, by
    // intent.
    (void)new std::shared_ptr<NcclEngine>(std::move(engine_));
    (void)new std::shared_ptr<NcclRuntime>(runtime_);
    return;
  }
  engine_->Close();
  lockstep_fork_guard_free(&guard_);
}

base::Status NcclGroup::ForkedError() const {
  return base::FailedPreconditionError(
      "a collective of group " + info_.name + " was called in a forked child of rank " +
      info_.world_ranks[static_cast<size_t>(info_.rank.value())].ToString() +
      "; only the rank itself may call it");
}

// The parent's engine may be locked for ever in this copy of its memory: a queue of its own carries
// the answer.
std::shared_ptr<Work> NcclGroup::RefuseInChild(Op op) const {
  return std::make_shared<OpQueue>(nullptr, nullptr, true)->Refuse(std::move(op), ForkedError());
}

std::shared_ptr<Work> NcclGroup::Submit(Op&& op, base::Status valid) {
  if (!owner()) return RefuseInChild(std::move(op));
  op.refusal = std::move(valid);
  return engine_->Submit(std::move(op));
}

std::shared_ptr<Work> NcclGroup::SubmitTransfers(std::vector<Op> transfers, Op batch,
                                                 base::Status valid) {
  if (!owner()) return RefuseInChild(std::move(batch));
  return engine_->SubmitTransfers(std::move(transfers), std::move(batch), std::move(valid));
}

base::Status NcclGroup::GatherNumbers(std::span<const int32_t> mine, std::span<int32_t> all,
                                      OpOptions options, OwnDeadline& own) {
  if (!owner()) return ForkedError();
  const std::shared_ptr<Communicator>& communicator = engine_->communicator();
  LOCKSTEP_CHECK(kNcclScratchBytes + mine.size_bytes() + all.size_bytes() <=
                     CommunicatorConfig(config_, runtime_).scratch_bytes,
                 "the numbers of a split, of each member");
  const Device device{Device::Kind::kCuda, config_.device};
  if (communicator->dead())
    return own.Await(*Barrier(std::move(options)));  // which says why the group has failed
  std::byte* const in = communicator->scratch() + kNcclScratchBytes;
  std::byte* const out = in + mine.size_bytes();
  std::memcpy(in, mine.data(), mine.size_bytes());
  RETURN_IF_ERROR(
      own.Await(*AllGather({in, mine.size(), Dtype::kI32, device},
                           {out, all.size(), Dtype::kI32, device}, std::move(options))));
  std::memcpy(all.data(), out, all.size_bytes());
  return base::OkStatus();
}

base::Result<std::shared_ptr<SharedBuffer>> NcclGroup::AllocBuffer(size_t, OpOptions) {
  return base::UnimplementedError(
      "backend nccl has no allocate: allocate with cudaMalloc or ncclMemAlloc, and have NCCL know "
      "it by "
      "RegisterBuffer");
}

base::Result<std::unique_ptr<Registration>> NcclGroup::RegisterBuffer(Buffer buffer) {
  if (!owner()) return ForkedError();
  RETURN_IF_ERROR(CheckRegistered(buffer));
  return NcclRegistration::Make(engine_->communicator(), buffer.data, buffer.bytes(), timeout());
}

std::string NcclGroup::Explain(OpKind kind, Dtype dtype, size_t count) const {
  const NcclFunctions& nccl = runtime_->libraries().nccl();
  const std::string op = DescribeOp(kind, dtype, Reduction::kNone, -1, count) + ": " +
                         (config_.check_calls ? "after a comparison of calls, " : "");
  const std::string library = runtime_->libraries().VersionText();
  const auto grouped = [&](const char* calls) {
    return op + "one group of " + calls + " of " + library;
  };
  switch (kind) {
    case OpKind::kAllGatherV: return grouped("broadcasts");
    case OpKind::kReduceScatterV: return grouped("reductions");
    case OpKind::kAllToAllV: return grouped("sends and receives");
    case OpKind::kAllToAll:
      if (nccl.all_to_all == nullptr) return grouped("sends and receives");
      break;
    case OpKind::kGather:
    case OpKind::kScatter:
      if (nccl.gather == nullptr) return grouped("sends and receives");
      break;
    case OpKind::kBarrier: return op + "an all_reduce of one byte of " + library;
    case OpKind::kSend:
    case OpKind::kRecv: return op + "in a communicator of the two, of " + library;
    default: break;
  }
  return op + "the call of " + library +
         ", which chooses the algorithm itself (NCCL_DEBUG=INFO shows it, NCCL_ALGO and NCCL_PROTO "
         "force it)";
}

NcclGroup::Config NcclGroup::DerivedConfig(Derivation derivation) {
  Config config = config_;
  config.timeout = timeout();
  config.spec = config.derived->Next(config_.spec, derivation.kind, std::move(derivation.name),
                                     std::move(derivation.world_ranks));
  return config;
}

base::Result<std::shared_ptr<Group>> NcclGroup::Derive(Derivation derivation,
                                                       const OpDeadline& deadline) {
  if (!owner()) return ForkedError();
  const bool splits =
      derivation.kind == OpKind::kSplit && runtime_->libraries().nccl().comm_split != nullptr;
  if (derivation.world_ranks.empty()) {
    if (splits) {
      const auto none = MeetBySplit(CommunicatorConfig(config_, runtime_), deadline,
                                    engine_->communicator(), kNcclSplitNoColor, derivation.key);
      if (!none.ok()) Abort(none.status());
      RETURN_IF_ERROR(none.status());
    }
    return std::shared_ptr<Group>();
  }
  Config config = DerivedConfig(derivation);
  Joining joining(config.recorder.get(), config.spec, config.join_timeout);
  ASSIGN_OR_RETURN(std::unique_ptr<GroupBoard> board,
                   runtime_->boards().OpenDerived(config.spec, deadline));
  auto made = MeetAgain(config, *board, deadline, derivation);
  if (!made.ok()) {
    if (splits) Abort(made.status());  // the parent is in the middle of it
    return made.status();
  }
  Recorder::Seat seat = joining.End(config.spec);
  return std::shared_ptr<Group>(new NcclGroup(std::move(config), runtime_, std::move(seat),
                                              std::move(board), std::move(made).value()));
}

base::Result<std::shared_ptr<Communicator>> NcclGroup::MeetAgain(const Config& config,
                                                                 GroupBoard& board,
                                                                 const OpDeadline& deadline,
                                                                 const Derivation& derivation) {
  const Communicator::Config communicator = CommunicatorConfig(config, runtime_);
  const NcclMeeting meeting{
      .spec = config.spec, .config = communicator, .board = board, .deadline = deadline};
  if (derivation.kind == OpKind::kSplit && runtime_->libraries().nccl().comm_split != nullptr) {
    return MeetBySplit(communicator, deadline, engine_->communicator(), derivation.color,
                       derivation.key);
  }
  if (derivation.kind != OpKind::kShrink) return MeetById(meeting);
  std::vector<int> excluded;
  for (int member = 0; member < info_.size; ++member) {
    const auto& rest = config.spec.world_ranks;
    if (std::find(rest.begin(), rest.end(), info_.world_ranks[static_cast<size_t>(member)]) ==
        rest.end()) {
      excluded.push_back(member);
    }
  }
  return MeetByShrink(meeting, engine_->communicator(), engine_->idle(), std::move(excluded));
}

void NcclGroup::DeclareLongPhase(base::Duration at_most) {
  if (owner()) engine_->DeclareLongPhase(at_most);
}

void NcclGroup::Abort(base::Status reason) {
  if (owner()) engine_->Abort(reason);
}

}  // namespace lockstep::collectives
