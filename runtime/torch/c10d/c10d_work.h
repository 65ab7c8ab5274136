// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_C10D_WORK_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_C10D_WORK_H_

#include <torch/csrc/distributed/c10d/Work.hpp>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collectives/c/lockstep_collectives.h"
#include "runtime/torch/c10d/tensor_call.h"

namespace lockstep::train {

/// The ops of one call of c10d in flight, and their tensors. Thread-safe. A caller that waits
/// executes the op on its own thread; asked for a future (DDP does), the group's own thread
/// executes it. When the caller drops it before the end, the tensors live on until then, and
/// results are put in place all the same.
class C10dWork final : public c10d::Work {
 public:
  /// `works`: at least one, in the order of the calls; taken over.
  C10dWork(int rank, c10d::OpType type, const char* title, std::vector<lockstep_work*> works,
           TensorCall call);
  ~C10dWork() override;

  bool isCompleted() override;
  bool isSuccess() const override;
  std::exception_ptr exception() const override;
  std::vector<at::Tensor> result() override;
  void synchronize() override { wait(); }
  /// Throws std::runtime_error with the Status's text: which op, where, which ranks are to blame.
  bool wait(std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) override;
  void abort() override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;

 private:
  struct Ops;

  /// Once all have ended: their first error, and results in place. An error of putting them there
  /// is the call's.
  void Finish() const;
  static void EndFuture(void* context, const lockstep_status* status);

  std::unique_ptr<Ops> ops_;                        // set until the end
  c10::intrusive_ptr<c10::ivalue::Future> future_;  // null until asked for; guarded by mutex_
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_C10D_WORK_H_
