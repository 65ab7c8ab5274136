// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/event_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "collectives/nccl/shim/launch.h"
#include "collectives/shim/old_glibc.h"
#include "runtime/attach/fork_guard.h"

enum {
  NAP_MS = 10,
  IDLE_NAP_MS = 40,
  STREAMS_MAX = 64, /* that it finds standing in one look */
  EXIT_WAIT_MS = 1000
};

/* The process ends: CUDA must not be called any more; and the thread is in a call of it. Both are
 * read after the other was written. */
static bool ends, is_calling;

static void nap(long milliseconds) {
  const struct timespec length = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&length, NULL);
}

/* False: the process ends, and nothing may be called. Else until end_calling. */
static bool begin_calling(void) {
  __atomic_store_n(&is_calling, true, __ATOMIC_SEQ_CST);
  return !__atomic_load_n(&ends, __ATOMIC_SEQ_CST);
}

static void end_calling(void) { __atomic_store_n(&is_calling, false, __ATOMIC_SEQ_CST); }

/* With the lock held, which it lets go meanwhile. False: the process ends. */
static bool ask(struct shim_launch* launch, enum shim_passed* passed) {
  const shim_event event = launch->is_reached ? launch->after : launch->before;
  const shim_context context = launch->comm->context;
  launch->is_asked = true;
  pthread_mutex_unlock(&shim_lock);
  const bool may = begin_calling();
  if (may) {
    shim_enter_context(context);
    *passed = shim_ask_event(event);
  }
  end_calling();
  pthread_mutex_lock(&shim_lock);
  launch->is_asked = false;
  return may;
}

/* As it does. */
static bool free_outside(struct shim_launch* launch) {
  pthread_mutex_unlock(&shim_lock);
  const bool may = begin_calling();
  if (may) shim_free_launch(launch);
  end_calling();
  pthread_mutex_lock(&shim_lock);
  return may;
}

/* With the lock held. Whether what has passed leaves something to ask for. */
static bool take_note(struct shim_launch* launch, enum shim_passed passed) {
  if (launch->is_over || passed == SHIM_NOT_PASSED) return false;
  if (passed == SHIM_PASSED && !launch->is_reached) {
    shim_reach(launch, shim_now_ns());
    return !launch->is_held;
  }
  launch->is_broken = passed == SHIM_BROKEN;
  launch->is_over = true;
  shim_end_ops(launch, launch->is_broken ? LOCKSTEP_RECORD_ERROR : LOCKSTEP_RECORD_COMPLETED);
  return false;
}

/* Streams that have not passed a launch, in one look: what is behind that need not be asked for. */
struct standing {
  struct {
    shim_context context;
    shim_stream stream;
  } streams[STREAMS_MAX];
  int count;
};

static bool stands(const struct standing* standing, const struct shim_launch* launch) {
  for (int i = 0; i < standing->count; ++i) {
    if (standing->streams[i].stream == launch->stream &&
        standing->streams[i].context == launch->comm->context)
      return true;
  }
  return false;
}

static void add_standing(struct standing* standing, const struct shim_launch* launch) {
  standing->streams[standing->count].stream = launch->stream;
  standing->streams[standing->count++].context = launch->comm->context;
}

/* With the lock held. False: the process ends. */
static bool ask_as_far_as_it_is(struct shim_launch* launch) {
  bool goes_on = true;
  bool asks = !launch->is_over && !(launch->is_reached && launch->is_held);
  while (goes_on && asks) {
    enum shim_passed passed = SHIM_NOT_PASSED;
    goes_on = ask(launch, &passed);
    asks = goes_on && take_note(launch, passed);
  }
  return goes_on;
}

/* False: the process ends. */
static bool look(bool* idle) {
  struct standing standing = {.count = 0};
  bool goes_on = true;
  pthread_mutex_lock(&shim_lock);
  struct shim_launch** place = shim_first_launch();
  *idle = *place == NULL;
  while (goes_on && *place != NULL && standing.count < STREAMS_MAX) {
    struct shim_launch* const launch = *place;
    const bool is_behind = !launch->is_over && stands(&standing, launch);
    if (!is_behind) goes_on = ask_as_far_as_it_is(launch);
    if (goes_on && launch->is_over && !launch->is_marked) {
      struct shim_launch* const left = shim_take_out(place);
      if (left != NULL) goes_on = free_outside(left);
    } else {
      if (!is_behind) add_standing(&standing, launch);
      place = &launch->next;
    }
  }
  pthread_mutex_unlock(&shim_lock);
  return goes_on;
}

static void* run(void* nothing) {
  (void)nothing;
  prctl(PR_SET_NAME, "lockstep_nccl");
  shim_keep_out_of_graphs();
  bool idle = false;
  while (look(&idle)) nap(idle ? IDLE_NAP_MS : NAP_MS);
  return NULL;
}

/* Before CUDA's own handlers, which were registered earlier. */
static void end_asking(void) {
  if (!lockstep_fork_guard_is_owner(&shim_ring.guard)) return; /* a child has no such thread */
  __atomic_store_n(&ends, true, __ATOMIC_SEQ_CST);
  for (int waited = 0; waited < EXIT_WAIT_MS && __atomic_load_n(&is_calling, __ATOMIC_SEQ_CST);
       ++waited)
    nap(1);
}

/* With all signals blocked, which are the program's business. */
static bool make_thread(void) {
  if (&pthread_create == NULL || atexit(&end_asking) != 0) return false;
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, before;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const bool made = pthread_create(&thread, &attributes, &run, NULL) == 0;
  sigprocmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return made;
}

bool shim_ask_in_background(void) {
  enum { UNTRIED, MADE, CANNOT };
  static int state;
  static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
  int known = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
  if (known == UNTRIED) {
    pthread_mutex_lock(&making);
    known = __atomic_load_n(&state, __ATOMIC_RELAXED);
    if (known == UNTRIED) {
      known = make_thread() ? MADE : CANNOT;
      __atomic_store_n(&state, known, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&making);
  }
  return known == MADE;
}
