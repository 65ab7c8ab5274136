// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_THREAD_ANNOTATIONS_H_
#define LOCKSTEP_RUNTIME_BASE_THREAD_ANNOTATIONS_H_

/// Clang's thread-safety attributes; checked under --config=clang, nothing under GCC.
#if defined(__clang__)
#define LOCKSTEP_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define LOCKSTEP_THREAD_ATTRIBUTE(x)
#endif

#define CAPABILITY(name) LOCKSTEP_THREAD_ATTRIBUTE(capability(name))
#define GUARDED_BY(x) LOCKSTEP_THREAD_ATTRIBUTE(guarded_by(x))
#define REQUIRES(x) LOCKSTEP_THREAD_ATTRIBUTE(requires_capability(x))
#define ASSERT_CAPABILITY(x) LOCKSTEP_THREAD_ATTRIBUTE(assert_capability(x))
#define NO_THREAD_SAFETY_ANALYSIS LOCKSTEP_THREAD_ATTRIBUTE(no_thread_safety_analysis)

#endif  // LOCKSTEP_RUNTIME_BASE_THREAD_ANNOTATIONS_H_
