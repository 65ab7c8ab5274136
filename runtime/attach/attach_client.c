// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "runtime/attach/attach_client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "runtime/attach/agent_tracer.h"
#include "runtime/attach/fork_guard.h"

struct lockstep_attach {
  struct lockstep_fork_guard guard;
  pthread_mutex_t mutex;
  int socket;
  uint16_t version; /* of the protocol, agreed upon in the first exchange; 0 before */
  uint64_t last_request_id;
  struct lockstep_attach_notices notices;
  bool closed; /* by the agent */
};

static int fail(struct lockstep_attach_error* error, int result, int system_error,
                const char* format, ...) __attribute__((format(printf, 4, 5)));

static int fail(struct lockstep_attach_error* error, int result, int system_error,
                const char* format, ...) {
  error->system_error = system_error;
  error->status = 0;
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  if (system_error != 0 && length >= 0 && (size_t)length < sizeof error->text) {
    char reason[128];
    snprintf(error->text + length, sizeof error->text - (size_t)length, ": %s",
             strerror_r(system_error, reason, sizeof reason));
  }
  return result;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* OK when ready, TIMEOUT when `deadline_ms` passes. */
static int await(int socket, short events, int64_t deadline_ms) {
  for (;;) {
    const int64_t left = deadline_ms - now_ms();
    struct pollfd waited = {.fd = socket, .events = events, .revents = 0};
    const int ready = poll(&waited, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
    if (ready > 0) return LOCKSTEP_ATTACH_OK;
    if (ready < 0 && errno != EINTR) return LOCKSTEP_ATTACH_SYSTEM;
    if (ready == 0 && left <= 0) return LOCKSTEP_ATTACH_TIMEOUT;
  }
}

/* A message goes whole or not at all (SOCK_SEQPACKET): there are no short writes. */
static int send_now(int socket, const void* message, size_t length) {
  for (;;) {
    if (send(socket, message, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return LOCKSTEP_ATTACH_OK;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) return LOCKSTEP_ATTACH_BUSY;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return LOCKSTEP_ATTACH_CLOSED;
    return LOCKSTEP_ATTACH_SYSTEM;
  }
}

static int send_by(int socket, const void* message, size_t length, int64_t deadline_ms) {
  for (;;) {
    const int result = send_now(socket, message, length);
    if (result != LOCKSTEP_ATTACH_BUSY) return result;
    const int ready = await(socket, POLLOUT, deadline_ms);
    if (ready != LOCKSTEP_ATTACH_OK) return ready;
  }
}

/* A peer that closes without having read everything makes the next receive say ECONNRESET, once and
 * before what it had sent: why it refused us, for one. */
static ssize_t receive_past_reset(int socket, struct msghdr* envelope) {
  int resets = 0;
  for (;;) {
    const ssize_t received = recvmsg(socket, envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received >= 0 || (errno != EINTR && (errno != ECONNRESET || resets++ > 0))) return received;
  }
}

/* Takes one message and the descriptor with it, if any (else *fd = -1). BUSY when nothing is
 * there. */
static int receive_now(int socket, union lockstep_attach_message* message, size_t* length,
                       int* fd) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
  struct msghdr envelope;
  memset(&envelope, 0, sizeof envelope);
  envelope.msg_iov = &part;
  envelope.msg_iovlen = 1;
  envelope.msg_control = control.bytes;
  envelope.msg_controllen = sizeof control.bytes;
  const ssize_t received = receive_past_reset(socket, &envelope);
  *fd = -1;
  if (received < 0) {
    if (errno == EAGAIN) return LOCKSTEP_ATTACH_BUSY;
    return errno == ECONNRESET ? LOCKSTEP_ATTACH_CLOSED : LOCKSTEP_ATTACH_SYSTEM;
  }
  if (received == 0) return LOCKSTEP_ATTACH_CLOSED; /* the protocol has no empty messages */
  const struct cmsghdr* const header = CMSG_FIRSTHDR(&envelope);
  if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len >= CMSG_LEN(sizeof(int))) {
    memcpy(fd, CMSG_DATA(header), sizeof(int));
  }
  *length = (size_t)received;
  if ((envelope.msg_flags & MSG_CTRUNC) != 0) {
    /* The kernel keeps a descriptor to itself when the process has no number left for it. */
    if (*fd >= 0) close(*fd);
    *fd = -1;
    errno = EMFILE;
    return LOCKSTEP_ATTACH_SYSTEM;
  }
  if ((envelope.msg_flags & MSG_TRUNC) == 0) return LOCKSTEP_ATTACH_OK;
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return LOCKSTEP_ATTACH_PROTOCOL;
}

static void take_notice(lockstep_attach* client, const union lockstep_attach_message* message) {
  switch (message->header.type) {
    case LOCKSTEP_ATTACH_STOP:
      client->notices.stop = true;
      client->notices.stop_grace_ms = message->stop.grace_ms;
      break;
    case LOCKSTEP_ATTACH_CHECKPOINT:
      client->notices.checkpoint_number = message->checkpoint.number;
      break;
    default: /* an answer that came after its question had timed out */ break;
  }
}

/* The next message, checked; notices are taken in on the way when `wanted` is something else. */
static int receive_by(lockstep_attach* client, int wanted, int64_t deadline_ms,
                      union lockstep_attach_message* message, int* fd,
                      struct lockstep_attach_error* error) {
  for (;;) {
    size_t length = 0;
    int result = receive_now(client->socket, message, &length, fd);
    if (result == LOCKSTEP_ATTACH_BUSY) {
      result = await(client->socket, POLLIN, deadline_ms);
      if (result == LOCKSTEP_ATTACH_OK) continue;
    }
    if (result == LOCKSTEP_ATTACH_TIMEOUT)
      return fail(error, result, 0, "the agent did not answer in time");
    if (result == LOCKSTEP_ATTACH_CLOSED)
      return fail(error, result, 0, "the agent closed the connection");
    if (result == LOCKSTEP_ATTACH_PROTOCOL)
      return fail(error, result, 0, "the agent's message is too long");
    if (result != LOCKSTEP_ATTACH_OK && errno == EMFILE) {
      return fail(error, result, errno,
                  "receiving a descriptor from the agent: this process has as many open as "
                  "RLIMIT_NOFILE allows (raise it: ulimit -n N)");
    }
    if (result != LOCKSTEP_ATTACH_OK) return fail(error, result, errno, "receiving from the agent");
    const char* const wrong =
        lockstep_attach_check(message, length, LOCKSTEP_ATTACH_FROM_AGENT, client->version);
    if (wrong == NULL &&
        (message->header.type == wanted || message->header.type == LOCKSTEP_ATTACH_REFUSED)) {
      return LOCKSTEP_ATTACH_OK;
    }
    if (*fd >= 0) close(*fd);
    *fd = -1;
    if (wrong != NULL)
      return fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0, "the agent's message is unusable: %s", wrong);
    take_notice(client, message);
  }
}

static int connect_to(const char* path, int* out, struct lockstep_attach_error* error) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    return fail(error, LOCKSTEP_ATTACH_USAGE, 0,
                "the agent's socket path \"%.200s\" is longer than %zu bytes", path,
                sizeof address.sun_path - 1);
  }
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(error, LOCKSTEP_ATTACH_SYSTEM, errno, "making a socket for the agent");
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) != 0) {
    const int reason = errno; /* EAGAIN: the agent's queue of callers is full: the caller retries */
    close(fd);
    return fail(error, reason == EAGAIN ? LOCKSTEP_ATTACH_BUSY : LOCKSTEP_ATTACH_SYSTEM, reason,
                "connecting to the agent at %s", path);
  }
  *out = fd;
  return LOCKSTEP_ATTACH_OK;
}

static int connect_by(const char* path, int64_t deadline_ms, int* out,
                      struct lockstep_attach_error* error) {
  for (;;) {
    const int result = connect_to(path, out, error);
    if (result != LOCKSTEP_ATTACH_BUSY) return result;
    if (now_ms() >= deadline_ms) return LOCKSTEP_ATTACH_TIMEOUT;
    poll(NULL, 0, 1);
  }
}

static int say_hello(lockstep_attach* client, const uint8_t* cookie, int64_t deadline_ms,
                     struct lockstep_attach_world* world, int* ring_fd,
                     struct lockstep_attach_error* error) {
  struct lockstep_attach_hello hello;
  memset(&hello, 0, sizeof hello);
  lockstep_attach_set_header(&hello.header, LOCKSTEP_ATTACH_HELLO, 0, sizeof hello);
  hello.lowest_version = LOCKSTEP_ATTACH_LOWEST_VERSION;
  hello.highest_version = LOCKSTEP_ATTACH_VERSION;
  memcpy(hello.cookie, cookie, sizeof hello.cookie);
  int result = send_by(client->socket, &hello, sizeof hello, deadline_ms);
  /* An agent that refused already has closed, but its REFUSED can still be read. */
  if (result != LOCKSTEP_ATTACH_OK && result != LOCKSTEP_ATTACH_CLOSED) {
    return fail(error, result, result == LOCKSTEP_ATTACH_SYSTEM ? errno : 0,
                "saying hello to the agent");
  }
  union lockstep_attach_message message;
  int fd = -1;
  result = receive_by(client, LOCKSTEP_ATTACH_WORLD, deadline_ms, &message, &fd, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  if (message.header.type == LOCKSTEP_ATTACH_REFUSED) {
    fail(error, LOCKSTEP_ATTACH_REJECTED, 0, "%s", message.refused.text);
    error->status = message.refused.status;
    if (fd >= 0) close(fd);
    return LOCKSTEP_ATTACH_REJECTED;
  }
  if (fd < 0) return fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0, "the agent sent no recorder ring");
  client->version = message.header.version;
  *world = message.world;
  *ring_fd = fd;
  return LOCKSTEP_ATTACH_OK;
}

int lockstep_attach_open(const char* path, const char* cookie, uint32_t timeout_ms,
                         lockstep_attach** out, struct lockstep_attach_world* world, int* ring_fd,
                         struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  uint8_t decoded[LOCKSTEP_ATTACH_COOKIE_BYTES];
  if (lockstep_attach_decode_cookie(cookie, decoded) != 0) {
    return fail(error, LOCKSTEP_ATTACH_USAGE, 0, "the cookie is not 64 hexadecimal digits");
  }
  int socket = -1;
  int result = connect_by(path, deadline_ms, &socket, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  lockstep_attach* const client = calloc(1, sizeof *client);
  if (client == NULL) {
    close(socket);
    return fail(error, LOCKSTEP_ATTACH_SYSTEM, ENOMEM, "making an attach client");
  }
  client->socket = socket;
  pthread_mutex_init(&client->mutex, NULL);
  lockstep_fork_guard_init(&client->guard);
  result = say_hello(client, decoded, deadline_ms, world, ring_fd, error);
  if (result != LOCKSTEP_ATTACH_OK) {
    lockstep_attach_close(client);
    return result;
  }
  lockstep_name_agent_as_tracer(client->socket);
  *out = client;
  return LOCKSTEP_ATTACH_OK;
}

void lockstep_attach_close(lockstep_attach* client) {
  if (client == NULL) return;
  close(client->socket);
  /* In a child the mutex may be held for ever by a thread that was not copied; destroying it would
   * be undefined. */
  if (lockstep_fork_guard_is_owner(&client->guard)) pthread_mutex_destroy(&client->mutex);
  lockstep_fork_guard_free(&client->guard);
  free(client);
}

static int ask_for_segment(lockstep_attach* client,
                           const struct lockstep_attach_segment_request* request,
                           int64_t deadline_ms, int* fd, struct lockstep_attach_error* error) {
  struct lockstep_attach_segment_request question = *request;
  lockstep_attach_set_header(&question.header, LOCKSTEP_ATTACH_SEGMENT_REQUEST, client->version,
                             sizeof question);
  question.request_id = ++client->last_request_id;
  question.reserved = 0;
  int result = send_by(client->socket, &question, sizeof question, deadline_ms);
  if (result != LOCKSTEP_ATTACH_OK) {
    return fail(error, result, result == LOCKSTEP_ATTACH_SYSTEM ? errno : 0,
                "asking the agent for shared memory");
  }
  union lockstep_attach_message message;
  for (;;) {
    result = receive_by(client, LOCKSTEP_ATTACH_SEGMENT, deadline_ms, &message, fd, error);
    if (result != LOCKSTEP_ATTACH_OK) return result;
    if (message.header.type == LOCKSTEP_ATTACH_SEGMENT &&
        message.segment.request_id == question.request_id)
      break;
    if (*fd >= 0) close(*fd); /* the answer to a question that was given up */
    *fd = -1;
  }
  if (message.segment.status != 0) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
    fail(error, LOCKSTEP_ATTACH_REJECTED, 0, "%s", message.segment.text);
    error->status = message.segment.status;
    return LOCKSTEP_ATTACH_REJECTED;
  }
  if (*fd < 0) return fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0, "the agent sent no shared memory");
  return LOCKSTEP_ATTACH_OK;
}

int lockstep_attach_get_segment(lockstep_attach* client,
                                const struct lockstep_attach_segment_request* request,
                                uint32_t timeout_ms, int* fd, struct lockstep_attach_error* error) {
  *fd = -1;
  if (!lockstep_fork_guard_is_owner(&client->guard)) {
    return fail(error, LOCKSTEP_ATTACH_FORKED, 0,
                "a forked child of a rank asked for shared memory");
  }
  const int64_t deadline_ms = now_ms() + timeout_ms;
  pthread_mutex_lock(&client->mutex); /* held by others for at most their own timeout */
  const int result = ask_for_segment(client, request, deadline_ms, fd, error);
  if (result == LOCKSTEP_ATTACH_CLOSED) client->closed = true;
  pthread_mutex_unlock(&client->mutex);
  return result;
}

/* ---------------------------------------------------------------- meeting other machines' ranks */

/* The mutex is the caller's to release after OK. */
static int begin_meeting(lockstep_attach* client, struct lockstep_attach_error* error) {
  if (!lockstep_fork_guard_is_owner(&client->guard)) {
    return fail(error, LOCKSTEP_ATTACH_FORKED, 0,
                "a forked child of a rank wanted to meet other ranks");
  }
  if (client->version < LOCKSTEP_ATTACH_CARDS_VERSION) {
    return fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0,
                "the agent speaks version %u of the attach protocol, and ranks of several machines "
                "meet from version %u on; use a newer lockstep",
                (unsigned)client->version, LOCKSTEP_ATTACH_CARDS_VERSION);
  }
  pthread_mutex_lock(&client->mutex);
  return LOCKSTEP_ATTACH_OK;
}

static int end_meeting(lockstep_attach* client, int result) {
  if (result == LOCKSTEP_ATTACH_CLOSED) client->closed = true;
  pthread_mutex_unlock(&client->mutex);
  return result;
}

static int say(lockstep_attach* client, const void* message, size_t length, int64_t deadline_ms,
               struct lockstep_attach_error* error) {
  const int result = send_by(client->socket, message, length, deadline_ms);
  if (result == LOCKSTEP_ATTACH_OK) return result;
  return fail(error, result, result == LOCKSTEP_ATTACH_SYSTEM ? errno : 0,
              "telling the agent of other ranks");
}

static int receive_answer(lockstep_attach* client, int wanted, int64_t deadline_ms,
                          union lockstep_attach_message* message, int* fd,
                          struct lockstep_attach_error* error) {
  const int result = receive_by(client, wanted, deadline_ms, message, fd, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  const char* text = message->refused.text;
  uint32_t status = message->refused.status;
  if (message->header.type == LOCKSTEP_ATTACH_NETWORK) {
    text = message->network.text;
    status = message->network.status;
  } else if (message->header.type == LOCKSTEP_ATTACH_CARDS) {
    text = message->cards.text;
    status = message->cards.status;
  }
  if (message->header.type == wanted && status == 0) return LOCKSTEP_ATTACH_OK;
  if (*fd >= 0) close(*fd);
  *fd = -1;
  fail(error, LOCKSTEP_ATTACH_REJECTED, 0, "%s", text);
  error->status = status;
  return LOCKSTEP_ATTACH_REJECTED;
}

int lockstep_attach_get_network(lockstep_attach* client, uint32_t timeout_ms,
                                struct lockstep_attach_network* network,
                                struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  int result = begin_meeting(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  struct lockstep_attach_network_request question;
  memset(&question, 0, sizeof question);
  lockstep_attach_set_header(&question.header, LOCKSTEP_ATTACH_NETWORK_REQUEST, client->version,
                             sizeof question);
  result = say(client, &question, sizeof question, deadline_ms, error);
  if (result != LOCKSTEP_ATTACH_OK) return end_meeting(client, result);
  union lockstep_attach_message message;
  int fd = -1;
  result = receive_answer(client, LOCKSTEP_ATTACH_NETWORK, deadline_ms, &message, &fd, error);
  if (fd >= 0) close(fd);
  if (result == LOCKSTEP_ATTACH_OK) *network = message.network;
  explicit_bzero(&message, sizeof message);
  return end_meeting(client, result);
}

int lockstep_attach_send_card(lockstep_attach* client, const struct lockstep_attach_card* card,
                              uint32_t timeout_ms, struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  const int result = begin_meeting(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  struct lockstep_attach_card message = *card;
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_CARD, client->version,
                             sizeof message);
  return end_meeting(client, say(client, &message, sizeof message, deadline_ms, error));
}

int lockstep_attach_await_cards(lockstep_attach* client, uint32_t timeout_ms, uint64_t* table_bytes,
                                int* fd, struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  *fd = -1;
  int result = begin_meeting(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  union lockstep_attach_message message;
  result = receive_answer(client, LOCKSTEP_ATTACH_CARDS, deadline_ms, &message, fd, error);
  if (result == LOCKSTEP_ATTACH_OK && *fd < 0)
    result = fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0, "the agent sent no table of cards");
  if (result == LOCKSTEP_ATTACH_OK) *table_bytes = message.cards.table_bytes;
  return end_meeting(client, result);
}

int lockstep_attach_give_up_card(lockstep_attach* client, uint32_t timeout_ms,
                                 struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  const int result = begin_meeting(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  struct lockstep_attach_give_up message;
  memset(&message, 0, sizeof message);
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_GIVE_UP, client->version,
                             sizeof message);
  return end_meeting(client, say(client, &message, sizeof message, deadline_ms, error));
}

/* --------------------------------------------------------------------------------------- rounds */

/* The mutex is the caller's to release after OK. */
static int begin_rounds(lockstep_attach* client, struct lockstep_attach_error* error) {
  if (!lockstep_fork_guard_is_owner(&client->guard)) {
    return fail(error, LOCKSTEP_ATTACH_FORKED, 0,
                "a forked child of a rank asked about the rounds of the job");
  }
  if (client->version < LOCKSTEP_ATTACH_ROUNDS_VERSION) {
    return fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0,
                "the agent speaks version %u of the attach protocol, and ranks outlive others from "
                "version %u on; use a newer lockstep",
                (unsigned)client->version, LOCKSTEP_ATTACH_ROUNDS_VERSION);
  }
  pthread_mutex_lock(&client->mutex);
  return LOCKSTEP_ATTACH_OK;
}

int lockstep_attach_follow_rounds(lockstep_attach* client, uint32_t timeout_ms,
                                  struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  const int result = begin_rounds(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  struct lockstep_attach_watch_rounds message;
  memset(&message, 0, sizeof message);
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_WATCH_ROUNDS, client->version,
                             sizeof message);
  return end_meeting(client, say(client, &message, sizeof message, deadline_ms, error));
}

int lockstep_attach_await_round(lockstep_attach* client, uint32_t timeout_ms,
                                struct lockstep_attach_round* round, int* fd,
                                struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  *fd = -1;
  int result = begin_rounds(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  union lockstep_attach_message message;
  result = receive_by(client, LOCKSTEP_ATTACH_ROUND, deadline_ms, &message, fd, error);
  if (result == LOCKSTEP_ATTACH_OK && message.header.type == LOCKSTEP_ATTACH_REFUSED) {
    result = fail(error, LOCKSTEP_ATTACH_REJECTED, 0, "%s", message.refused.text);
    error->status = message.refused.status;
  }
  if (result == LOCKSTEP_ATTACH_OK && *fd < 0)
    result = fail(error, LOCKSTEP_ATTACH_PROTOCOL, 0, "the agent sent no list of ranks");
  if (result == LOCKSTEP_ATTACH_OK) *round = message.round;
  return end_meeting(client, result);
}

int lockstep_attach_give_up_rank(lockstep_attach* client, int32_t rank, const char* why,
                                 uint32_t timeout_ms, struct lockstep_attach_error* error) {
  const int64_t deadline_ms = now_ms() + timeout_ms;
  const int result = begin_rounds(client, error);
  if (result != LOCKSTEP_ATTACH_OK) return result;
  struct lockstep_attach_exclude message;
  memset(&message, 0, sizeof message);
  lockstep_attach_set_header(&message.header, LOCKSTEP_ATTACH_EXCLUDE, client->version,
                             sizeof message);
  message.rank = rank;
  snprintf(message.why, sizeof message.why, "%s", why);
  return end_meeting(client, say(client, &message, sizeof message, deadline_ms, error));
}

void lockstep_attach_interrupt(lockstep_attach* client) {
  if (lockstep_fork_guard_is_owner(&client->guard)) shutdown(client->socket, SHUT_RDWR);
}

int lockstep_attach_send_progress(lockstep_attach* client, int64_t step) {
  if (!lockstep_fork_guard_is_owner(&client->guard)) return LOCKSTEP_ATTACH_FORKED;
  struct lockstep_attach_progress progress;
  memset(&progress, 0, sizeof progress);
  lockstep_attach_set_header(&progress.header, LOCKSTEP_ATTACH_PROGRESS, client->version,
                             sizeof progress);
  progress.step = step;
  /* Without the mutex: a message is sent whole, and its order among others does not matter. */
  const int result = send_now(client->socket, &progress, sizeof progress);
  return result == LOCKSTEP_ATTACH_SYSTEM ? LOCKSTEP_ATTACH_CLOSED : result;
}

static void drain(lockstep_attach* client) {
  while (!client->closed) {
    union lockstep_attach_message message;
    size_t length = 0;
    int fd = -1;
    const int result = receive_now(client->socket, &message, &length, &fd);
    if (result == LOCKSTEP_ATTACH_BUSY) return;
    if (fd >= 0) close(fd);
    /* The answer to a call that gave up, for whose descriptor there was no number: it is read, and
     * lost. */
    if (result == LOCKSTEP_ATTACH_SYSTEM && errno == EMFILE) continue;
    if (result != LOCKSTEP_ATTACH_OK ||
        lockstep_attach_check(&message, length, LOCKSTEP_ATTACH_FROM_AGENT, client->version) !=
            NULL ||
        message.header.type == LOCKSTEP_ATTACH_REFUSED) {
      client->closed = true;
      return;
    }
    take_notice(client, &message);
  }
}

int lockstep_attach_poll(lockstep_attach* client, struct lockstep_attach_notices* notices) {
  if (!lockstep_fork_guard_is_owner(&client->guard)) return LOCKSTEP_ATTACH_FORKED;
  if (pthread_mutex_trylock(&client->mutex) != 0) return LOCKSTEP_ATTACH_BUSY;
  drain(client);
  *notices = client->notices;
  pthread_mutex_unlock(&client->mutex);
  return LOCKSTEP_ATTACH_OK;
}
