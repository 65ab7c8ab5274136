// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// old_kernel COMMAND [ARGUMENTS...]: runs the command as if the kernel had none of the newer
// process calls, nor those that reach into another process's memory. For
//   bazel test --run_under=//tests/tools:old_kernel --test_tag_filters=old-kernel //...
// They answer ENOSYS, as on an old kernel, or with OLD_KERNEL_ERRNO=EPERM what some containers'
// seccomp profiles make of them. clone3 answers ENOSYS in both: glibc falls back on that alone, so
// real profiles do the same. Everything below it runs under no_new_privs: set-user-id programs
// (sudo, ping) gain nothing.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

// "If it is this call, answer with this errno; else go on with the next pair."
#define REFUSE(call, error)                          \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((error) & SECCOMP_RET_DATA))

static int RefuseNewerCalls(unsigned error) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      REFUSE(SYS_clone3, ENOSYS),
      REFUSE(SYS_pidfd_open, error),
      REFUSE(SYS_pidfd_send_signal, error),
      REFUSE(SYS_pidfd_getfd, error),
      REFUSE(SYS_close_range, error),
      REFUSE(SYS_memfd_create, error),
      REFUSE(SYS_process_vm_readv, error),
      REFUSE(SYS_process_vm_writev, error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: old_kernel COMMAND [ARGUMENTS...]\n");
    return 2;
  }
  const char* name = getenv("OLD_KERNEL_ERRNO");
  const unsigned error = name != NULL && strcmp(name, "EPERM") == 0 ? EPERM : ENOSYS;
  if (RefuseNewerCalls(error) != 0) {
    perror("old_kernel: cannot set the seccomp filter");
    return 3;
  }
  execvp(argv[1], argv + 1);
  fprintf(stderr, "old_kernel: cannot run %s: %s\n", argv[1], strerror(errno));
  return 127;
}
