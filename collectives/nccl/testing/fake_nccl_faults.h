// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_FAULTS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_FAULTS_H_

namespace lockstep::collectives::testing {

/// What is to go wrong in the fake NCCL: on the ranks, of their communicators of at least two, that
/// the script names. Scripts are words "fault=rank" or "fault=rank:after"; `after` launches of that
/// rank go well first.
///
///   init_never       its init stays in progress for ever
///   in_progress      a launch stays in progress for ever
///   async_error      a launch never ends, and the communicator reports result 6, a remote error
///   call_blocks      a launch does not return
///   abort_blocks     its abort does not return
///   abort_crashes    its abort ends the process when the other ranks do not abort within 2 s
///   wrong_result     the first byte of each output is turned over
struct FakeFault {
  int rank = -1;  // -1 = of none
  int after = 0;
};
struct FakeFaults {
  FakeFault init_never, in_progress, async_error, call_blocks, abort_blocks, abort_crashes,
      wrong_result;
};

/// What the fake exports beside NCCL's symbols: the script from now on (before, it is that of the
/// environment's FAKE_NCCL_FAULTS), and the objects of CUDA and communicators that exist.
inline constexpr char kFakeScriptSymbol[] = "lockstep_fake_nccl_script";
inline constexpr char kFakeObjectsSymbol[] = "lockstep_fake_nccl_objects";
using FakeScriptFunction = void (*)(const char*);
using FakeObjectsFunction = int (*)();

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_FAULTS_H_
