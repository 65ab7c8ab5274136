// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/gpu_looks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "launcher/diagnosis/stacks/stack_text.h"
#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kFakeNvml[] = "launcher/diagnosis/stacks/libfake_nvml.so";

class GpuLooksTest : public ::testing::Test {
 protected:
  /// What is told of a process that computes on the second GPU, with that fault.
  std::vector<std::string> Told(const std::string& fault, pid_t user = getpid()) {
    setenv("FAKE_NVML", fault.c_str(), 1);
    setenv("FAKE_NVML_PID", std::to_string(user).c_str(), 1);
    return ToldBy(kFakeNvml);
  }
  static std::vector<std::string> ToldBy(const std::string& library) {
    std::vector<proto::ProcessStacks> seen(1);
    seen[0].set_pid(getpid());
    AddGpus(seen, library);
    std::vector<std::string> texts;
    for (const proto::GpuState& gpu : seen[0].gpus()) texts.push_back(GpuText(gpu));
    return texts;
  }
};

TEST_F(GpuLooksTest, TheGpuOfAProcessIsTold) {
  EXPECT_THAT(Told(""), ElementsAre("gpu 1 (Fake? GPU): 100 % busy, no faults"));
}

TEST_F(GpuLooksTest, WhoComputesOnNoneIsToldOfNone) { EXPECT_THAT(Told("", 1), IsEmpty()); }

TEST_F(GpuLooksTest, FaultsAreToldWhoeverUsesIt) {
  EXPECT_THAT(Told("ecc", 1),
              ElementsAre("gpu 1 (Fake? GPU), which the process is not seen to use: 100 % busy, 3 "
                          "memory errors that could not be corrected, since the driver was "
                          "loaded"));
}

TEST_F(GpuLooksTest, EachFaultHasItsWords) {
  EXPECT_THAT(Told("lost"), ElementsAre("gpu 1, which the process is not seen to use: it is lost: "
                                        "it has fallen off its bus (see dmesg)"));
  EXPECT_THAT(Told("reset"),
              ElementsAre("gpu 1 (Fake? GPU): it needs a reset before it computes again"));
  EXPECT_THAT(Told("rows"),
              ElementsAre("gpu 1 (Fake? GPU): 100 % busy, rows of its memory could not be "
                          "replaced; rows of its memory are to be replaced: it needs a reset"));
  EXPECT_THAT(Told("pages"),
              ElementsAre("gpu 1 (Fake? GPU): 100 % busy, pages of its memory are to be retired: "
                          "the driver must be loaded anew"));
  EXPECT_THAT(Told("hot"), ElementsAre("gpu 1 (Fake? GPU): 100 % busy, the hardware slows it down "
                                       "since it is hot (94 C)"));
}

TEST_F(GpuLooksTest, WithoutADriverOrALibraryNothingIsTold) {
  EXPECT_THAT(Told("no-driver"), IsEmpty());
  EXPECT_THAT(ToldBy("./no_such_nvml.so"), IsEmpty());
  EXPECT_THAT(ToldBy("/proc/self/exe"), IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
