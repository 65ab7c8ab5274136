// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_EXAMPLES_FASHION_MNIST_NET_H_
#define LOCKSTEP_EXAMPLES_FASHION_MNIST_NET_H_

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace lockstep::examples {

/// A small CNN for pictures of 28 x 28: ten scores each. One thread at a time, as LibTorch has it.
struct Net : torch::nn::Module {
  Net() {
    conv1 = register_module(
        "conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 16, 5).stride(2).padding(2)));
    conv2 = register_module(
        "conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(16, 32, 3).stride(2).padding(1)));
    fc1 = register_module("fc1", torch::nn::Linear(32 * 7 * 7, 64));
    fc2 = register_module("fc2", torch::nn::Linear(64, 10));
  }
  torch::Tensor forward(const torch::Tensor& images) {
    const torch::Tensor features = torch::relu(conv2(torch::relu(conv1(images))));
    return fc2(torch::relu(fc1(features.flatten(1))));
  }
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
};

}  // namespace lockstep::examples

#endif  // LOCKSTEP_EXAMPLES_FASHION_MNIST_NET_H_
