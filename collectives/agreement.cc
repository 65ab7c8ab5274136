// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/agreement.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "collectives/engine/member_names.h"
#include "collectives/engine/sides.h"

namespace lockstep::collectives {
namespace {

// A range that differs is cut into so many, again and again, until its bytes fit into one exchange.
constexpr size_t kParts = 64;
constexpr size_t kExchangedBytes = kParts * sizeof(uint64_t);

/// A digest that every change of a single word changes; against accidents, not against attackers.
uint64_t DigestOf(std::span<const std::byte> data) {
  constexpr size_t kLanes = 4;
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15u;  // odd: multiplying loses nothing
  std::array<uint64_t, kLanes> lanes = {1, 2, 3, 4};
  const auto mix = [](uint64_t lane, uint64_t word) {
    lane = (lane ^ word) * kFactor;
    return lane ^ (lane >> 32);
  };
  size_t at = 0;
  for (; at + sizeof lanes <= data.size(); at += sizeof lanes) {
    std::array<uint64_t, kLanes> words;
    std::memcpy(words.data(), data.data() + at, sizeof words);
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = mix(lanes[lane], words[lane]);
  }
  for (; at < data.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, data.data() + at, std::min(sizeof word, data.size() - at));
    lanes[0] = mix(lanes[0], word);
  }
  uint64_t digest = data.size();
  for (const uint64_t lane : lanes) digest = mix(digest, lane);
  return digest;
}

/// One check. All members see the same at each step, and so take the same ways.
class Check {
 public:
  Check(Group& group, ConstBuffer buffer, const OpOptions& options)
      : group_(group),
        options_(options),
        unit_(DtypeBytes(buffer.dtype)),
        data_(static_cast<const std::byte*>(buffer.data), buffer.bytes()),
        dtype_(buffer.dtype) {}

  base::Status Run() {
    ASSIGN_OR_RETURN(const auto seen,
                     Exchange(std::array<uint64_t, 2>{data_.size(), DigestOf(data_)}));
    for (const auto& [bytes, digest] : seen) {
      if (bytes != data_.size()) return SizesDiffer(seen);
    }
    std::vector<uint64_t> digests;
    for (const auto& [bytes, digest] : seen) digests.push_back(digest);
    const Sides sides(digests);
    if (sides.all().size() == 1) return base::OkStatus();
    ASSIGN_OR_RETURN(const size_t offset, FirstDifference());
    return Differ(sides, offset / unit_);
  }

 private:
  template <class T>
  base::Result<std::vector<T>> Exchange(const T& mine) {
    std::vector<T> all(static_cast<size_t>(group_.size()));
    RETURN_IF_ERROR(group_
                        .AllGather({&mine, sizeof mine, Dtype::kU8},
                                   {all.data(), all.size() * sizeof(T), Dtype::kU8}, options_)
                        ->Wait());
    return all;
  }

  base::Result<size_t> FirstDifference() {
    size_t begin = 0, length = data_.size();
    while (length > kExchangedBytes) {
      const size_t part = (length + kParts - 1) / kParts;
      const auto range = [&](size_t index) {
        const size_t from = std::min(index * part, length);
        return data_.subspan(begin + from, std::min(part, length - from));
      };
      std::array<uint64_t, kParts> mine;
      for (size_t index = 0; index < kParts; ++index) mine[index] = DigestOf(range(index));
      ASSIGN_OR_RETURN(const auto all, Exchange(mine));
      const size_t first = FirstUnequal(all);
      begin += std::min(first * part, length);
      length = range(first).size();
    }
    std::array<std::byte, kExchangedBytes> mine = {};
    std::copy_n(data_.begin() + static_cast<ptrdiff_t>(begin), length, mine.begin());
    ASSIGN_OR_RETURN(const auto all, Exchange(mine));
    return begin + FirstUnequal(all);
  }

  template <class Row>
  static size_t FirstUnequal(const std::vector<Row>& rows) {
    for (size_t index = 0; index + 1 < rows[0].size(); ++index) {
      for (const Row& row : rows) {
        if (row[index] != rows[0][index]) return index;
      }
    }
    return rows[0].size() - 1;
  }

  base::Rank RankOf(int member) const {
    return group_.info().world_ranks[static_cast<size_t>(member)];
  }
  std::string Names(const std::vector<int>& members) const {
    return NameMembers(group_.info().world_ranks, members);
  }
  base::Status WithSubjects(base::Status status, const std::vector<int>& members) const {
    for (const int member : members) {
      base::Subject subject;
      subject.rank = RankOf(member);
      status = status.WithSubject(std::move(subject));
    }
    return status;
  }

  base::Status SizesDiffer(const std::vector<std::array<uint64_t, 2>>& seen) const {
    std::string text =
        "comparing a buffer on all members of group " + group_.info().name + ", which has";
    for (size_t member = 0; member < seen.size(); ++member) {
      text += (member == 0 ? " " : ", ") + std::to_string(seen[member][0]) + " bytes on " +
              Names({static_cast<int>(member)});
    }
    return base::FailedPreconditionError(std::move(text)).WithClass(base::FailureClass::kUsage);
  }

  base::Status Differ(const Sides& sides, size_t element) const {
    std::vector<int> blamed = sides.Blamed();
    std::sort(blamed.begin(), blamed.end());
    std::string text = "a buffer of " + std::to_string(data_.size() / unit_) + " " +
                       std::string(DtypeName(dtype_)) +
                       " is not the same on all members of group " + group_.info().name + ": " +
                       Names(blamed);
    const std::string have = blamed.size() == 1 ? " has " : " have ";
    text += sides.has_majority()
                ? have + "other values than " + Names(sides.all()[0])
                : have + std::to_string(sides.all().size()) + " different contents";
    text += ", first at element " + std::to_string(element) +
            (sides.has_majority() ? "" : "; no side is a majority, so any may be wrong");
    return WithSubjects(base::DataLossError(std::move(text)), blamed);
  }

  Group& group_;
  const OpOptions& options_;
  const size_t unit_;
  const std::span<const std::byte> data_;
  const Dtype dtype_;
};

}  // namespace

base::Status CanCheckAgreement(const Group& group, const ConstBuffer& buffer) {
  const Capabilities& backend = group.capabilities();
  if (backend.host_memory && buffer.device.kind == Device::Kind::kCpu) return base::OkStatus();
  return base::UnimplementedError(
      "comparing a buffer on all members of group " + group.info().name + " of backend " +
      backend.backend +
      (backend.host_memory ? ": it is in a GPU's memory, which is not read here. Copy it to main "
                             "memory and compare that"
                           : ": its ops take no main memory, and a GPU's is not read here. Copy "
                             "the buffer to main memory, make a digest of it there, and compare "
                             "the digests of all members, which AllGather brings"));
}

base::Status CheckAgreement(Group& group, ConstBuffer buffer, OpOptions options) {
  RETURN_IF_ERROR(CanCheckAgreement(group, buffer));
  return Check(group, buffer, options).Run();
}

}  // namespace lockstep::collectives
