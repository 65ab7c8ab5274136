// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/configuration_document.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using google::protobuf::FileDescriptorSet;
using ::testing::HasSubstr;

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

FileDescriptorSet Sources() {
  FileDescriptorSet sources;
  EXPECT_TRUE(sources.ParseFromString(Contents("runtime/proto/job_descriptor.pb")));
  return sources;
}

TEST(ConfigurationDocumentTest, TheFileInDocsIsFresh) {
  ASSERT_OK_AND_ASSIGN(const std::string document, ConfigurationDocument(Sources()));

  // Not EXPECT_EQ: the difference would be pages long.
  EXPECT_TRUE(document == Contents("docs/configuration.md"))
      << "docs/configuration.md is stale; renew it with: tools/generate_docs";
}

TEST(ConfigurationDocumentTest, FieldsHaveTheirDefaultRangeAndReader) {
  ASSERT_OK_AND_ASSIGN(const std::string document, ConfigurationDocument(Sources()));

  EXPECT_THAT(
      document,
      HasSubstr(
          "| `maxRestarts` | integer | `0` | 0 to 10000 | Restarts that the whole job may use"));
  EXPECT_THAT(document, HasSubstr("| agent (elastic) |"));
  EXPECT_THAT(document,
              HasSubstr("| `--max-restarts N` | `LOCKSTEP_MAX_RESTARTS` `PET_MAX_RESTARTS` | "
                        "`spec.restart.maxRestarts` |"));
  EXPECT_THAT(document, HasSubstr("- `PythonModule`: python -u -m"));
}

TEST(ConfigurationDocumentTest, AFieldWithoutACommentIsRefused) {
  FileDescriptorSet sources = Sources();
  sources.mutable_file(0)->clear_source_code_info();

  EXPECT_THAT(ConfigurationDocument(sources),
              StatusIs(Code::kFailedPrecondition, HasSubstr("TrainingJob has no comment")));
  EXPECT_THAT(ConfigurationDocument({}), StatusIs(Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::launcher
