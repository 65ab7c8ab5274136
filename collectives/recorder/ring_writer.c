// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/ring_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Words are release stores, so that none of them can become visible before the odd lock; free on
 * x86. */
static void store_word(uint64_t* word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Small fields share words with others: the word is changed as a whole, by whoever holds the
 * lock. */
static void store_in_word(void* of, size_t offset, const void* value, size_t bytes) {
  uint64_t* const word = (uint64_t*)of + offset / 8;
  uint64_t image = __atomic_load_n(word, __ATOMIC_RELAXED);
  memcpy((char*)&image + offset % 8, value, bytes);
  store_word(word, image);
}

/* Words 1 to `words` - 1 of what is locked by word 0. */
static void store_body(void* to, const void* from, size_t words) {
  for (size_t i = 1; i < words; ++i) {
    uint64_t word;
    memcpy(&word, (const char*)from + i * 8, sizeof word);
    store_word((uint64_t*)to + i, word);
  }
}

static bool lock_word(uint64_t* lock) {
  uint64_t value = __atomic_load_n(lock, __ATOMIC_ACQUIRE);
  return value % 2 == 0 && __atomic_compare_exchange_n(lock, &value, value + 1, false,
                                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void unlock_word(uint64_t* lock) {
  __atomic_store_n(lock, __atomic_load_n(lock, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}

static void copy_text(const char* text, char* to, size_t capacity) {
  const size_t length = strnlen(text, capacity - 1);
  memcpy(to, text, length);
  memset(to + length, 0, capacity - length);
}

static uint64_t clock_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static bool usable(const struct lockstep_ring* ring) {
  return lockstep_fork_guard_is_owner(&ring->guard);
}

static struct lockstep_ring_header* header_of(const struct lockstep_ring* ring) {
  return ring->memory;
}

static struct lockstep_seat* seat_of(const struct lockstep_ring* ring, int seat) {
  return (struct lockstep_seat*)((char*)ring->memory + LOCKSTEP_RING_SEATS_OFFSET) + seat;
}

/* ------------------------------------------------------------------------------------- the ring */

/* Field 22 of /proc/PID/stat; 0 when there is no such process. */
static uint64_t start_ticks_of(int64_t pid) {
  char text[1024];
  snprintf(text, sizeof text, "/proc/%lld/stat", (long long)pid);
  const int file = open(text, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* field = strrchr(text, ')'); /* the name before it may hold blanks and parentheses */
  for (int number = 2; field != NULL && number < 22; ++number) field = strchr(field + 1, ' ');
  return field != NULL ? strtoull(field + 1, NULL, 10) : 0;
}

static void sign(struct lockstep_ring_header* header) {
  const int64_t signer = header->pid;
  if (signer != 0 && signer != getpid() && start_ticks_of(signer) == header->process_start_ticks)
    return;
  header->pid = getpid();
  header->process_start_ticks = start_ticks_of(getpid());
  header->attached_wall_ns = clock_ns(CLOCK_REALTIME);
  store_word(&header->attached_monotonic_ns, clock_ns(CLOCK_MONOTONIC));
}

static enum lockstep_ring_status check(const struct lockstep_ring_header* header,
                                       uint32_t slot_count, size_t bytes, char* why,
                                       size_t why_bytes) {
  if (header->magic != LOCKSTEP_RING_MAGIC) {
    snprintf(why, why_bytes, "the recorder ring does not begin with its magic number");
    return LOCKSTEP_RING_DAMAGED;
  }
  if (header->layout_version != LOCKSTEP_RING_LAYOUT_VERSION) {
    snprintf(why, why_bytes,
             "the recorder ring has layout version %u, this program writes version %u: build the "
             "program with the same release as the agent",
             header->layout_version, LOCKSTEP_RING_LAYOUT_VERSION);
    return LOCKSTEP_RING_OTHER_VERSION;
  }
  if (slot_count == 0 || slot_count > LOCKSTEP_RING_MAX_SLOTS ||
      LOCKSTEP_RING_HEADER_BYTES + (size_t)slot_count * LOCKSTEP_RECORD_BYTES > bytes) {
    snprintf(why, why_bytes, "the recorder ring claims %u slots in %zu bytes", slot_count, bytes);
    return LOCKSTEP_RING_DAMAGED;
  }
  return LOCKSTEP_RING_OK;
}

enum lockstep_ring_status lockstep_ring_open(int fd, struct lockstep_ring* ring, char* why,
                                             size_t why_bytes) {
  /* Not fstat(), whose version in glibc is newer than what preloaded objects may ask for. */
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) {
    snprintf(why, why_bytes, "looking at the recorder ring");
    return LOCKSTEP_RING_ERRNO;
  }
  const size_t bytes = (size_t)end;
  if (bytes < LOCKSTEP_RING_HEADER_BYTES) {
    snprintf(why, why_bytes, "the recorder ring has %zu bytes, less than its header", bytes);
    return LOCKSTEP_RING_DAMAGED;
  }
  void* const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    snprintf(why, why_bytes, "mapping the recorder ring");
    return LOCKSTEP_RING_ERRNO;
  }
  struct lockstep_ring_header* const header = memory;
  const uint32_t slot_count = header->slot_count; /* once: the header is in others' reach */
  const enum lockstep_ring_status status = check(header, slot_count, bytes, why, why_bytes);
  if (status != LOCKSTEP_RING_OK) {
    munmap(memory, bytes);
    return status;
  }
  (void)madvise(memory, bytes, MADV_DONTFORK);
  sign(header);
  ring->memory = memory;
  ring->bytes = bytes;
  ring->slot_count = slot_count;
  lockstep_fork_guard_init(&ring->guard);
  return LOCKSTEP_RING_OK;
}

void lockstep_ring_close(struct lockstep_ring* ring) {
  /* A child has no such mapping, and may have put something else there. */
  if (usable(ring)) munmap(ring->memory, ring->bytes);
  lockstep_fork_guard_free(&ring->guard);
}

void lockstep_ring_set_step(const struct lockstep_ring* ring, int64_t step) {
  if (usable(ring)) __atomic_store_n(&header_of(ring)->step, step, __ATOMIC_RELAXED);
}

void lockstep_ring_set_samples(const struct lockstep_ring* ring, uint64_t samples,
                               uint64_t since_ns) {
  if (!usable(ring)) return;
  struct lockstep_ring_header* const header = header_of(ring);
  /* A reader that finds another time behind the count than before it has read neither. */
  __atomic_store_n(&header->samples_since_ns, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&header->samples, samples, __ATOMIC_SEQ_CST);
  __atomic_store_n(&header->samples_since_ns, since_ns, __ATOMIC_SEQ_CST);
}

void lockstep_ring_set_phase(const struct lockstep_ring* ring, const char* name,
                             uint64_t until_ns) {
  if (!usable(ring)) return;
  struct lockstep_ring_header* const header = header_of(ring);
  if (!lock_word(&header->phase_lock)) return; /* another thread declares one now */
  char text[sizeof header->phase];
  copy_text(name, text, sizeof text);
  for (size_t i = 0; i < sizeof text / 8; ++i) {
    uint64_t word;
    memcpy(&word, text + i * 8, sizeof word);
    store_word((uint64_t*)header->phase + i, word);
  }
  store_word(&header->phase_until_ns, until_ns);
  unlock_word(&header->phase_lock);
}

/* ------------------------------------------------------------------------------------- records */

/* NULL when the slot is being written by another thread or, for an update, was overtaken by a later
 * record. */
static struct lockstep_record* lock_slot(const struct lockstep_ring* ring, uint64_t index,
                                         bool claim) {
  struct lockstep_record* const slot =
      (struct lockstep_record*)((char*)ring->memory + LOCKSTEP_RING_HEADER_BYTES) +
      index % ring->slot_count;
  if (!lock_word(&slot->lock)) return NULL;
  const uint64_t found = __atomic_load_n(&slot->index, __ATOMIC_RELAXED);
  if (claim ? found <= index : found == index) return slot;
  unlock_word(&slot->lock);
  return NULL;
}

/* Of an update: NULL where there is nothing to update. */
static struct lockstep_record* lock_of(const struct lockstep_ring* ring,
                                       struct lockstep_ring_ticket ticket) {
  return ticket.valid && usable(ring) ? lock_slot(ring, ticket.index, false) : NULL;
}

/* The same line of a program calls most ops of a thread. */
static void copy_call_site(const char* file, uint32_t line, char* to) {
  static _Thread_local struct {
    const char* file;
    uint32_t line;
    char text[sizeof((struct lockstep_record*)0)->call_site];
  } last;
  if (last.file != file || last.line != line) {
    memset(last.text, 0, sizeof last.text);
    lockstep_format_call_site(file, line, last.text, sizeof last.text);
    last.file = file;
    last.line = line;
  }
  memcpy(to, last.text, sizeof last.text);
}

static uint32_t thread_id(void) {
  static _Thread_local uint32_t id;
  if (id == 0) id = (uint32_t)syscall(SYS_gettid);
  return id;
}

/* The memory of a whole ring is in no near cache: that of the record after this one comes while the
 * op goes on. */
static void fetch_slot(const struct lockstep_ring* ring, uint64_t index) {
  const char* const slot = (const char*)ring->memory + LOCKSTEP_RING_HEADER_BYTES +
                           index % ring->slot_count * sizeof(struct lockstep_record);
  for (size_t line = 0; line < sizeof(struct lockstep_record); line += 64)
    __builtin_prefetch(slot + line, 1);
}

struct lockstep_ring_ticket lockstep_ring_begin(const struct lockstep_ring* ring,
                                                const struct lockstep_ring_call* call) {
  const struct lockstep_ring_ticket none = {0, false};
  if (!usable(ring)) return none;
  struct lockstep_ring_header* const header = header_of(ring);
  struct lockstep_record record = {
      .index = __atomic_fetch_add(&header->record_count, 1, __ATOMIC_RELAXED),
      .group_id = call->group_id,
      .seq = call->seq,
      .fingerprint = call->fingerprint,
      .epoch = call->epoch,
      .op = call->op,
      .dtype = call->dtype,
      .reduction = call->reduction,
      .state = LOCKSTEP_RECORD_ENQUEUED,
      .root_or_peer = call->root_or_peer,
      .waiting_on = -1,
      .count_in = call->count_in,
      .count_out = call->count_out,
      .enqueued_ns = call->enqueued_ns,
      .timeout_ns = call->timeout_ns,
      .step = __atomic_load_n(&header->step, __ATOMIC_RELAXED),
      .thread_id = thread_id(),
      .group_size = call->group_size,
  };
  copy_call_site(call->call_file, call->call_line, record.call_site);
  copy_text(call->tag, record.tag, sizeof record.tag);
  struct lockstep_record* const slot = lock_slot(ring, record.index, true);
  if (slot == NULL) {
    __atomic_fetch_add(&header->dropped_count, 1, __ATOMIC_RELAXED);
    return none;
  }
  store_body(slot, &record, LOCKSTEP_RECORD_WORDS);
  unlock_word(&slot->lock);
  fetch_slot(ring, record.index + 1);
  const struct lockstep_ring_ticket ticket = {record.index, true};
  return ticket;
}

static void store_state(struct lockstep_record* slot, enum lockstep_record_state state) {
  const uint8_t value = (uint8_t)state;
  store_in_word(slot, offsetof(struct lockstep_record, state), &value, sizeof value);
}

static void store_waiting_on(struct lockstep_record* slot, int32_t rank) {
  store_in_word(slot, offsetof(struct lockstep_record, waiting_on), &rank, sizeof rank);
}

void lockstep_ring_started(const struct lockstep_ring* ring, struct lockstep_ring_ticket ticket,
                           uint64_t now_ns) {
  struct lockstep_record* const slot = lock_of(ring, ticket);
  if (slot == NULL) return;
  store_word(&slot->started_ns, now_ns);
  store_state(slot, LOCKSTEP_RECORD_STARTED);
  unlock_word(&slot->lock);
}

void lockstep_ring_waits_for(const struct lockstep_ring* ring, struct lockstep_ring_ticket ticket,
                             int32_t world_rank) {
  struct lockstep_record* const slot = lock_of(ring, ticket);
  if (slot == NULL) return;
  store_waiting_on(slot, world_rank);
  unlock_word(&slot->lock);
}

void lockstep_ring_ended(const struct lockstep_ring* ring, struct lockstep_ring_ticket ticket,
                         enum lockstep_record_state state, uint64_t bytes_done, uint64_t now_ns) {
  struct lockstep_record* const slot = lock_of(ring, ticket);
  if (slot == NULL) return;
  store_word(&slot->ended_ns, now_ns);
  store_word(&slot->bytes_done, bytes_done);
  if (state == LOCKSTEP_RECORD_COMPLETED) store_waiting_on(slot, -1);
  store_state(slot, state);
  unlock_word(&slot->lock);
}

/* --------------------------------------------------------------------------------------- seats */

/* 0: they are no such sequence. */
static int32_t stride_of(const int32_t* members, int32_t count) {
  const int32_t stride = count > 1 ? members[1] - members[0] : 1;
  for (int32_t i = 1; i < count; ++i) {
    if (members[i] - members[i - 1] != stride) return 0;
  }
  return stride;
}

int lockstep_ring_take_seat(const struct lockstep_ring* ring, uint64_t group_id, uint32_t epoch,
                            int32_t group_rank, int32_t group_size, const int32_t* members,
                            const char* name) {
  if (!usable(ring)) return -1;
  struct lockstep_seat taken = {.group_id = group_id,
                                .epoch = epoch,
                                .group_rank = group_rank,
                                .group_size = group_size,
                                .first = members[0],
                                .stride = stride_of(members, group_size)};
  copy_text(name, taken.name, sizeof taken.name);
  for (int number = 0; number < (int)LOCKSTEP_RING_SEATS; ++number) {
    struct lockstep_seat* const seat = seat_of(ring, number);
    if (__atomic_load_n(&seat->group_id, __ATOMIC_RELAXED) != 0 || !lock_word(&seat->lock))
      continue;
    const bool is_free = __atomic_load_n(&seat->group_id, __ATOMIC_RELAXED) == 0;
    if (is_free) store_body(seat, &taken, LOCKSTEP_SEAT_WORDS);
    unlock_word(&seat->lock);
    if (is_free) return number;
  }
  __atomic_fetch_add(&header_of(ring)->seatless_count, 1, __ATOMIC_RELAXED);
  return -1;
}

void lockstep_ring_leave_seat(const struct lockstep_ring* ring, int seat) {
  if (seat < 0 || !usable(ring)) return;
  struct lockstep_seat* const left = seat_of(ring, seat);
  const struct lockstep_seat nobody = {0};
  /* Ours alone, so that nobody else locks it, unless it was written over. */
  if (!lock_word(&left->lock)) return;
  store_body(left, &nobody, LOCKSTEP_SEAT_WORDS);
  unlock_word(&left->lock);
}

/* Counters of their own, atomic by themselves: a reader that sees one a moment late looks again. */
static void add(int32_t* waiters, int32_t change) {
  __atomic_fetch_add(waiters, change, __ATOMIC_RELAXED);
}

void lockstep_ring_add_waiters(const struct lockstep_ring* ring, int seat, bool transfers,
                               int32_t change) {
  if (seat < 0 || !usable(ring)) return;
  struct lockstep_seat* const mine = seat_of(ring, seat);
  add(transfers ? &mine->transfer_waiters : &mine->waiters, change);
}

void lockstep_ring_add_stream_waiters(const struct lockstep_ring* ring, int seat, int32_t change) {
  if (seat >= 0 && usable(ring)) add(&seat_of(ring, seat)->stream_waiters, change);
}

/* ---------------------------------------------------------------------------------------- texts */

void lockstep_format_call_site(const char* file, uint32_t line, char* text, size_t capacity) {
  const char* const slash = strrchr(file, '/');
  const char* const name = slash != NULL ? slash + 1 : file;
  char digits[12];
  size_t digit_count = 0;
  for (; line > 0; line /= 10) digits[digit_count++] = (char)('0' + line % 10);
  if (digit_count > 0) digits[digit_count++] = ':';
  const size_t length = strlen(name);
  const size_t most = capacity - digit_count - 1;
  const size_t name_length = length < most ? length : most;
  memcpy(text, name, name_length);
  char* to = text + name_length;
  while (digit_count > 0) *to++ = digits[--digit_count];
  *to = '\0';
}
