// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/recording.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/mpi/shim/datatypes.h"
#include "collectives/mpi/shim/records.h"
#include "collectives/mpi/shim/requests.h"
#include "collectives/mpi/shim/transfers.h"
#include "collectives/shim/old_glibc.h"
#include "collectives/shim/recorded_values.h"
#include "runtime/attach/fork_guard.h"

enum state {
  UNDECIDED,
  OFF,
  ASIDE, /* another tool is between the program and MPI */
  ON
};

static pthread_mutex_t deciding = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local struct {
  bool is_inside; /* a wrapped call: what MPI calls within is its own business */
  const void* fortran_caller;
} thread;

static void set_state(enum state state) {
  __atomic_store_n(&shim_process.state, (int)state, __ATOMIC_RELEASE);
}

static enum state get_state(void) {
  return (enum state)__atomic_load_n(&shim_process.state, __ATOMIC_ACQUIRE);
}

/* ----------------------------------------------------------------- whether this process records */

static const char* file_name(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static enum state say(enum state state, const char* what, const char* of) {
  shim_say_unrecorded("MPI", what, of);
  return state;
}

/* The object of a tool that comes between this one and MPI; NULL: none does. */
static const char* other_tool(const void* caller) {
  const char* const next = shim_object_of(shim_find("MPI_Init", caller));
  const char* const mpi = shim_object_of(shim_find("PMPI_Init", caller));
  return next != NULL && mpi != NULL && strcmp(next, mpi) != 0 ? next : NULL;
}

static enum state decide(const void* caller, bool is_init) {
  if (!shim_has_agent()) return OFF;
  const char* const tool = other_tool(caller);
  if (tool != NULL) return say(ASIDE, "there is another tool over MPI: ", tool);
  const char* const object = shim_object_of(caller);
  /* Groups of Lockstep's own over MPI make records of their own. */
  if (object != NULL && strncmp(file_name(object), "liblockstep_", 12) == 0) return OFF;
  if (!shim_meet(caller, &shim_process.mpi)) {
    const char* const mpi = shim_object_of(shim_find("PMPI_Init", caller));
    return say(OFF,
               "neither Open MPI nor one with MPICH's handles: ", mpi != NULL ? mpi : "no MPI");
  }
  if (!is_init) {
    int begun = 0;
    if (shim_process.mpi.Initialized(&begun) != SHIM_OK || begun == 0) return UNDECIDED;
    return say(ASIDE, "MPI_Init did not come by here; another tool over MPI does?", "");
  }
  return shim_attach("MPI", &shim_process.ring, &shim_process.place) ? ON : OFF;
}

bool shim_records(const void* caller, bool is_init) {
  if (get_state() == UNDECIDED) {
    pthread_mutex_lock(&deciding);
    if (get_state() == UNDECIDED) set_state(decide(caller, is_init));
    pthread_mutex_unlock(&deciding);
  }
  return get_state() == ON && !thread.is_inside &&
         lockstep_fork_guard_is_owner(&shim_process.ring.guard);
}

void* shim_real(const char* name, const char* profiling_name, const void* caller) {
  void* const found = shim_find(get_state() == ASIDE ? name : profiling_name, caller);
  if (found != NULL) return found;
  dprintf(STDERR_FILENO, "lockstep: no %s in this process, which calls it\n", profiling_name);
  abort();
}

bool shim_records_fortran(void) { return shim_process.mpi.family == SHIM_OPEN_MPI; }

void shim_set_fortran_caller(const void* caller) { thread.fortran_caller = caller; }

/* ---------------------------------------------------------------------------------- collectives */

static bool is_in_place(const struct shim_call* call, int place) {
  const shim_word buffer = call->arguments[place];
  return call->is_fortran ? buffer == shim_process.mpi.fortran_in_place
                          : buffer == shim_process.mpi.in_place;
}

static void describe_data(const struct shim_call* call, int size, struct shim_start* start) {
  const struct shim_function* const function = call->function;
  int count = function->count, type = function->type;
  if (function->in_place != 0 && is_in_place(call, function->in_place)) {
    count = function->other_count;
    type = function->other_type;
  }
  uint64_t given = count != 0 ? (uint64_t)shim_int_at(call, count) : 0;
  if (function->counts != 0) {
    const int* const counts = shim_pointer_at(call, function->counts);
    for (int i = 0; i < size; ++i) given += (uint64_t)counts[i];
  }
  if (type == 0) return;
  const struct shim_elements elements =
      shim_elements_of(&shim_process.mpi, shim_handle_at(call, type, shim_process.mpi.type_f2c));
  start->dtype = elements.dtype;
  start->count = given * elements.count;
}

static void begin_collective_of(struct shim_call* call, struct shim_comm* comm, uint64_t seq) {
  const struct shim_function* const function = call->function;
  struct shim_start start = {
      .kind = function->kind, .peer = -1, .own_count = function->own_counts, .function = function};
  describe_data(call, comm->size, &start);
  if (function->reduction != 0)
    start.reduction =
        shim_reduction(shim_handle_at(call, function->reduction, shim_process.mpi.op_f2c));
  if (function->root != 0) start.peer = shim_int_at(call, function->root);
  call->comm = comm;
  call->ticket = shim_record(&start, comm, seq, call->caller);
  if (function->request == 0) shim_wait_in(call, comm, false);
  call->is_recorded = true;
}

static void begin_collective(struct shim_call* call) {
  const shim_word handle = shim_comm_at(call, call->function->comm);
  pthread_mutex_lock(&shim_lock);
  struct shim_comm* const comm = shim_find_comm(handle);
  const uint64_t seq = comm != NULL ? ++comm->seq : 0;
  if (comm != NULL && call->function->role == SHIM_MAKE_COMM) call->making = shim_next_making(comm);
  pthread_mutex_unlock(&shim_lock);
  if (comm != NULL) begin_collective_of(call, comm, seq);
}

static void end_making(struct shim_call* call, uint32_t making) {
  const shim_word handle = shim_stored_at(call, call->function->made, shim_process.mpi.comm_f2c);
  if (handle == shim_process.mpi.comm_null) return;
  struct shim_comm* const made =
      shim_describe(&shim_process.mpi, handle, call->comm, making, call->function->name);
  if (made == NULL) return;
  pthread_mutex_lock(&shim_lock);
  shim_add_comm(&shim_process.ring, shim_process.place.epoch, made);
  pthread_mutex_unlock(&shim_lock);
}

/* Who is not to be a member does not come here: it is no collective of the parent. */
static void begin_making_of_some(struct shim_call* call) {
  pthread_mutex_lock(&shim_lock);
  call->comm = shim_find_comm(shim_comm_at(call, call->function->comm));
  pthread_mutex_unlock(&shim_lock);
  call->is_recorded = call->comm != NULL;
}

static void begin_freeing(struct shim_call* call) {
  const shim_word handle = shim_stored_at(call, call->function->comm, shim_process.mpi.comm_f2c);
  pthread_mutex_lock(&shim_lock);
  struct shim_comm* const comm = shim_find_comm(handle);
  if (comm != NULL && comm != shim_process.world) shim_drop_comm(&shim_process.ring, comm);
  pthread_mutex_unlock(&shim_lock);
}

static void begin_init(struct shim_call* call) {
  if (shim_process.world != NULL) return;
  shim_process.world =
      shim_make_world(&shim_process.ring, shim_process.place.epoch, shim_process.place.rank, shim_process.place.size);
  if (shim_process.world != NULL)
    begin_collective_of(call, shim_process.world, ++shim_process.world->seq);
}

static void end_init(struct shim_call* call, int code) {
  int rank = -1, size = -1;
  shim_end_record(call->ticket, code);
  if (code != SHIM_OK) return;
  if (shim_process.mpi.Comm_rank(shim_process.mpi.comm_world, &rank) == SHIM_OK &&
      shim_process.mpi.Comm_size(shim_process.mpi.comm_world, &size) == SHIM_OK &&
      rank == shim_process.place.rank && size == shim_process.place.size) {
    pthread_mutex_lock(&shim_lock);
    shim_open_world(&shim_process.mpi, &shim_process.ring, shim_process.place.epoch, shim_process.world);
    pthread_mutex_unlock(&shim_lock);
    return;
  }
  char text[160];
  snprintf(text, sizeof text,
           "MPI calls it rank %d of %d, and the agent rank %d of %d; is it another MPI's mpirun?",
           rank, size, shim_process.place.rank, shim_process.place.size);
  lockstep_ring_leave_seat(&shim_process.ring, shim_process.world->seat);
  set_state(say(OFF, text, ""));
}

/* As an op of the world, so that others' calls after this rank's last are seen to differ. */
static void begin_finalize(struct shim_call* call) {
  if (shim_process.world == NULL) return;
  pthread_mutex_lock(&shim_lock);
  const uint64_t seq = ++shim_process.world->seq;
  pthread_mutex_unlock(&shim_lock);
  begin_collective_of(call, shim_process.world, seq);
}

static void begin_abort(struct shim_call* call) {
  struct shim_start start = {.peer = -1, .function = call->function};
  if (shim_process.world == NULL) return;
  /* No number of the group's: nobody else need call it. */
  const struct lockstep_ring_ticket ticket =
      shim_record(&start, shim_process.world, 0, call->caller);
  lockstep_ring_ended(&shim_process.ring, ticket, LOCKSTEP_RECORD_ABORTED, 0, shim_now_ns());
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
    case SHIM_PERSISTENT_RECV: shim_begin_send_or_recv(call); break;
    case SHIM_SEND_RECV: shim_begin_send_recv(call); break;
    case SHIM_TRY_MATCH: shim_begin_match(call); break;
    case SHIM_START: shim_begin_start(call); break;
    case SHIM_WAIT:
    case SHIM_TEST: shim_begin_completion(call); break;
    case SHIM_FREE_REQUEST: shim_begin_letting_go(call); break;
    case SHIM_FREE_TYPE:
      shim_forget_type(shim_stored_at(call, call->function->type, shim_process.mpi.type_f2c));
      break;
  }
}

static void end_recorded(struct shim_call* call, int code) {
  switch (call->function->role) {
    case SHIM_INIT: end_init(call, code); break;
    case SHIM_COLLECTIVE: shim_end_or_keep(call, code, false, false); break;
    case SHIM_MAKE_COMM:
      shim_end_record(call->ticket, code);
      if (code == SHIM_OK) end_making(call, call->making);
      break;
    case SHIM_MAKE_COMM_OF_SOME:
      if (code == SHIM_OK) end_making(call, UINT32_MAX);
      break;
    case SHIM_SEND:
    case SHIM_RECV: shim_end_send_or_recv(call, code); break;
    case SHIM_PERSISTENT_SEND:
    case SHIM_PERSISTENT_RECV: shim_end_persistent(call, code); break;
    case SHIM_SEND_RECV: shim_end_send_recv(call, code); break;
    case SHIM_TRY_MATCH: shim_end_match(call, code); break;
    case SHIM_WAIT:
    case SHIM_TEST: shim_end_completion(call, code); break;
    case SHIM_FINALIZE:
    case SHIM_PROBE: shim_end_record(call->ticket, code); break;
    case SHIM_ABORT:
    case SHIM_FREE_COMM:
    case SHIM_START:
    case SHIM_FREE_REQUEST:
    case SHIM_FREE_TYPE: break;
  }
}

void shim_end(struct shim_call* call, int code) {
  shim_end_waits(call);
  if (call->is_recorded) end_recorded(call, code);
  thread.is_inside = false;
}

void shim_end_fortran(struct shim_call* call, int code_place) {
  shim_end(call, shim_int_at(call, code_place));
}
