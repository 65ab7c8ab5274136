// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_RAW_SYSCALL_H_
#define LOCKSTEP_RUNTIME_PROCESS_RAW_SYSCALL_H_

/// For functions of a child that runs in its parent's memory while the parent runs on. It has its
/// parent's thread-local storage too, so it may call nothing of libc, which writes errno there
/// (syscall() does too); and a sanitizer would take its doings for the parent's.
#define LOCKSTEP_CHILD \
  __attribute__((no_sanitize("address", "thread", "undefined"), no_stack_protector))

namespace lockstep::process {

/// The instruction itself. Returns what the kernel does: -errno for a failure.
__attribute__((always_inline)) LOCKSTEP_CHILD inline long RawSyscall(long number, long a, long b,
                                                                     long c, long d, long e) {
#if defined(__x86_64__)
  long result = number;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
#error "no system call instruction is known for this processor"
#endif
}

/// The same for numbers and pointers, up to five.
template <typename A = long, typename B = long, typename C = long, typename D = long,
          typename E = long>
__attribute__((always_inline)) LOCKSTEP_CHILD inline long CallKernel(long number, A a = 0, B b = 0,
                                                                     C c = 0, D d = 0, E e = 0) {
  return RawSyscall(number, (long)a, (long)b, (long)c, (long)d, (long)e);
}

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_RAW_SYSCALL_H_
