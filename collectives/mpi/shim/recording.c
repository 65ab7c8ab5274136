// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/recording.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collectives/mpi/shim/call_site.h"
#include "collectives/mpi/shim/datatypes.h"
#include "collectives/mpi/shim/old_glibc.h"
#include "collectives/mpi/shim/recorded_values.h"
#include "collectives/mpi/shim/requests.h"
#include "runtime/attach/attach_client.h"
#include "runtime/attach/fork_guard.h"

enum { ATTACH_TIMEOUT_MS = 10000 };

enum state {
  UNDECIDED,
  OFF,
  ASIDE, /* another tool is between the program and MPI */
  ON
};

/* Written once, by the call that decides, but for what the lock guards. */
static struct {
  enum state state;
  struct shim_mpi mpi;
  struct lockstep_ring ring;
  uint32_t epoch;
  int rank, size; /* as the agent has them */
  struct shim_comm* world;
} shim;
static pthread_mutex_t deciding = PTHREAD_MUTEX_INITIALIZER;
/* Of communicators, requests and their numbers. Held for some 10 ns, never while MPI is called. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local struct {
  bool is_inside; /* a wrapped call: what MPI calls within is its own business */
  const void* fortran_caller;
} thread;

static void set_state(enum state state) { __atomic_store_n(&shim.state, state, __ATOMIC_RELEASE); }

static enum state get_state(void) { return __atomic_load_n(&shim.state, __ATOMIC_ACQUIRE); }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ----------------------------------------------------------------- whether this process records */

static const char* file_name(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static enum state say(enum state state, const char* what, const char* of) {
  dprintf(STDERR_FILENO,
          "lockstep: the MPI calls of this process (pid %d) are not recorded: %s%s\n",
          (int)getpid(), what, of);
  return state;
}

/* The object of a tool that comes between this one and MPI; NULL: none does. */
static const char* other_tool(const void* caller) {
  const char* const next = shim_object_of(shim_find("MPI_Init", caller));
  const char* const mpi = shim_object_of(shim_find("PMPI_Init", caller));
  return next != NULL && mpi != NULL && strcmp(next, mpi) != 0 ? next : NULL;
}

static enum state open_ring(int fd) {
  char why[300] = "";
  const enum lockstep_ring_status status = lockstep_ring_open(fd, &shim.ring, why, sizeof why);
  if (status != LOCKSTEP_RING_OK) return say(OFF, why, "");
  const struct lockstep_ring_header* const header = shim.ring.memory;
  /* A program that the rank has started, with its environment, is not the rank. */
  return header->pid == getpid() ? ON : OFF;
}

static enum state attach(const char* socket, const char* cookie) {
  lockstep_attach* client = NULL;
  struct lockstep_attach_world* const world = calloc(1, sizeof *world); /* it is large */
  struct lockstep_attach_error error;
  int fd = -1;
  if (world == NULL) return OFF;
  if (lockstep_attach_open(socket, cookie, ATTACH_TIMEOUT_MS, &client, world, &fd, &error) !=
      LOCKSTEP_ATTACH_OK) {
    free(world);
    return say(OFF, "attaching to the agent: ", error.text);
  }
  shim.epoch = world->round;
  shim.rank = world->rank;
  shim.size = world->world_size;
  free(world);
  const enum state state = open_ring(fd);
  close(fd);
  lockstep_attach_close(client); /* the ring is all that is needed */
  return state;
}

static enum state decide(const void* caller, bool is_init) {
  const char* const socket = getenv("LOCKSTEP_SOCKET");
  const char* const cookie = getenv("LOCKSTEP_COOKIE");
  if (socket == NULL || cookie == NULL || &dlsym == NULL) return OFF;
  const char* const tool = other_tool(caller);
  if (tool != NULL) return say(ASIDE, "there is another tool over MPI: ", tool);
  const char* const object = shim_object_of(caller);
  /* Groups of Lockstep's own over MPI make records of their own. */
  if (object != NULL && strncmp(file_name(object), "liblockstep_", 12) == 0) return OFF;
  if (!shim_meet(caller, &shim.mpi)) {
    const char* const mpi = shim_object_of(shim_find("PMPI_Init", caller));
    return say(OFF,
               "neither Open MPI nor one with MPICH's handles: ", mpi != NULL ? mpi : "no MPI");
  }
  if (!is_init) {
    int begun = 0;
    if (shim.mpi.Initialized(&begun) != SHIM_OK || begun == 0) return UNDECIDED;
    return say(ASIDE, "MPI_Init did not come by here; another tool over MPI does?", "");
  }
  return attach(socket, cookie);
}

bool shim_records(const void* caller, bool is_init) {
  if (get_state() == UNDECIDED) {
    pthread_mutex_lock(&deciding);
    if (get_state() == UNDECIDED) set_state(decide(caller, is_init));
    pthread_mutex_unlock(&deciding);
  }
  return get_state() == ON && !thread.is_inside && lockstep_fork_guard_is_owner(&shim.ring.guard);
}

void* shim_real(const char* name, const char* profiling_name, const void* caller) {
  void* const found = shim_find(get_state() == ASIDE ? name : profiling_name, caller);
  if (found != NULL) return found;
  dprintf(STDERR_FILENO, "lockstep: no %s in this process, which calls it\n", profiling_name);
  abort();
}

bool shim_records_fortran(void) { return shim.mpi.family == SHIM_OPEN_MPI; }

void shim_set_fortran_caller(const void* caller) { thread.fortran_caller = caller; }

/* ------------------------------------------------------------------------------------ arguments */

static void* pointer_at(const struct shim_call* call, int place) {
  return (void*)call->arguments[place];  // NOLINT(performance-no-int-to-ptr): it was a pointer
}

static int int_at(const struct shim_call* call, int place) {
  return call->is_fortran ? *(const int*)pointer_at(call, place) : (int)call->arguments[place];
}

static shim_word handle_at(const struct shim_call* call, int place, shim_word (*f2c)(int)) {
  if (call->is_fortran) return f2c(int_at(call, place));
  return call->arguments[place] & shim.mpi.handle_mask;
}

static shim_word comm_at(const struct shim_call* call, int place) {
  return handle_at(call, place, shim.mpi.comm_f2c);
}

/* A handle that the program keeps in memory. */
static shim_word stored_at(const struct shim_call* call, int place, shim_word (*f2c)(int)) {
  const void* const memory = pointer_at(call, place);
  return call->is_fortran ? f2c(*(const int*)memory) : shim_load_handle(&shim.mpi, memory, 0);
}

/* As it lies there, to be compared. */
static uint64_t raw_at(const struct shim_call* call, int place, size_t index) {
  const void* const memory = pointer_at(call, place);
  return call->is_fortran ? ((const uint32_t*)memory)[index]
                          : shim_load_handle(&shim.mpi, memory, index);
}

/* -------------------------------------------------------------------------------------- records */

/* An op that begins, with all that its record wants to know. */
struct shim_start {
  uint8_t kind, dtype;
  int reduction; /* enum shim_reduction */
  int peer;      /* or root; -1 = none */
  uint64_t count;
  bool own_count; /* other members' may differ */
  const struct shim_function* function;
};

static uint64_t fingerprint_of(const struct shim_start* start) {
  uint64_t hash = start->kind;
  if (start->kind == SHIM_NO_KIND || start->kind == SHIM_SPLIT) {
    for (const char* at = start->function->name; *at != '\0'; ++at)
      hash = shim_mix(hash, (unsigned char)*at);
  }
  hash = shim_mix(
      hash, start->dtype | (uint64_t)start->reduction << 8 | (uint64_t)(uint32_t)start->peer << 32);
  return shim_mix(hash, start->own_count ? 0 : start->count);
}

static struct lockstep_ring_ticket record(const struct shim_start* start,
                                          const struct shim_comm* comm, uint64_t seq,
                                          const void* caller) {
  const uint64_t now = now_ns();
  const struct lockstep_ring_call call = {
      .group_id = comm->id,
      .seq = seq,
      .fingerprint = fingerprint_of(start),
      .epoch = shim.epoch,
      .op = start->kind,
      .dtype = start->dtype,
      .reduction = (uint8_t)(start->reduction < SHIM_UNNAMED_REDUCTIONS ? start->reduction : 0),
      .root_or_peer = start->peer,
      .group_size = (uint32_t)comm->size,
      .count_in = start->count,
      .count_out = start->count,
      .enqueued_ns = now,
      .call_file = shim_call_site(caller),
      .tag = start->function->name,
  };
  const struct lockstep_ring_ticket ticket = lockstep_ring_begin(&shim.ring, &call);
  lockstep_ring_started(&shim.ring, ticket, now);
  return ticket;
}

static void end_record(struct lockstep_ring_ticket ticket, int code) {
  if (!ticket.valid) return;
  lockstep_ring_ended(&shim.ring, ticket,
                      code == SHIM_OK ? LOCKSTEP_RECORD_COMPLETED : LOCKSTEP_RECORD_ERROR, 0,
                      now_ns());
}

static void wait_in(struct shim_call* call, const struct shim_comm* comm, bool transfers) {
  for (int i = 0; i < call->wait_count; ++i) {
    if (call->waits[i].seat == comm->seat && call->waits[i].transfers == transfers) return;
  }
  if (comm->seat < 0 || call->wait_count == SHIM_SEATS_AT_HAND) return;
  const struct shim_waiting waiting = {comm->seat, transfers};
  call->waits[call->wait_count++] = waiting;
  lockstep_ring_add_waiters(&shim.ring, comm->seat, transfers, 1);
}

static void end_waits(struct shim_call* call) {
  for (int i = 0; i < call->wait_count; ++i)
    lockstep_ring_add_waiters(&shim.ring, call->waits[i].seat, call->waits[i].transfers, -1);
}

static void keep_request(struct shim_call* call, struct lockstep_ring_ticket ticket,
                         struct shim_start* start, bool is_transfer, bool from_anybody) {
  const struct shim_request request = {
      .handle = stored_at(call, call->function->request, shim.mpi.request_f2c),
      .comm = call->comm,
      .ticket = ticket,
      .start = start,
      .is_transfer = is_transfer,
      .from_anybody = from_anybody};
  if (request.handle == shim.mpi.request_null) {
    end_record(ticket, SHIM_OK);
    free(start);
    return;
  }
  pthread_mutex_lock(&lock);
  shim_add_request(&request);
  pthread_mutex_unlock(&lock);
}

/* Of a request of which nothing was kept, since memory or MPI failed: it ends here, as seen. */
static void end_or_keep(struct shim_call* call, int code, bool is_transfer, bool from_anybody) {
  if (call->function->request == 0 || code != SHIM_OK) {
    end_record(call->ticket, code);
  } else {
    keep_request(call, call->ticket, NULL, is_transfer, from_anybody);
  }
}

/* ---------------------------------------------------------------------------------- collectives */

static bool is_in_place(const struct shim_call* call, int place) {
  const shim_word buffer = call->arguments[place];
  return call->is_fortran ? buffer == shim.mpi.fortran_in_place : buffer == shim.mpi.in_place;
}

static void describe_data(const struct shim_call* call, int size, struct shim_start* start) {
  const struct shim_function* const function = call->function;
  int count = function->count, type = function->type;
  if (function->in_place != 0 && is_in_place(call, function->in_place)) {
    count = function->other_count;
    type = function->other_type;
  }
  uint64_t given = count != 0 ? (uint64_t)int_at(call, count) : 0;
  if (function->counts != 0) {
    const int* const counts = pointer_at(call, function->counts);
    for (int i = 0; i < size; ++i) given += (uint64_t)counts[i];
  }
  if (type == 0) return;
  const struct shim_elements elements =
      shim_elements_of(&shim.mpi, handle_at(call, type, shim.mpi.type_f2c));
  start->dtype = elements.dtype;
  start->count = given * elements.count;
}

static void begin_collective_of(struct shim_call* call, struct shim_comm* comm, uint64_t seq) {
  const struct shim_function* const function = call->function;
  struct shim_start start = {
      .kind = function->kind, .peer = -1, .own_count = function->own_counts, .function = function};
  describe_data(call, comm->size, &start);
  if (function->reduction != 0)
    start.reduction = shim_reduction(handle_at(call, function->reduction, shim.mpi.op_f2c));
  if (function->root != 0) start.peer = int_at(call, function->root);
  call->comm = comm;
  call->ticket = record(&start, comm, seq, call->caller);
  if (function->request == 0) wait_in(call, comm, false);
  call->is_recorded = true;
}

static void begin_collective(struct shim_call* call) {
  const shim_word handle = comm_at(call, call->function->comm);
  pthread_mutex_lock(&lock);
  struct shim_comm* const comm = shim_find_comm(handle);
  const uint64_t seq = comm != NULL ? ++comm->seq : 0;
  if (comm != NULL && call->function->role == SHIM_MAKE_COMM) call->making = shim_next_making(comm);
  pthread_mutex_unlock(&lock);
  if (comm != NULL) begin_collective_of(call, comm, seq);
}

static void end_making(struct shim_call* call, uint32_t making) {
  const shim_word handle = stored_at(call, call->function->made, shim.mpi.comm_f2c);
  if (handle == shim.mpi.comm_null) return;
  struct shim_comm* const made =
      shim_describe(&shim.mpi, handle, call->comm, making, call->function->name);
  if (made == NULL) return;
  pthread_mutex_lock(&lock);
  shim_add_comm(&shim.ring, shim.epoch, made);
  pthread_mutex_unlock(&lock);
}

/* Who is not to be a member does not come here: it is no collective of the parent. */
static void begin_making_of_some(struct shim_call* call) {
  pthread_mutex_lock(&lock);
  call->comm = shim_find_comm(comm_at(call, call->function->comm));
  pthread_mutex_unlock(&lock);
  call->is_recorded = call->comm != NULL;
}

static void begin_freeing(struct shim_call* call) {
  const shim_word handle = stored_at(call, call->function->comm, shim.mpi.comm_f2c);
  pthread_mutex_lock(&lock);
  struct shim_comm* const comm = shim_find_comm(handle);
  if (comm != NULL && comm != shim.world) shim_drop_comm(&shim.ring, comm);
  pthread_mutex_unlock(&lock);
}

static void begin_init(struct shim_call* call) {
  if (shim.world != NULL) return;
  shim.world = shim_make_world(&shim.ring, shim.epoch, shim.rank, shim.size);
  if (shim.world != NULL) begin_collective_of(call, shim.world, ++shim.world->seq);
}

static void end_init(struct shim_call* call, int code) {
  int rank = -1, size = -1;
  end_record(call->ticket, code);
  if (code != SHIM_OK) return;
  if (shim.mpi.Comm_rank(shim.mpi.comm_world, &rank) == SHIM_OK &&
      shim.mpi.Comm_size(shim.mpi.comm_world, &size) == SHIM_OK && rank == shim.rank &&
      size == shim.size) {
    pthread_mutex_lock(&lock);
    shim_open_world(&shim.mpi, &shim.ring, shim.epoch, shim.world);
    pthread_mutex_unlock(&lock);
    return;
  }
  char text[160];
  snprintf(text, sizeof text,
           "MPI calls it rank %d of %d, and the agent rank %d of %d; is it another MPI's mpirun?",
           rank, size, shim.rank, shim.size);
  lockstep_ring_leave_seat(&shim.ring, shim.world->seat);
  set_state(say(OFF, text, ""));
}

/* As an op of the world, so that others' calls after this rank's last are seen to differ. */
static void begin_finalize(struct shim_call* call) {
  if (shim.world == NULL) return;
  pthread_mutex_lock(&lock);
  const uint64_t seq = ++shim.world->seq;
  pthread_mutex_unlock(&lock);
  begin_collective_of(call, shim.world, seq);
}

static void begin_abort(struct shim_call* call) {
  struct shim_start start = {.peer = -1, .function = call->function};
  if (shim.world == NULL) return;
  /* No number of the group's: nobody else need call it. */
  const struct lockstep_ring_ticket ticket = record(&start, shim.world, 0, call->caller);
  lockstep_ring_ended(&shim.ring, ticket, LOCKSTEP_RECORD_ABORTED, 0, now_ns());
}

/* ------------------------------------------------------------------------------------ transfers */

static struct shim_start transfer_of(const struct shim_call* call, uint8_t kind, int count,
                                     int type, int peer) {
  const int given = int_at(call, peer);
  struct shim_start start = {
      .kind = kind,
      .peer = given == shim.mpi.any_source && kind == SHIM_RECV_KIND ? -1 : given,
      .function = call->function};
  if (count == 0) return start;
  const struct shim_elements elements =
      shim_elements_of(&shim.mpi, handle_at(call, type, shim.mpi.type_f2c));
  start.dtype = elements.dtype;
  start.count = (uint64_t)int_at(call, count) * elements.count;
  return start;
}

static uint64_t next_of(struct shim_comm* comm, const struct shim_start* start) {
  return start->kind == SHIM_SEND_KIND ? shim_next_sent(comm, start->peer)
                                       : shim_next_received(comm, start->peer);
}

static struct lockstep_ring_ticket begin_transfer(struct shim_call* call,
                                                  const struct shim_start* start) {
  const bool probes = call->function->role == SHIM_PROBE;
  pthread_mutex_lock(&lock);
  const uint64_t seq = probes ? shim_awaited(call->comm, start->peer) : next_of(call->comm, start);
  pthread_mutex_unlock(&lock);
  const struct lockstep_ring_ticket ticket = record(start, call->comm, seq, call->caller);
  if (call->function->request == 0) wait_in(call, call->comm, true);
  return ticket;
}

/* Whether the other end is a rank: of MPI_PROC_NULL nothing is to be told. */
static bool has_peer(const struct shim_call* call, int place) {
  return int_at(call, place) != shim.mpi.proc_null;
}

static bool find_comm_of(struct shim_call* call) {
  pthread_mutex_lock(&lock);
  call->comm = shim_find_comm(comm_at(call, call->function->comm));
  pthread_mutex_unlock(&lock);
  return call->comm != NULL;
}

/* So that the sender can be read from a status that the program does not want. */
static void want_status(struct shim_call* call, int place) {
  if (!call->is_fortran && call->arguments[place] == shim.mpi.status_ignore)
    call->arguments[place] = (shim_word)call->statuses_at_hand;
}

static void begin_send_or_recv(struct shim_call* call) {
  const struct shim_function* const function = call->function;
  if (!has_peer(call, function->peer) || !find_comm_of(call)) return;
  const bool sends = function->role == SHIM_SEND || function->role == SHIM_PERSISTENT_SEND;
  struct shim_start start = transfer_of(call, sends ? SHIM_SEND_KIND : SHIM_RECV_KIND,
                                        function->count, function->type, function->peer);
  call->is_recorded = true;
  if (function->role == SHIM_PERSISTENT_SEND || function->role == SHIM_PERSISTENT_RECV) {
    call->start = malloc(sizeof start);
    if (call->start != NULL) *call->start = start;
    return;
  }
  if (start.peer < 0 && function->status != 0) want_status(call, function->status);
  call->ticket = begin_transfer(call, &start);
}

/* A receive from anybody has got a message of that one, which later receives of it come after. */
static void count_sender(struct shim_comm* comm, const void* status) {
  int source = -1;
  memcpy(&source, (const char*)status + shim.mpi.status_source, sizeof source);
  if (source < 0) return;
  pthread_mutex_lock(&lock);
  (void)shim_next_received(comm, source);
  pthread_mutex_unlock(&lock);
}

static bool is_from_anybody(const struct shim_call* call) {
  const enum shim_role role = call->function->role;
  return (role == SHIM_RECV || role == SHIM_PERSISTENT_RECV) &&
         int_at(call, call->function->peer) == shim.mpi.any_source;
}

static void end_send_or_recv(struct shim_call* call, int code) {
  const bool from_anybody = is_from_anybody(call);
  if (from_anybody && call->function->status != 0 && code == SHIM_OK && !call->is_fortran)
    count_sender(call->comm, pointer_at(call, call->function->status));
  end_or_keep(call, code, true, from_anybody);
}

static void end_persistent(struct shim_call* call, int code) {
  const struct lockstep_ring_ticket none = {0, false};
  if (code == SHIM_OK && call->start != NULL) {
    keep_request(call, none, call->start, true, is_from_anybody(call));
  } else {
    free(call->start);
  }
}

static void begin_send_recv(struct shim_call* call) {
  const struct shim_function* const function = call->function;
  if (!find_comm_of(call)) return;
  call->is_recorded = true;
  if (has_peer(call, function->peer)) {
    const struct shim_start start =
        transfer_of(call, SHIM_SEND_KIND, function->count, function->type, function->peer);
    call->ticket = begin_transfer(call, &start);
  }
  if (has_peer(call, function->recv_peer)) {
    const struct shim_start start = transfer_of(call, SHIM_RECV_KIND, function->recv_count,
                                                function->recv_type, function->recv_peer);
    if (start.peer < 0) want_status(call, function->status);
    call->second_ticket = begin_transfer(call, &start);
  }
}

static void end_send_recv(struct shim_call* call, int code) {
  end_record(call->ticket, code);
  end_record(call->second_ticket, code);
  if (call->second_ticket.valid && code == SHIM_OK && !call->is_fortran &&
      int_at(call, call->function->recv_peer) == shim.mpi.any_source)
    count_sender(call->comm, pointer_at(call, call->function->status));
}

static void begin_match(struct shim_call* call) {
  if (!has_peer(call, call->function->peer) || !find_comm_of(call)) return;
  call->is_recorded = true;
  want_status(call, call->function->status);
}

static void end_match(struct shim_call* call, int code) {
  if (code != SHIM_OK || *(const int*)pointer_at(call, call->function->flag) == 0) return;
  const struct shim_start start = transfer_of(call, SHIM_RECV_KIND, 0, 0, call->function->peer);
  pthread_mutex_lock(&lock);
  const uint64_t seq = next_of(call->comm, &start);
  pthread_mutex_unlock(&lock);
  end_record(record(&start, call->comm, seq, call->caller), code);
  if (start.peer < 0 && !call->is_fortran)
    count_sender(call->comm, pointer_at(call, call->function->status));
}

/* ------------------------------------------------------------------------------------- requests */

static bool save_handles(struct shim_call* call) {
  const struct shim_function* const function = call->function;
  const int count = function->request_count != 0 ? int_at(call, function->request_count) : 1;
  call->request_count = count > 0 ? (size_t)count : 0;
  call->saved = call->request_count <= SHIM_REQUESTS_AT_HAND
                    ? call->saved_at_hand
                    : malloc(call->request_count * sizeof *call->saved);
  if (call->saved == NULL) return false;
  for (size_t i = 0; i < call->request_count; ++i) {
    const uint64_t stored = raw_at(call, function->requests, i);
    call->saved[i].stored = stored;
    call->saved[i].handle =
        call->is_fortran ? shim.mpi.request_f2c((int)stored) : (shim_word)stored;
  }
  return true;
}

/* Of receives from anybody, whose senders only the statuses tell. */
static void want_statuses(struct shim_call* call) {
  const int place = call->function->statuses;
  if (place == 0 || call->is_fortran || call->arguments[place] != shim.mpi.status_ignore) return;
  if (call->request_count <= SHIM_REQUESTS_AT_HAND) {
    call->arguments[place] = (shim_word)call->statuses_at_hand;
    return;
  }
  call->own_statuses = calloc(call->request_count, shim.mpi.status_bytes);
  if (call->own_statuses != NULL) call->arguments[place] = (shim_word)call->own_statuses;
}

static void begin_completion(struct shim_call* call) {
  call->own_statuses = NULL;
  if (!save_handles(call)) return;
  call->is_recorded = true;
  bool from_anybody = false;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < call->request_count; ++i) {
    const struct shim_request* const request = shim_find_request(call->saved[i].handle);
    if (request == NULL) continue;
    from_anybody = from_anybody || request->from_anybody;
    if (call->function->role == SHIM_WAIT) wait_in(call, request->comm, request->is_transfer);
  }
  pthread_mutex_unlock(&lock);
  if (from_anybody) want_statuses(call);
}

/* Where the status of request `i` is; NULL: it is not told. */
static const char* status_of(const struct shim_call* call, size_t i, size_t order) {
  const struct shim_function* const function = call->function;
  if (function->statuses == 0 || call->is_fortran ||
      call->arguments[function->statuses] == shim.mpi.status_ignore)
    return NULL;
  const size_t place = function->indices != 0 ? order : function->index != 0 ? 0 : i;
  return (const char*)pointer_at(call, function->statuses) + place * shim.mpi.status_bytes;
}

/* Whether a persistent request, whose handle stays, is over; `order`: its place among those. */
static bool is_named_over(const struct shim_call* call, size_t i, size_t* order) {
  const struct shim_function* const function = call->function;
  const int base = call->is_fortran ? 1 : 0;
  if (function->flag != 0 && *(const int*)pointer_at(call, function->flag) == 0) return false;
  if (function->index != 0) return *(const int*)pointer_at(call, function->index) == (int)i + base;
  if (function->indices == 0) return true;
  const int count = *(const int*)pointer_at(call, function->index_count);
  const int* const indices = pointer_at(call, function->indices);
  for (int k = 0; k < count; ++k) {
    *order = (size_t)k;
    if (indices[k] == (int)i + base) return true;
  }
  return false;
}

/* How request `i` ended where the call as a whole ended with `code`. */
static int code_of(const struct shim_call* call, size_t i, int code) {
  const struct shim_function* const function = call->function;
  if (code == SHIM_OK || function->request_count == 0 || function->index != 0 ||
      function->indices != 0)
    return code;
  const char* const status = status_of(call, i, 0);
  if (status != NULL) memcpy(&code, status + shim.mpi.status_error, sizeof code);
  return code;
}

static void end_request(struct shim_call* call, size_t i, int code) {
  const bool is_gone = raw_at(call, call->function->requests, i) != call->saved[i].stored;
  size_t order = 0;
  const bool is_named = code == SHIM_OK && is_named_over(call, i, &order);
  if (!is_gone && !is_named) return;
  struct shim_request* const request = shim_find_request(call->saved[i].handle);
  if (request == NULL || (!is_gone && request->start == NULL)) return;
  const char* const status = is_named ? status_of(call, i, order) : NULL;
  if (request->from_anybody && request->ticket.valid && status != NULL) {
    int source = -1;
    memcpy(&source, status + shim.mpi.status_source, sizeof source);
    if (source >= 0) (void)shim_next_received(request->comm, source);
  }
  end_record(request->ticket, code_of(call, i, code));
  request->ticket.valid = false;
  if (is_gone) shim_remove_request(request);
}

static void free_saved(struct shim_call* call) {
  if (call->saved != call->saved_at_hand) free(call->saved);
}

static void end_completion(struct shim_call* call, int code) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < call->request_count; ++i) end_request(call, i, code);
  pthread_mutex_unlock(&lock);
  free(call->own_statuses);
  free_saved(call);
}

static void begin_start(struct shim_call* call) {
  if (!save_handles(call)) return;
  for (size_t i = 0; i < call->request_count; ++i) {
    pthread_mutex_lock(&lock);
    struct shim_request* const request = shim_find_request(call->saved[i].handle);
    if (request != NULL && request->start != NULL) {
      const uint64_t seq = next_of(request->comm, request->start);
      request->ticket = record(request->start, request->comm, seq, call->caller);
    }
    pthread_mutex_unlock(&lock);
  }
  free_saved(call);
}

/* What becomes of it nobody is told any more. */
static void begin_letting_go(struct shim_call* call) {
  if (!save_handles(call)) return;
  pthread_mutex_lock(&lock);
  struct shim_request* const request = shim_find_request(call->saved[0].handle);
  if (request != NULL) {
    end_record(request->ticket, SHIM_OK);
    shim_remove_request(request);
  }
  pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------------------------------- calls */

void shim_begin(struct shim_call* call) {
  thread.is_inside = true;
  if (thread.fortran_caller != NULL) call->caller = thread.fortran_caller;
  call->is_recorded = false;
  call->wait_count = 0;
  call->ticket.valid = call->second_ticket.valid = false;
  switch (call->function->role) {
    case SHIM_INIT: begin_init(call); break;
    case SHIM_FINALIZE: begin_finalize(call); break;
    case SHIM_ABORT: begin_abort(call); break;
    case SHIM_COLLECTIVE:
    case SHIM_MAKE_COMM: begin_collective(call); break;
    case SHIM_MAKE_COMM_OF_SOME: begin_making_of_some(call); break;
    case SHIM_FREE_COMM: begin_freeing(call); break;
    case SHIM_SEND:
    case SHIM_RECV:
    case SHIM_PROBE:
    case SHIM_PERSISTENT_SEND:
    case SHIM_PERSISTENT_RECV: begin_send_or_recv(call); break;
    case SHIM_SEND_RECV: begin_send_recv(call); break;
    case SHIM_TRY_MATCH: begin_match(call); break;
    case SHIM_START: begin_start(call); break;
    case SHIM_WAIT:
    case SHIM_TEST: begin_completion(call); break;
    case SHIM_FREE_REQUEST: begin_letting_go(call); break;
    case SHIM_FREE_TYPE:
      shim_forget_type(stored_at(call, call->function->type, shim.mpi.type_f2c));
      break;
  }
}

static void end_recorded(struct shim_call* call, int code) {
  switch (call->function->role) {
    case SHIM_INIT: end_init(call, code); break;
    case SHIM_COLLECTIVE: end_or_keep(call, code, false, false); break;
    case SHIM_MAKE_COMM:
      end_record(call->ticket, code);
      if (code == SHIM_OK) end_making(call, call->making);
      break;
    case SHIM_MAKE_COMM_OF_SOME:
      if (code == SHIM_OK) end_making(call, UINT32_MAX);
      break;
    case SHIM_SEND:
    case SHIM_RECV: end_send_or_recv(call, code); break;
    case SHIM_PERSISTENT_SEND:
    case SHIM_PERSISTENT_RECV: end_persistent(call, code); break;
    case SHIM_SEND_RECV: end_send_recv(call, code); break;
    case SHIM_TRY_MATCH: end_match(call, code); break;
    case SHIM_WAIT:
    case SHIM_TEST: end_completion(call, code); break;
    case SHIM_FINALIZE:
    case SHIM_PROBE: end_record(call->ticket, code); break;
    case SHIM_ABORT:
    case SHIM_FREE_COMM:
    case SHIM_START:
    case SHIM_FREE_REQUEST:
    case SHIM_FREE_TYPE: break;
  }
}

void shim_end(struct shim_call* call, int code) {
  end_waits(call);
  if (call->is_recorded) end_recorded(call, code);
  thread.is_inside = false;
}

void shim_end_fortran(struct shim_call* call, int code_place) {
  shim_end(call, int_at(call, code_place));
}
