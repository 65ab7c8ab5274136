// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_RECORDER_RECORDER_H_
#define LOCKSTEP_COLLECTIVES_RECORDER_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "collectives/recorder/record.h"
#include "collectives/recorder/ring_writer.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {

/// Whose ring it is; filled in by the agent.
struct RingIdentity {
  std::string job;
  std::string host;
  std::string boot_id;
  base::Rank rank;
  base::Round round;
  base::Incarnation incarnation;
  int world_size = 1;
};

/// Bytes of a ring of `slot_count` records.
constexpr size_t RingBytes(uint32_t slot_count = LOCKSTEP_RING_DEFAULT_SLOTS) {
  return LOCKSTEP_RING_HEADER_BYTES + static_cast<size_t>(slot_count) * LOCKSTEP_RECORD_BYTES;
}

/// Makes fresh zeroed memory of RingBytes(slot_count) a ring, by writing its header.
void FormatRing(const RingIdentity& identity, uint32_t slot_count, lockstep_ring_header& header);

/// A rank's hand on its ring: one record per op, updated as the op proceeds, and a seat per group.
/// One per process, held by whoever attached (Session); groups borrow it. A forked child's calls do
/// nothing. Thread-safe, never blocks; each call costs some 10 ns (recorder_benchmark). The writer
/// itself is in C: ring_writer.h.
class Recorder {
 public:
  /// A begun record. Of a recorder that is absent or in a forked child: empty, and updates of it do
  /// nothing.
  struct Ticket {
    uint64_t index = 0;
    bool valid = false;
  };

  /// What is known of an op when it is called.
  struct Call {
    base::GroupId group;
    base::Round epoch;
    base::OpSeq seq;
    uint8_t op = 0;
    uint8_t dtype = 0;
    uint8_t reduction = 0;
    int32_t root_or_peer = -1;
    uint32_t group_size = 0;
    uint64_t count_in = 0;
    uint64_t count_out = 0;
    uint64_t fingerprint = 0;
    base::SteadyTime enqueued;
    base::Duration timeout{0};
    const char* call_file = "";  // static storage
    uint32_t call_line = 0;
    const char* tag = "";
  };

  /// Maps the ring in `fd` (which may be closed afterwards) and signs it with this process's
  /// identity, unless another process that still lives has: a helper that inherited the rank's
  /// cookie is not the rank. Errors: DataLoss - not a ring, or its size contradicts its header;
  /// FailedPrecondition - another layout version.
  static base::Result<std::unique_ptr<Recorder>> Create(const base::UniqueFd& fd);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  Ticket Begin(const Call& call);
  void Started(Ticket ticket, base::SteadyTime now);
  void WaitsFor(Ticket ticket, base::Rank rank);
  void Ended(Ticket ticket, lockstep_record_state state, uint64_t bytes_done, base::SteadyTime now);
  /// The step that later records carry.
  void SetStep(int64_t step);
  /// Until then the program declares to be in a phase that may take long; `until` in the past ends
  /// it. `name`: "checkpoint".
  void SetPhase(const std::string& name, base::SteadyTime until);
  struct Mark {
    std::string name;          // "" = none
    base::SteadyTime until{};  // until then it may take long; in the past: it claims no time
  };
  /// The program is in this phase from now on. A declared one has this one's name, and is followed
  /// by it. Returns the one before.
  Mark MarkPhase(const Mark& mark);
  /// Samples that were processed since then. One thread at a time.
  void SetSamples(uint64_t samples, base::SteadyTime since);

  /// The rank's place in a group, for as long as this lives. May be empty: all seats are taken, or
  /// there is no recorder. Not to outlive the Recorder.
  class Seat {
   public:
    Seat() = default;
    Seat(const Recorder* recorder, int number) : recorder_(recorder), number_(number) {}
    ~Seat();
    Seat(Seat&& other) noexcept { *this = std::move(other); }
    Seat& operator=(Seat&& other) noexcept {
      std::swap(recorder_, other.recorder_);
      std::swap(number_, other.number_);
      return *this;
    }
    /// Threads enter, or leave, a call that ends when a collective of the group does, or a
    /// transfer.
    void AddWaiters(bool transfers, int change) const;
    /// Streams of a GPU come to an op of the group, or are past it.
    void AddStreamWaiters(int change) const;

   private:
    const Recorder* recorder_ = nullptr;
    int number_ = -1;
  };
  /// `members`: world ranks by group rank.
  Seat TakeSeat(base::GroupId group, base::Round epoch, base::GroupRank rank,
                std::span<const base::Rank> members, const std::string& name);

 private:
  explicit Recorder(lockstep_ring ring) : ring_(ring) {}

  void WritePhase();

  lockstep_ring ring_;
  std::mutex phase_mutex_;
  Mark marked_;  // this and the next: guarded by phase_mutex_
  std::string declared_;
  base::SteadyTime declared_until_{};
};

/// As lockstep_format_call_site.
inline void FormatCallSite(const char* file, uint32_t line, char* text, size_t capacity) {
  lockstep_format_call_site(file, line, text, capacity);
}

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_RECORDER_RECORDER_H_
