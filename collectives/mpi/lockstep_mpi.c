// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/lockstep_mpi.h"

#include <dlfcn.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(value) TEXT_OF(value)
#define TEXT_OF(value) #value

#if defined(OMPI_MAJOR_VERSION)
#define FAMILY "Open MPI"
#define BUILT_AGAINST \
  FAMILY " " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION) "." TEXT(OMPI_RELEASE_VERSION)
#define SONAME "libmpi.so.40"
#elif defined(MPICH_VERSION)
#define FAMILY "MPICH"
#define BUILT_AGAINST FAMILY " " MPICH_VERSION
#define SONAME "libmpich.so.12"
#else
#error "collectives/mpi knows Open MPI and MPICH; this mpi.h is of neither"
#endif

struct lockstep_mpi_comm {
  MPI_Comm comm;
  int size;
};

struct lockstep_mpi_reducer {
  MPI_Datatype type;
  lockstep_mpi_combine combine;
  const void* context;
  struct lockstep_mpi_reducer* next;  // of all
};

// MPI reads the arrays until the request has ended.
struct lockstep_mpi_request {
  MPI_Request request;
  int arrays[];  // in_counts, in_offsets, out_counts, out_offsets
};

// ULFM, as Open MPI 5 has it (its mpi-ext.h), found by symbol: handles and constants of 5 are those
// of 4.1 (pointers, the same library name, numbers of classes that 4.1 leaves free), so that the
// one object that was compiled against 4.1 serves both. MPICH has functions of these names, too,
// but no launcher that lets the others live.
#define ULFM_ERR_PROC_FAILED 75
#define ULFM_ERR_REVOKED 77
#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION >= 5
_Static_assert(MPI_ERR_PROC_FAILED == ULFM_ERR_PROC_FAILED && MPI_ERR_REVOKED == ULFM_ERR_REVOKED,
               "the classes of Open MPI 5");
#endif
static struct {
  bool on;
  int (*revoke)(MPI_Comm comm);
  int (*create_from_group)(MPI_Group group, const char* name, MPI_Info info,
                           MPI_Errhandler errhandler, MPI_Comm* made);
} ulfm;

static char error_text[MPI_MAX_ERROR_STRING + 64];
static int reducer_key = MPI_KEYVAL_INVALID;
static MPI_Op combine_op = MPI_OP_NULL;
static struct lockstep_mpi_reducer* reducers;

static enum lockstep_mpi_result Fail(const char* what) {
  snprintf(error_text, sizeof error_text, "%s", what);
  return LOCKSTEP_MPI_FAILED;
}

static enum lockstep_mpi_result ResultOf(int code) {
  if (code == MPI_SUCCESS) return LOCKSTEP_MPI_OK;
  int length = 0, class = MPI_ERR_OTHER;
  if (MPI_Error_string(code, error_text, &length) != MPI_SUCCESS)
    snprintf(error_text, sizeof error_text, "MPI error %d", code);
  MPI_Error_class(code, &class);
  if (class == MPI_ERR_TRUNCATE) return LOCKSTEP_MPI_TRUNCATED;
  if (class == MPI_ERR_NO_MEM) return LOCKSTEP_MPI_NO_MEMORY;
  if (ulfm.on && class >= ULFM_ERR_PROC_FAILED && class <= ULFM_ERR_REVOKED)
    return LOCKSTEP_MPI_PEER_FAILED;
  return LOCKSTEP_MPI_FAILED;
}

static enum lockstep_mpi_result NoMemory(void) {
  Fail("malloc failed");
  return LOCKSTEP_MPI_NO_MEMORY;
}

static void LibraryVersion(char* text, size_t bytes) {
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(version, &length);
  version[strcspn(version, ",\n")] = '\0';  // the rest tells how it was built
  for (char* at = version; *at != '\0'; ++at) *at = *at == '\t' ? ' ' : *at;
  snprintf(text, bytes, "%s", version);
}

// MPI gives a function of its user nothing to remember by but the datatype: that carries it.
static void Combine(void* in, void* inout, int* count, MPI_Datatype* type) {
  struct lockstep_mpi_reducer* reducer = NULL;
  int found = 0;
  MPI_Type_get_attr(*type, reducer_key, (void*)&reducer, &found);
  if (!found) abort();  // only types of CreateReducer come here
  reducer->combine(reducer->context, in, inout, (size_t)*count);
}

static void FindUlfm(void) {
#if defined(OMPI_MAJOR_VERSION)
  // What mpirun's --with-ft sets, on the way of MCA parameters, once MPI has started.
  const bool* const enabled = dlsym(RTLD_DEFAULT, "ompi_ftmpi_enabled");
  *(void**)&ulfm.revoke = dlsym(RTLD_DEFAULT, "MPIX_Comm_revoke");
  *(void**)&ulfm.create_from_group = dlsym(RTLD_DEFAULT, "MPI_Comm_create_from_group");
  ulfm.on = enabled != NULL && *enabled && ulfm.revoke != NULL && ulfm.create_from_group != NULL;
#endif
}

static enum lockstep_mpi_result Init(int* world_rank, int* world_size) {
  int flag = 0, provided = MPI_THREAD_SINGLE;
  MPI_Initialized(&flag);
  if (flag) return Fail("the program has called MPI_Init itself");
  // To MPI the thread that comes here is the main one, whichever it is to the program.
  int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
  if (code != MPI_SUCCESS) return ResultOf(code);
  if (provided < MPI_THREAD_FUNNELED) return Fail("it does not know programs with threads");
  FindUlfm();
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, world_rank);
  MPI_Comm_size(MPI_COMM_WORLD, world_size);
  code = MPI_Type_create_keyval(MPI_TYPE_NULL_COPY_FN, MPI_TYPE_NULL_DELETE_FN, &reducer_key, NULL);
  if (code == MPI_SUCCESS) code = MPI_Op_create(&Combine, 1, &combine_op);
  return ResultOf(code);
}

// Types that are left make MPICH print that they leaked.
static enum lockstep_mpi_result Finalize(void) {
  while (reducers != NULL) {
    struct lockstep_mpi_reducer* const reducer = reducers;
    reducers = reducer->next;
    MPI_Type_free(&reducer->type);
    free(reducer);
  }
  MPI_Op_free(&combine_op);
  MPI_Type_free_keyval(&reducer_key);
  return ResultOf(MPI_Finalize());
}

static enum lockstep_mpi_result Wrap(MPI_Comm made, struct lockstep_mpi_comm** comm) {
  *comm = malloc(sizeof **comm);
  if (*comm == NULL) return NoMemory();
  (*comm)->comm = made;
  MPI_Comm_size(made, &(*comm)->size);
  return ResultOf(MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN));
}

static enum lockstep_mpi_result DuplicateWorld(struct lockstep_mpi_comm** comm) {
  MPI_Comm made;
  const int code = MPI_Comm_dup(MPI_COMM_WORLD, &made);
  return code == MPI_SUCCESS ? Wrap(made, comm) : ResultOf(code);
}

// Of a communicator in which somebody has died Open MPI 5.0.11 makes no other, even where that
// leaves the dead out; so it is made of nothing but its members (7 ms in place of 10 us).
static int MakeComm(MPI_Group members, uint64_t group, uint32_t epoch, MPI_Comm* made) {
  if (!ulfm.on) return MPI_Comm_create_group(MPI_COMM_WORLD, members, (int)(group & 0x3fff), made);
  char name[64];
  snprintf(name, sizeof name, "lockstep.%016llx.%u", (unsigned long long)group, epoch);
  return ulfm.create_from_group(members, name, MPI_INFO_NULL, MPI_ERRORS_RETURN, made);
}

static bool IsWorld(const int* world_ranks, int count) {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (int i = 0; i < count; ++i) {
    if (world_ranks[i] != i) return false;
  }
  return count == size;
}

// Errors return in it as they do in the world.
static enum lockstep_mpi_result DuplicateWorldLater(int size, struct lockstep_mpi_comm** comm,
                                                    struct lockstep_mpi_request** request) {
  *comm = malloc(sizeof **comm);
  *request = malloc(sizeof **request);
  int code = MPI_ERR_NO_MEM;
  if (*comm != NULL && *request != NULL) {
    **comm = (struct lockstep_mpi_comm){.comm = MPI_COMM_NULL, .size = size};
    code = MPI_Comm_idup(MPI_COMM_WORLD, &(*comm)->comm, &(*request)->request);
  }
  if (code == MPI_SUCCESS) return LOCKSTEP_MPI_OK;
  free(*comm);
  free(*request);
  *comm = NULL;
  *request = NULL;
  return ResultOf(code);
}

static enum lockstep_mpi_result CreateComm(const int* world_ranks, int count, uint64_t group,
                                           uint32_t epoch, struct lockstep_mpi_comm** comm,
                                           struct lockstep_mpi_request** request) {
  if (!ulfm.on && IsWorld(world_ranks, count)) return DuplicateWorldLater(count, comm, request);
  *request = NULL;
  MPI_Group world, members;
  MPI_Comm made = MPI_COMM_NULL;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  int code = MPI_Group_incl(world, count, world_ranks, &members);
  MPI_Group_free(&world);
  if (code != MPI_SUCCESS) return ResultOf(code);
  code = MakeComm(members, group, epoch, &made);
  MPI_Group_free(&members);
  return code == MPI_SUCCESS ? Wrap(made, comm) : ResultOf(code);
}

static void FreeComm(struct lockstep_mpi_comm* comm) {
  if (comm->comm != MPI_COMM_NULL) MPI_Comm_free(&comm->comm);
  free(comm);
}

static enum lockstep_mpi_result CreateReducer(lockstep_mpi_combine combine, const void* context,
                                              int element_bytes,
                                              struct lockstep_mpi_reducer** made) {
  struct lockstep_mpi_reducer* const reducer = malloc(sizeof *reducer);
  if (reducer == NULL) return NoMemory();
  reducer->combine = combine;
  reducer->context = context;
  int code = MPI_Type_contiguous(element_bytes, MPI_BYTE, &reducer->type);
  if (code == MPI_SUCCESS) code = MPI_Type_commit(&reducer->type);
  if (code == MPI_SUCCESS) code = MPI_Type_set_attr(reducer->type, reducer_key, reducer);
  reducer->next = reducers;
  reducers = *made = reducer;
  return ResultOf(code);
}

static const int* Copied(const int* from, int* to, int size) {
  if (from == NULL) return NULL;
  memcpy(to, from, (size_t)size * sizeof *to);
  return to;
}

static int Post(const struct lockstep_mpi_call* call, struct lockstep_mpi_request* posted) {
  const MPI_Comm comm = call->comm->comm;
  const int size = call->comm->size;
  const MPI_Datatype type = call->reducer != NULL ? call->reducer->type : MPI_BYTE;
  const int* const in_counts = Copied(call->in_counts, posted->arrays, size);
  const int* const in_offsets = Copied(call->in_offsets, posted->arrays + size, size);
  const int* const out_counts = Copied(call->out_counts, posted->arrays + 2 * size, size);
  const int* const out_offsets = Copied(call->out_offsets, posted->arrays + 3 * size, size);
  MPI_Request* const request = &posted->request;
  int self = 0;
  switch (call->kind) {
    case LOCKSTEP_MPI_BARRIER: return MPI_Ibarrier(comm, request);
    case LOCKSTEP_MPI_ALL_REDUCE:
      return MPI_Iallreduce(MPI_IN_PLACE, call->out, call->count, type, combine_op, comm, request);
    case LOCKSTEP_MPI_REDUCE:
      MPI_Comm_rank(comm, &self);
      return MPI_Ireduce(self == call->peer ? MPI_IN_PLACE : call->out, call->out, call->count,
                         type, combine_op, call->peer, comm, request);
    case LOCKSTEP_MPI_BROADCAST:
      return MPI_Ibcast(call->out, call->count, type, call->peer, comm, request);
    case LOCKSTEP_MPI_ALL_GATHER:
      return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, call->out, out_counts, out_offsets,
                             type, comm, request);
    case LOCKSTEP_MPI_GATHER:
      return MPI_Igatherv(call->in, call->count, type, call->out, out_counts, out_offsets, type,
                          call->peer, comm, request);
    case LOCKSTEP_MPI_SCATTER:
      return MPI_Iscatterv(call->in, in_counts, in_offsets, type, call->out, call->count, type,
                           call->peer, comm, request);
    case LOCKSTEP_MPI_ALL_TO_ALL:
      return MPI_Ialltoallv(call->in, in_counts, in_offsets, type, call->out, out_counts,
                            out_offsets, type, comm, request);
    case LOCKSTEP_MPI_REDUCE_SCATTER:
      return MPI_Ireduce_scatter(call->in, call->out, out_counts, type, combine_op, comm, request);
    case LOCKSTEP_MPI_SEND:
      return MPI_Isend(call->in, call->count, type, call->peer, call->tag, comm, request);
    case LOCKSTEP_MPI_RECV:
      return MPI_Irecv(call->out, call->count, type,
                       call->peer == LOCKSTEP_MPI_ANY_PEER ? MPI_ANY_SOURCE : call->peer, call->tag,
                       comm, request);
  }
  return MPI_ERR_ARG;
}

static enum lockstep_mpi_result Start(const struct lockstep_mpi_call* call,
                                      struct lockstep_mpi_request** request) {
  const size_t arrays = 4 * (size_t)call->comm->size * sizeof(int);
  struct lockstep_mpi_request* const posted = malloc(sizeof *posted + arrays);
  if (posted == NULL) return NoMemory();
  const int code = Post(call, posted);
  if (code != MPI_SUCCESS) {
    free(posted);
    return ResultOf(code);
  }
  *request = posted;
  return LOCKSTEP_MPI_OK;
}

static enum lockstep_mpi_result Test(struct lockstep_mpi_request* request, int* ended) {
  const int code = MPI_Test(&request->request, ended, MPI_STATUS_IGNORE);
  if (code != MPI_SUCCESS) *ended = 1;
  if (*ended) free(request);
  return ResultOf(code);
}

static void Cancel(struct lockstep_mpi_request* request) { MPI_Cancel(&request->request); }

static int Outlives(void) { return ulfm.on; }

static void Revoke(struct lockstep_mpi_comm* comm) { ulfm.revoke(comm->comm); }

static const char* LastError(void) { return error_text; }

const struct lockstep_mpi_api* lockstep_mpi_get_api(void) {
  static const struct lockstep_mpi_api api = {
      .version = LOCKSTEP_MPI_VERSION,
      .family = FAMILY,
      .built_against = BUILT_AGAINST,
      .soname = SONAME,
      .version_text = &LibraryVersion,
      .init = &Init,
      .finalize = &Finalize,
      .duplicate_world = &DuplicateWorld,
      .create_comm = &CreateComm,
      .free_comm = &FreeComm,
      .create_reducer = &CreateReducer,
      .start = &Start,
      .test = &Test,
      .cancel = &Cancel,
      .outlives = &Outlives,
      .revoke = &Revoke,
      .last_error = &LastError,
  };
  return &api;
}
