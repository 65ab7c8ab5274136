// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/redact.h"

#include <gtest/gtest.h>

#include "runtime/proto/testing/equals_proto.h"

namespace lockstep::proto {
namespace {

using testing::EqualsProto;

TEST(RedactTest, KnowsSecretsByTheirName) {
  for (const char* name :
       {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "WANDB_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS", "LOCKSTEP_COOKIE", "BASIC_AUTH", "SSH_PASSPHRASE"}) {
    EXPECT_TRUE(IsSecretName(name)) << name;
  }
  for (const char* name : {"PATH", "HOME", "OMP_NUM_THREADS", "RANK", ""})
    EXPECT_FALSE(IsSecretName(name)) << name;
}

TEST(RedactTest, TheCopyHidesValuesOfSecretVariablesAndNothingElse) {
  TrainingJob job;
  job.mutable_metadata()->set_name("token");
  auto* secret = job.mutable_spec()->mutable_program()->add_env();
  secret->set_name("HF_TOKEN");
  secret->set_value("hf_12345");
  auto* plain = job.mutable_spec()->mutable_program()->add_env();
  plain->set_name("LR");
  plain->set_value("0.1");

  EXPECT_THAT(RedactedCopy(job), EqualsProto(R"pb(
                metadata { name: "token" }
                spec {
                  program {
                    env { name: "HF_TOKEN" value: "<redacted>" }
                    env { name: "LR" value: "0.1" }
                  }
                })pb"));
  EXPECT_EQ(secret->value(), "hf_12345") << "the original stays";
  EXPECT_THAT(RedactedCopy(TrainingJob()), EqualsProto(""));
}

}  // namespace
}  // namespace lockstep::proto
