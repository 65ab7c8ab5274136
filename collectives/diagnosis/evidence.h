// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_EVIDENCE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_EVIDENCE_H_

/// What is known of a job's ranks when somebody asks why it stands still: what their recorder rings
/// say, and what their agents see from outside. Plain values; whoever gathers them says so where
/// something could not be seen. Times are durations before the moment of the question, so that the
/// clocks of machines need not agree.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectives/diagnosis/member_list.h"
#include "collectives/recorder/record.h"
#include "collectives/types.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// One op as the record of one of its members tells it.
struct SeenOp {
  base::GroupId group;
  base::Round epoch;
  /// Of collectives: in the group; of sends and receives: of the pair and direction. From 1.
  base::OpSeq seq;
  OpKind kind = OpKind::kNone;
  /// Of kNone, what its caller calls it: "Finalize" of an MPI program. Of kInit its group's name,
  /// perhaps cut.
  std::string name;
  Dtype dtype = Dtype::kU8;
  Reduction reduction = Reduction::kNone;
  int root_or_peer = -1;  // group rank
  uint64_t count = 0;     // elements, as its caller gave them
  uint64_t fingerprint = 0;
  lockstep_record_state state = LOCKSTEP_RECORD_EMPTY;
  /// The thread that called it waits for its end now, and does nothing else.
  bool caller_waits = false;
  /// A stream of a GPU has come to it; its caller may have gone on.
  bool stream_waits = false;
  /// Whom the backend waits for in it, where it knows.
  std::optional<base::Rank> waits_for;
  base::Duration age{0};  // since it was called; where a stream alone waits, since that came
  std::string call_site;  // "train.cc:42"

  bool is_open() const {
    return state == LOCKSTEP_RECORD_ENQUEUED || state == LOCKSTEP_RECORD_STARTED;
  }
  /// It ended with an error, which its caller was told.
  bool has_failed() const { return state > LOCKSTEP_RECORD_COMPLETED; }
  /// Its rank stands in it.
  bool is_waited_in() const { return is_open() && (caller_waits || stream_waits); }
  bool is_transfer() const { return kind == OpKind::kSend || kind == OpKind::kRecv; }
};

/// A group as one of its members knows it.
struct SeenGroup {
  base::GroupId id;
  base::Round epoch;
  std::string name;
  base::GroupRank rank;  // of this member
  int size = 0;
  /// By group rank; empty: this member does not say who the others are.
  MemberList members;
};

/// What a rank's process does, seen from outside.
enum class ProcessState : uint8_t {
  kUnknown,
  kNeverStarted,
  kRuns,         // on a processor, or ready to
  kSleeps,       // in a system call
  kBlockedInIo,  // uninterruptibly, or in a read or write of a file, pipe or terminal
  kStopped,      // by a signal
  kTraced,       // by a debugger
  kFrozen,       // its cgroup is
  kEnded,
};

struct SeenProcess {
  ProcessState state = ProcessState::kUnknown;
  std::string host;
  int64_t pid = 0;  // 0 = none
  /// kEnded: how, and how long ago.
  int exit_code = 0;
  int signal = 0;
  bool out_of_memory = false;
  bool exit_is_known = true;  // not to an agent that has not started it
  base::Duration ended_ago{0};
  /// Processor time since the look before, as a share of one processor; nullopt = one look only.
  std::optional<double> cpu_share;
  /// In words: "in pipe_read, system call read".
  std::string detail;
  /// Processes of its job's machine that the kernel has killed for want of memory since the round
  /// began, and that are no ranks: what a rank had started, mostly.
  uint32_t memory_kills = 0;
  /// TCP segments that its machine has lately sent, in the job's network namespace, and of which
  /// the network has lost some: they arrived when they were sent again. Zeros where it has not.
  uint64_t segments_sent = 0;
  uint64_t segments_lost = 0;

  bool failed() const {
    return state == ProcessState::kEnded && (exit_code != 0 || signal != 0 || out_of_memory);
  }
  /// Nothing can come of it until somebody from outside does something.
  bool is_held() const {
    return state == ProcessState::kStopped || state == ProcessState::kTraced ||
           state == ProcessState::kFrozen;
  }
};

/// A TCP connection that a rank's process has, as the kernel of its machine sees it.
struct SeenSocket {
  std::string local;   // "10.0.0.1:4000"
  std::string remote;  // equal to the `local` of the peer's, where no address is translated
  uint64_t unacked_bytes = 0;
  uint64_t unread_bytes = 0;
  /// In a row, of what was sent last: none of them was answered.
  uint32_t retransmits = 0;
  uint32_t rto_ms = 0;  // after which that is sent again; 0 = not known
};

struct SeenRank {
  base::Rank rank;
  SeenProcess process;
  /// Its node's agent answers. False: what else stands here is what was last heard.
  bool node_answers = true;
  /// There is a ring, and it could be read. False: its ops are unknown, which is not that it made
  /// none.
  bool ring_read = false;
  /// The ring has lost records to later ones: what is not in it may have been.
  bool ring_overflowed = false;
  std::vector<SeenGroup> groups;
  std::vector<SeenOp> ops;  // oldest first
  int64_t step = -1;
  /// A phase that the program declared, and that is not over: "checkpoint".
  std::string phase;
  /// What the program says it does, whether it claims time for it or not.
  std::string marked_phase;
  /// Of the training data, of late; nullopt: the program reports none.
  std::optional<double> samples_per_second;
  /// Of one that has waited for a second, on a job of several machines; those in trouble first.
  std::vector<SeenSocket> sockets;
  /// Its machine has more connections than were looked at: some of its may be missing.
  bool sockets_cut = false;
};

struct Evidence {
  std::vector<SeenRank> ranks;  // by rank
  /// How many ranks the job has, where `ranks` are not all of them; 0: they are.
  int world_size = 0;
  /// What a reader of a finding from it should know, a sentence each: where it comes from, what is
  /// missing.
  std::vector<std::string> notes;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_EVIDENCE_H_
