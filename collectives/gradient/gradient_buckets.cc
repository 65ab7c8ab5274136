// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/gradient/gradient_buckets.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

#include "collectives/gradient/half_precision.h"
#include "collectives/work.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

constexpr size_t kAlignment = 64;  // vector loops then never straddle two gradients
constexpr size_t kNamesInErrorMax = 5;
// Each op of a group looks at all that are queued behind it: a long queue makes every one slow.
constexpr size_t kInFlightMax = 256;

size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Zeroed memory of this process alone, aligned as gradients are.
std::shared_ptr<std::byte> PrivateMemory(size_t bytes) {
  auto* const memory = static_cast<std::byte*>(
      ::operator new(std::max<size_t>(bytes, 1), std::align_val_t(kAlignment)));
  std::memset(memory, 0, bytes);
  return {memory, [](std::byte* p) { ::operator delete(p, std::align_val_t(kAlignment)); }};
}

/// Of no use where the group has none: then any memory will do.
base::Result<std::shared_ptr<std::byte>> MemoryForOps(Group& group, size_t bytes) {
  if (!group.capabilities().Has(OpKind::kAllocate)) return PrivateMemory(bytes);
  ASSIGN_OR_RETURN(const auto buffer,
                   group.AllocBuffer(std::max<size_t>(bytes, 1), {.tag = "buckets"}));
  return std::shared_ptr<std::byte>(buffer, buffer->data());
}

/// FNV-1a over what all members must have in common. Source: Fowler, Noll, Vo.
class LayoutHash {
 public:
  void Add(const std::string& text) {
    for (const char c : text + ";")
      hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  int64_t value() const { return static_cast<int64_t>(hash_); }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

std::string Quoted(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < kNamesInErrorMax; ++i) {
    out += (i > 0 ? ", '" : "'") + names[i] + "'";
  }
  if (names.size() > kNamesInErrorMax) {
    out += " and " + std::to_string(names.size() - kNamesInErrorMax) + " more";
  }
  return out;
}

}  // namespace

/// Gradients that are reduced in one piece. The op in flight shares it.
struct GradientBuckets::Bucket {
  /// Of what came back in 16 bits. One for each op, since the callback of an op may come after the
  /// next has begun.
  enum class Unpacking : uint8_t { kToDo, kUnderWay, kDone };
  using Flight = std::atomic<Unpacking>;

  size_t elements() const { return bytes / DtypeBytes(dtype); }
  bool compressed() const { return packed != nullptr; }

  /// Puts the means where the gradients are: on whichever thread comes first, the group's own or
  /// the one that waits.
  void Unpack(Flight& of) {
    Unpacking expected = Unpacking::kToDo;
    if (of.compare_exchange_strong(expected, Unpacking::kUnderWay)) {
      Decompress(wire, packed.get(), reinterpret_cast<float*>(memory.get()), elements());
      of = Unpacking::kDone;
      of.notify_all();
    }
    of.wait(Unpacking::kUnderWay);  // as long as the loop above takes
  }

  Dtype dtype = Dtype::kF32;
  Dtype wire = Dtype::kF32;  // != dtype: travels as that
  std::string first_name;    // of its first gradient
  size_t gradient_count = 0;
  size_t bytes = 0;  // of memory, gaps included
  std::shared_ptr<std::byte> memory;
  std::shared_ptr<uint16_t>
      packed;  // null where nothing is rounded; this and the next have an element for each
  std::unique_ptr<float[]> residual;  // null without error feedback

  size_t pending = 0;          // gradients that are not put
  std::shared_ptr<Work> work;  // this and the next null while it fills
  std::shared_ptr<Flight> flight;
};

GradientBuckets::GradientBuckets(std::vector<Gradient> gradients, Group& group, Config config)
    : gradients_(std::move(gradients)), group_(group), config_(config), put_(gradients_.size()) {}

GradientBuckets::~GradientBuckets() = default;

base::Result<std::unique_ptr<GradientBuckets>> GradientBuckets::Create(
    std::vector<Gradient> gradients, Group& group, Config config) {
  auto buckets =
      std::unique_ptr<GradientBuckets>(new GradientBuckets(std::move(gradients), group, config));
  RETURN_IF_ERROR(buckets->Check());
  RETURN_IF_ERROR(buckets->CheckOthersAgree());
  buckets->Fill();
  RETURN_IF_ERROR(buckets->Allocate().WithFrame("while allocating buckets of gradients"));
  return buckets;
}

base::Status GradientBuckets::Check() const {
  if (gradients_.empty()) return base::InvalidArgumentError("buckets of no gradients");
  if (config_.first_bucket_bytes == 0 || config_.bucket_bytes == 0) {
    return base::InvalidArgumentError("buckets of gradients with a size of 0 bytes");
  }
  const bool rounds = config_.wire == Dtype::kBf16 || config_.wire == Dtype::kF16;
  if (!rounds && config_.wire != Dtype::kF32) {
    return base::InvalidArgumentError("gradients cannot travel as " +
                                      std::string(DtypeName(config_.wire)) +
                                      "; f32, bf16 and f16 are possible");
  }
  if (config_.error_feedback && !rounds) {
    return base::InvalidArgumentError(
        "error feedback without rounding: set wire to bf16 or f16, or leave it out");
  }
  for (const Gradient& gradient : gradients_) {
    const Dtype dtype = gradient.dtype == Dtype::kF32 ? config_.wire : gradient.dtype;
    const bool travels_as_f16 = gradient.dtype == Dtype::kF32 && dtype == Dtype::kF16;
    const base::Status possible = group_.capabilities().Check(
        OpKind::kAllReduce, dtype, travels_as_f16 ? Reduction::kSum : Reduction::kAverage);
    RETURN_IF_ERROR(possible.WithFrame("for gradient '" + gradient.name + "'"));
  }
  return base::OkStatus();
}

/// Before the first op on them: buckets that differ would meet there as ops that differ, or worse,
/// agree.
base::Status GradientBuckets::CheckOthersAgree() {
  LayoutHash hash;
  for (const Gradient& gradient : gradients_) {
    hash.Add(gradient.name);
    hash.Add(std::to_string(gradient.count));
    hash.Add(std::string(DtypeName(gradient.dtype)));
  }
  for (const size_t bytes : {config_.first_bucket_bytes, config_.bucket_bytes})
    hash.Add(std::to_string(bytes));
  hash.Add(std::string(DtypeName(config_.wire)) + (config_.error_feedback ? "+" : "-"));
  const int64_t mine = hash.value();
  std::vector<int64_t> all(static_cast<size_t>(group_.size()));
  RETURN_IF_ERROR(group_
                      .AllGather({&mine, 1, Dtype::kI64}, {all.data(), all.size(), Dtype::kI64},
                                 {.tag = "layout"})
                      ->Wait()
                      .WithFrame("while comparing the gradients of all members"));
  std::string others;
  for (size_t member = 0; member < all.size(); ++member) {
    if (all[member] != all[0]) others += " " + group_.info().world_ranks[member].ToString();
  }
  if (others.empty()) return base::OkStatus();
  return base::FailedPreconditionError(
      "the gradients of the members of group " + group_.info().name +
      " differ from those of rank " + group_.info().world_ranks[0].ToString() +
      " in a name, size, dtype or order, or in the Config, on rank" + others);
}

void GradientBuckets::Fill() {
  size_t limit = 0;
  for (const Gradient& gradient : gradients_) {
    const size_t bytes = gradient.count * DtypeBytes(gradient.dtype);
    const bool fits = !buckets_.empty() && buckets_.back()->dtype == gradient.dtype &&
                      buckets_.back()->bytes + bytes <= limit;
    if (!fits) {
      limit = buckets_.empty() ? config_.first_bucket_bytes : config_.bucket_bytes;
      auto bucket = std::make_shared<Bucket>();
      bucket->dtype = gradient.dtype;
      bucket->wire = gradient.dtype == Dtype::kF32 ? config_.wire : gradient.dtype;
      bucket->first_name = gradient.name;
      buckets_.push_back(std::move(bucket));
    }
    Bucket& bucket = *buckets_.back();
    places_.push_back({buckets_.size() - 1, bucket.bytes});
    bucket.bytes += Aligned(bytes);
    bucket.pending = ++bucket.gradient_count;
  }
}

base::Status GradientBuckets::Allocate() {
  size_t shared_bytes = 0;
  for (const auto& bucket : buckets_)
    shared_bytes += Aligned(bucket->elements() * DtypeBytes(bucket->wire));
  ASSIGN_OR_RETURN(const std::shared_ptr<std::byte> shared, MemoryForOps(group_, shared_bytes));
  size_t offset = 0;
  for (const auto& bucket : buckets_) {
    std::byte* const mine = shared.get() + offset;
    offset += Aligned(bucket->elements() * DtypeBytes(bucket->wire));
    if (bucket->wire == bucket->dtype) {
      bucket->memory = std::shared_ptr<std::byte>(shared, mine);
      continue;
    }
    bucket->memory = PrivateMemory(bucket->bytes);
    bucket->packed = std::shared_ptr<uint16_t>(shared, reinterpret_cast<uint16_t*>(mine));
    if (config_.error_feedback) bucket->residual = std::make_unique<float[]>(bucket->elements());
  }
  return base::OkStatus();
}

std::byte* GradientBuckets::memory(size_t gradient) const {
  const Place& place = places_[gradient];
  return buckets_[place.bucket]->memory.get() + place.offset;
}

std::shared_ptr<std::byte> GradientBuckets::SharedMemory(size_t gradient) const {
  return {buckets_[places_[gradient].bucket]->memory, memory(gradient)};
}

size_t GradientBuckets::bucket_count() const { return buckets_.size(); }

bool GradientBuckets::OverlapsBuckets(const void* values, size_t bytes) const {
  const std::less<const std::byte*> before;
  const auto* const begin = static_cast<const std::byte*>(values);
  return std::any_of(buckets_.begin(), buckets_.end(), [&](const std::shared_ptr<Bucket>& bucket) {
    return before(begin, bucket->memory.get() + bucket->bytes) &&
           before(bucket->memory.get(), begin + bytes);
  });
}

base::Status GradientBuckets::Put(size_t gradient, const void* values) {
  LOCKSTEP_CHECK(gradient < gradients_.size(), "there is a gradient of that number");
  RETURN_IF_ERROR(failure_);
  const Gradient& it = gradients_[gradient];
  if (put_[gradient]) {
    return base::FailedPreconditionError(
        "gradient '" + it.name +
        "' was put twice in one step; call Finish between two backward passes, or put "
        "the sum of both");
  }
  const size_t bytes = it.count * DtypeBytes(it.dtype);
  std::byte* const place = memory(gradient);
  if (values != place && bytes > 0) {
    if (OverlapsBuckets(values, bytes)) {
      return base::InvalidArgumentError(
          "gradient '" + it.name +
          "' was put from memory that overlaps the buckets, but is not its own place there; "
          "copy it first");
    }
    std::memcpy(place, values, bytes);
  }
  put_[gradient] = true;
  --buckets_[places_[gradient].bucket]->pending;
  // In the order of the buckets, on every member: one that is full early waits for those before.
  while (failure_.ok() && next_bucket_ < buckets_.size() && buckets_[next_bucket_]->pending == 0) {
    if (next_bucket_ >= kInFlightMax) failure_ = Await(next_bucket_ - kInFlightMax);
    if (failure_.ok()) Launch(next_bucket_++);
  }
  return failure_;
}

void GradientBuckets::Launch(size_t index) {
  const std::shared_ptr<Bucket>& bucket = buckets_[index];
  const size_t count = bucket->elements();
  bucket->flight = std::make_shared<Bucket::Flight>(Bucket::Unpacking::kToDo);
  Buffer buffer{bucket->memory.get(), count, bucket->dtype};
  Reduction reduction = Reduction::kAverage;
  if (bucket->compressed()) {
    if (bucket->wire == Dtype::kF16) reduction = Reduction::kSum;  // of what is divided here
    const float scale =
        reduction == Reduction::kSum ? 1.0f / static_cast<float>(group_.size()) : 1.0f;
    Compress(bucket->wire, reinterpret_cast<const float*>(bucket->memory.get()), scale,
             bucket->residual.get(), bucket->packed.get(), count);
    buffer = {bucket->packed.get(), count, bucket->wire};
  }
  bucket->work =
      group_.AllReduce(buffer, buffer, reduction, {.tag = "bucket " + std::to_string(index)});
  // What somebody wants to be told of is begun at once, by the group's own thread; it keeps the
  // memory.
  bucket->work->OnComplete([bucket, flight = bucket->flight](const base::Status& status) {
    if (status.ok() && bucket->compressed()) bucket->Unpack(*flight);
  });
}

base::Status GradientBuckets::CheckAllPut() const {
  std::vector<std::string> missing;
  for (size_t i = 0; i < gradients_.size(); ++i) {
    if (!put_[i]) missing.push_back(gradients_[i].name);
  }
  if (missing.empty()) return base::OkStatus();
  return base::FailedPreconditionError("no gradient in this step for " +
                                       std::to_string(missing.size()) + " of " +
                                       std::to_string(gradients_.size()) + ": " + Quoted(missing) +
                                       "; put zeros for those that the loss does not depend on");
}

base::Status GradientBuckets::Await(size_t index) {
  Bucket& bucket = *buckets_[index];
  RETURN_IF_ERROR(bucket.work->Wait().WithFrame("while averaging the gradients of bucket " +
                                                std::to_string(index) + ", which begins with '" +
                                                bucket.first_name + "'"));
  if (bucket.compressed()) bucket.Unpack(*bucket.flight);
  return base::OkStatus();
}

base::Status GradientBuckets::Finish() {
  RETURN_IF_ERROR(failure_);
  RETURN_IF_ERROR(CheckAllPut());
  for (size_t i = 0; i < buckets_.size() && failure_.ok(); ++i) failure_ = Await(i);
  RETURN_IF_ERROR(failure_);
  next_bucket_ = 0;
  std::fill(put_.begin(), put_.end(), false);
  for (const auto& bucket : buckets_) {
    bucket->pending = bucket->gradient_count;
    bucket->work = nullptr;
  }
  return base::OkStatus();
}

}  // namespace lockstep::collectives
