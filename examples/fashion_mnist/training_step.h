// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_EXAMPLES_FASHION_MNIST_TRAINING_STEP_H_
#define LOCKSTEP_EXAMPLES_FASHION_MNIST_TRAINING_STEP_H_

#include <memory>

#include "collectives/group.h"
#include "runtime/base/result.h"

namespace lockstep::examples {

/// The training step of this example, over 64 random pictures, which take as long as others: for
/// whoever measures it. One rank's, confined to its thread; LibTorch uses no other.
class TrainingStep {
 public:
  /// `group` outlives it. Errors: as DistributedDataParallel::Create.
  static base::Result<std::unique_ptr<TrainingStep>> Create(collectives::Group& group);
  ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// Forward, backward with the mean of all ranks' gradients, the optimizer, and the sum of what
  /// ranks tell each other. Errors: of the group.
  base::Status Run();

 private:
  struct Parts;
  explicit TrainingStep(collectives::Group& group);

  collectives::Group& group_;
  const std::unique_ptr<Parts> parts_;
};

}  // namespace lockstep::examples

#endif  // LOCKSTEP_EXAMPLES_FASHION_MNIST_TRAINING_STEP_H_
