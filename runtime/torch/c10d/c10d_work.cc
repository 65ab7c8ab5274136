// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/c10d/c10d_work.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <stdexcept>
#include <utility>

namespace lockstep::train {

/// Outlives the C10dWork when that is dropped early.
struct C10dWork::Ops {
  ~Ops() {
    for (lockstep_work* work : works) lockstep_work_free(work);
  }

  /// Once all have ended: their first error, or results in place. Throws nothing.
  void End();

  std::vector<lockstep_work*> works;  // ops of a group end in the order of their calls
  TensorCall call;

  std::once_flag finished;
  bool failed = false;  // these two once finished
  std::string error;
};

C10dWork::C10dWork(int rank, c10d::OpType type, const char* title,
                   std::vector<lockstep_work*> works, TensorCall call)
    : Work(rank, type, title), ops_(new Ops{.works = std::move(works), .call = std::move(call)}) {}

void C10dWork::Ops::End() {
  lockstep_status status;
  for (lockstep_work* work : works) {
    if (lockstep_wait(work, &status) == 0 || failed) continue;
    failed = true;
    error = status.text;
  }
  if (failed) return;
  try {  // it may be a callback of C that calls this
    call.CopyBack();
  } catch (const std::exception& exception) {
    failed = true;
    error = std::string("copying results to where the caller wants them: ") + exception.what();
  }
}

// Nobody looks at it any more, but its tensors are still read, written and waited for by others.
C10dWork::~C10dWork() {
  Ops* const ops = ops_.release();
  lockstep_on_complete(
      ops->works.back(),
      [](void* context, const lockstep_status*) {
        const std::unique_ptr<Ops> ended(static_cast<Ops*>(context));
        std::call_once(ended->finished, [&] { ended->End(); });
      },
      ops);
}

void C10dWork::Finish() const {
  std::call_once(ops_->finished, [this] {
    ops_->End();
    if (recordFunctionEndCallback_) recordFunctionEndCallback_();
  });
}

bool C10dWork::isCompleted() {
  if (lockstep_test(ops_->works.back()) == 0) return false;
  Finish();
  return true;
}

bool C10dWork::isSuccess() const {
  if (lockstep_test(ops_->works.back()) == 0) return false;
  Finish();
  return !ops_->failed;
}

std::exception_ptr C10dWork::exception() const {
  if (lockstep_test(ops_->works.back()) == 0) return nullptr;
  Finish();
  return ops_->failed ? std::make_exception_ptr(std::runtime_error(ops_->error)) : nullptr;
}

std::vector<at::Tensor> C10dWork::result() { return ops_->call.results(); }

bool C10dWork::wait(std::chrono::milliseconds timeout) {
  if (timeout.count() > 0) {
    lockstep_status status;
    lockstep_wait_for(ops_->works.back(), std::chrono::nanoseconds(timeout).count(), &status);
    if (lockstep_test(ops_->works.back()) == 0) Throw(status.text);
  }
  Finish();
  if (ops_->failed) Throw(ops_->error);
  return true;
}

void C10dWork::abort() {
  Throw("one op of the backend lockstep cannot be aborted alone; destroy the process group");
}

c10::intrusive_ptr<c10::ivalue::Future> C10dWork::getFuture() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (future_ != nullptr) return future_;
    future_ =
        c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()));
  }
  auto self = c10::intrusive_ptr<C10dWork>::unsafe_reclaim_from_nonowning(this);
  lockstep_on_complete(ops_->works.back(), &EndFuture, self.release());
  return future_;
}

void C10dWork::EndFuture(void* context, const lockstep_status*) {
  const auto self = c10::intrusive_ptr<C10dWork>::reclaim(static_cast<C10dWork*>(context));
  self->Finish();
  if (self->ops_->failed) {
    self->future_->setError(std::make_exception_ptr(std::runtime_error(self->ops_->error)));
  } else {
    self->future_->markCompleted(c10::IValue(self->ops_->call.results()));
  }
}

}  // namespace lockstep::train
