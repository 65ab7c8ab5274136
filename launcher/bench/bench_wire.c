// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/bench_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int lockstep_bench_read(int fd, void* data, size_t bytes) {
  char* to = data;
  while (bytes > 0) {
    const ssize_t got = read(fd, to, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    to += got;
    bytes -= (size_t)got;
  }
  return 0;
}

int lockstep_bench_write(int fd, const void* data, size_t bytes) {
  const char* from = data;
  while (bytes > 0) {
    const ssize_t sent = send(fd, from, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return -1;
    from += sent;
    bytes -= (size_t)sent;
  }
  return 0;
}

union descriptor_control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

int lockstep_bench_write_with_fd(int socket, const void* data, size_t bytes, int fd) {
  union descriptor_control control;
  memset(&control, 0, sizeof control);
  struct iovec part = {.iov_base = (void*)(uintptr_t)data, .iov_len = bytes};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent <= 0) return -1;
  return lockstep_bench_write(socket, (const char*)data + sent, bytes - (size_t)sent);
}

int lockstep_bench_read_with_fd(int socket, void* data, size_t bytes, int* fd) {
  union descriptor_control control;
  struct iovec part = {.iov_base = data, .iov_len = bytes};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t got;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return -1;
  const struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_type != SCM_RIGHTS) return -1;
  memcpy(fd, CMSG_DATA(header), sizeof *fd);
  return lockstep_bench_read(socket, (char*)data + got, bytes - (size_t)got);
}
