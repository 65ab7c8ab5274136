// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "runtime/base/errno_status.h"

namespace lockstep::collectives {
namespace {

// Words are release stores, so that none of them can become visible before the odd lock; free on
// x86.
template <class T>
void Store(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

// Small fields share words with others: the word is changed as a whole, by the slot's lock holder
// alone.
template <class T>
void StoreInWord(lockstep_record& slot, size_t offset, T value) {
  uint64_t& word = reinterpret_cast<uint64_t*>(&slot)[offset / 8];
  uint64_t image = std::atomic_ref<uint64_t>(word).load(std::memory_order_relaxed);
  std::memcpy(reinterpret_cast<char*>(&image) + offset % 8, &value, sizeof value);
  Store(word, image);
}

uint64_t Nanoseconds(base::SteadyTime time) {
  return static_cast<uint64_t>(time.time_since_epoch().count());
}

void CopyText(std::string_view text, char* to, size_t capacity) {
  const size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

// Field 22 of /proc/PID/stat; 0 when there is no such process.
uint64_t StartTicksOf(int64_t pid) {
  char text[1024];
  std::snprintf(text, sizeof text, "/proc/%lld/stat", static_cast<long long>(pid));
  const base::UniqueFd file(open(text, O_RDONLY | O_CLOEXEC));
  const ssize_t length = file.valid() ? read(file.get(), text, sizeof text - 1) : -1;
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* field =
      std::strrchr(text, ')');  // the name before it may hold blanks and parentheses
  for (int number = 2; field != nullptr && number < 22; ++number)
    field = std::strchr(field + 1, ' ');
  return field != nullptr ? std::strtoull(field + 1, nullptr, 10) : 0;
}

// The same line of a program calls most ops of a thread.
void CopyCallSite(const char* file, uint32_t line, char (&to)[sizeof lockstep_record::call_site]) {
  struct Text {
    const char* file = nullptr;
    uint32_t line = 0;
    char text[sizeof lockstep_record::call_site] = "";
  };
  static thread_local Text last;
  if (last.file != file || last.line != line) {
    std::memset(last.text, 0, sizeof last.text);
    FormatCallSite(file, line, last.text, sizeof last.text);
    last.file = file;
    last.line = line;
  }
  std::memcpy(to, last.text, sizeof last.text);
}

void Sign(lockstep_ring_header& header) {
  const int64_t signer = header.pid;
  if (signer != 0 && signer != getpid() && StartTicksOf(signer) == header.process_start_ticks)
    return;
  header.pid = getpid();
  header.process_start_ticks = StartTicksOf(getpid());
  const base::RealClock clock;
  header.attached_wall_ns = static_cast<uint64_t>(clock.WallNow().time_since_epoch().count());
  Store(header.attached_monotonic_ns, Nanoseconds(clock.Now()));
}

}  // namespace

void FormatRing(const RingIdentity& identity, uint32_t slot_count, lockstep_ring_header& header) {
  header.layout_version = LOCKSTEP_RING_LAYOUT_VERSION;
  header.slot_count = slot_count;
  header.step = -1;
  header.rank = identity.rank.value();
  header.incarnation = identity.incarnation.value();
  header.round = identity.round.value();
  header.world_size = identity.world_size;
  CopyText(identity.job, header.job, sizeof header.job);
  CopyText(identity.host, header.host, sizeof header.host);
  CopyText(identity.boot_id, header.boot_id, sizeof header.boot_id);
  Store(header.magic, uint64_t{LOCKSTEP_RING_MAGIC});
}

Recorder::Recorder(void* memory, size_t bytes, uint32_t slot_count)
    : memory_(memory), bytes_(bytes), slot_count_(slot_count) {
  lockstep_fork_guard_init(&guard_);
}

Recorder::~Recorder() {
  if (usable())
    munmap(memory_, bytes_);  // a child has no such mapping, and may have put something else there
  lockstep_fork_guard_free(&guard_);
}

base::Result<std::unique_ptr<Recorder>> Recorder::Create(const base::UniqueFd& fd) {
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, "looking at the recorder ring");
  const size_t bytes = static_cast<size_t>(info.st_size);
  if (bytes < LOCKSTEP_RING_HEADER_BYTES) {
    return base::DataLossError("the recorder ring has " + std::to_string(bytes) +
                               " bytes, less than its header");
  }
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return base::ErrnoStatus(errno, "mapping the recorder ring");
  lockstep_ring_header& header = *static_cast<lockstep_ring_header*>(memory);
  const uint32_t slot_count = header.slot_count;  // once: the header is in others' reach
  base::Status damage;
  if (header.magic != LOCKSTEP_RING_MAGIC) {
    damage = base::DataLossError("the recorder ring does not begin with its magic number");
  } else if (header.layout_version != LOCKSTEP_RING_LAYOUT_VERSION) {
    damage = base::FailedPreconditionError(
        "the recorder ring has layout version " + std::to_string(header.layout_version) +
        ", this program writes version " + std::to_string(LOCKSTEP_RING_LAYOUT_VERSION) +
        ": build the program with the same release as the agent");
  } else if (slot_count == 0 || slot_count > LOCKSTEP_RING_MAX_SLOTS ||
             RingBytes(slot_count) > bytes) {
    damage = base::DataLossError("the recorder ring claims " + std::to_string(slot_count) +
                                 " slots in " + std::to_string(bytes) + " bytes");
  }
  if (!damage.ok()) {
    munmap(memory, bytes);
    return damage;
  }
  (void)madvise(memory, bytes, MADV_DONTFORK);
  Sign(header);
  return std::unique_ptr<Recorder>(new Recorder(memory, bytes, slot_count));
}

// Null when the slot is being written by another thread or, for an update, was overtaken by a later
// record.
lockstep_record* Recorder::LockSlot(uint64_t index, bool claim) {
  auto* const slots =
      reinterpret_cast<lockstep_record*>(static_cast<char*>(memory_) + LOCKSTEP_RING_HEADER_BYTES);
  lockstep_record& slot = slots[index % slot_count_];
  std::atomic_ref<uint64_t> lock(slot.lock);
  uint64_t value = lock.load(std::memory_order_acquire);
  if (value % 2 != 0 || !lock.compare_exchange_strong(value, value + 1, std::memory_order_acq_rel))
    return nullptr;
  const uint64_t found = std::atomic_ref<uint64_t>(slot.index).load(std::memory_order_relaxed);
  if (claim ? (found <= index) : (found == index)) return &slot;
  UnlockSlot(slot);
  return nullptr;
}

void Recorder::UnlockSlot(lockstep_record& slot) {
  std::atomic_ref<uint64_t> lock(slot.lock);
  lock.store(lock.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

Recorder::Ticket Recorder::Begin(const Call& call) {
  if (!usable()) return {};
  const uint64_t index =
      std::atomic_ref<uint64_t>(header().record_count).fetch_add(1, std::memory_order_relaxed);
  lockstep_record record;
  record.index = index;
  record.group_id = call.group.value();
  record.seq = call.seq.value();
  record.fingerprint = call.fingerprint;
  record.epoch = call.epoch.value();
  record.op = call.op;
  record.dtype = call.dtype;
  record.reduction = call.reduction;
  record.state = LOCKSTEP_RECORD_ENQUEUED;
  record.root_or_peer = call.root_or_peer;
  record.waiting_on = -1;
  record.count_in = call.count_in;
  record.count_out = call.count_out;
  record.bytes_done = 0;
  record.enqueued_ns = Nanoseconds(call.enqueued);
  record.started_ns = 0;
  record.ended_ns = 0;
  record.timeout_ns = static_cast<uint64_t>(call.timeout.count());
  record.step = std::atomic_ref<int64_t>(header().step).load(std::memory_order_relaxed);
  static thread_local const uint32_t thread_id = static_cast<uint32_t>(gettid());
  record.thread_id = thread_id;
  record.group_size = call.group_size;
  record.reserved[0] = record.reserved[1] = 0;
  CopyCallSite(call.call_file, call.call_line, record.call_site);
  std::memset(record.tag, 0, sizeof record.tag);
  CopyText(call.tag, record.tag, sizeof record.tag);

  lockstep_record* const slot = LockSlot(index, true);
  if (slot == nullptr) {
    std::atomic_ref<uint64_t>(header().dropped_count).fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  uint64_t words[LOCKSTEP_RECORD_WORDS];
  std::memcpy(words, &record, sizeof words);
  for (size_t word = 1; word < LOCKSTEP_RECORD_WORDS; ++word)
    Store(reinterpret_cast<uint64_t*>(slot)[word], words[word]);
  UnlockSlot(*slot);
  return {.index = index, .valid = true};
}

void Recorder::Started(Ticket ticket, base::SteadyTime now) {
  if (!ticket.valid || !usable()) return;
  lockstep_record* const slot = LockSlot(ticket.index, false);
  if (slot == nullptr) return;
  Store(slot->started_ns, Nanoseconds(now));
  StoreInWord(*slot, offsetof(lockstep_record, state),
              static_cast<uint8_t>(LOCKSTEP_RECORD_STARTED));
  UnlockSlot(*slot);
}

void Recorder::WaitsFor(Ticket ticket, base::Rank rank) {
  if (!ticket.valid || !usable()) return;
  lockstep_record* const slot = LockSlot(ticket.index, false);
  if (slot == nullptr) return;
  StoreInWord(*slot, offsetof(lockstep_record, waiting_on), rank.value());
  UnlockSlot(*slot);
}

// An op that ended well waits for nobody; one that failed keeps the name of whom it last waited
// for.
void Recorder::Ended(Ticket ticket, lockstep_record_state state, uint64_t bytes_done,
                     base::SteadyTime now) {
  if (!ticket.valid || !usable()) return;
  lockstep_record* const slot = LockSlot(ticket.index, false);
  if (slot == nullptr) return;
  Store(slot->ended_ns, Nanoseconds(now));
  Store(slot->bytes_done, bytes_done);
  if (state == LOCKSTEP_RECORD_COMPLETED)
    StoreInWord(*slot, offsetof(lockstep_record, waiting_on), int32_t{-1});
  StoreInWord(*slot, offsetof(lockstep_record, state), static_cast<uint8_t>(state));
  UnlockSlot(*slot);
}

void Recorder::SetStep(int64_t step) {
  if (usable()) std::atomic_ref<int64_t>(header().step).store(step, std::memory_order_relaxed);
}

void FormatCallSite(const char* file, uint32_t line, char* text, size_t capacity) {
  const char* const slash = std::strrchr(file, '/');
  const char* const name = slash != nullptr ? slash + 1 : file;
  char digits[12];
  const size_t digit_count =
      static_cast<size_t>(std::to_chars(digits, digits + sizeof digits, line).ptr - digits);
  const size_t name_length = std::min(std::strlen(name), capacity - digit_count - 2);
  std::memcpy(text, name, name_length);
  text[name_length] = ':';
  std::memcpy(text + name_length + 1, digits, digit_count);
  text[name_length + 1 + digit_count] = '\0';
}

}  // namespace lockstep::collectives
