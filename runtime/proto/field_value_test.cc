// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/field_value.h"

#include <gmock/gmock.h>

#include "runtime/proto/job.pb.h"

namespace lockstep::proto {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const FieldDescriptor& Field(const Descriptor* type, const char* name) {
  return *type->FindFieldByName(name);
}

// What `text` becomes when it is read and written again; the error otherwise.
std::string Normal(const FieldDescriptor& field, std::string_view text,
                   TextForm form = TextForm::kFree) {
  const auto value = ParseFieldValue(field, text, form);
  return value.ok() ? FormatFieldValue(field, *value) : "error: " + value.status().message();
}

TEST(FieldValueTest, Integers) {
  const FieldDescriptor& restarts = Field(Restart::descriptor(), "max_restarts");

  EXPECT_EQ(Normal(restarts, "3"), "3");
  EXPECT_EQ(Normal(restarts, "-1"), "-1") << "bounds are Validate's";
  EXPECT_THAT(Normal(restarts, "abc"), HasSubstr("no whole number; expected 0 to 10000"));
  EXPECT_THAT(Normal(restarts, "3.5"), HasSubstr("no whole number"));
  EXPECT_THAT(Normal(restarts, "010"), HasSubstr("no whole number"))
      << "octal to some YAML readers";
  EXPECT_THAT(Normal(restarts, ""), HasSubstr("no whole number"));
  EXPECT_THAT(Normal(restarts, "99999999999"), HasSubstr("must be 0 to 10000"));
  EXPECT_THAT(Normal(restarts, "99999999999999999999"), HasSubstr("must be 0 to 10000"));
  EXPECT_THAT(Normal(restarts, "3", TextForm::kQuotedYaml), HasSubstr("without quotes"));
}

TEST(FieldValueTest, QuantitiesAreWrittenAsKubernetesDoes) {
  const FieldDescriptor& cpu = Field(Resources::descriptor(), "cpu_millis");
  const FieldDescriptor& memory = Field(Resources::descriptor(), "memory_bytes");

  EXPECT_EQ(Normal(cpu, "500m"), "500m");
  EXPECT_EQ(Normal(cpu, "0.5"), "500m");
  EXPECT_EQ(Normal(cpu, "2"), "2");
  EXPECT_THAT(Normal(cpu, "0.0001"), HasSubstr("smallest unit"));
  EXPECT_EQ(std::get<int64_t>(ParseFieldValue(memory, "2Gi").value()), int64_t{2} << 30);
  EXPECT_EQ(std::get<int64_t>(ParseFieldValue(memory, "1k").value()), 1000);
  EXPECT_EQ(Normal(memory, "2048Mi"), "2Gi");
  EXPECT_EQ(Normal(memory, "1500M"), "1500M");
  for (const char* bad : {"2GB", "Gi", "-1Gi", "1e99", "inf", "nan", "", "2 Gi"}) {
    EXPECT_THAT(Normal(memory, bad), HasSubstr("no quantity")) << bad;
  }
  EXPECT_THAT(Normal(memory, "99999999Pi"), HasSubstr("too large"));
}

TEST(FieldValueTest, EnumsLoseTheirPrefix) {
  const FieldDescriptor& kind = Field(Program::descriptor(), "kind");

  EXPECT_THAT(EnumTexts(kind),
              ElementsAre("Auto", "Executable", "PythonScript", "PythonModule", "PythonPath"));
  EXPECT_EQ(Normal(kind, "PythonModule"), "PythonModule");
  EXPECT_THAT(Normal(kind, "PythonModul"), HasSubstr("did you mean PythonModule?"));
  EXPECT_THAT(Normal(kind, "Unspecified"), HasSubstr("must be one of Auto, "));
}

TEST(FieldValueTest, ScalarMessagesAreANumberOrAWord) {
  const FieldDescriptor& per_node = Field(Gang::descriptor(), "processes_per_node");

  EXPECT_EQ(Normal(per_node, "4"), "4");
  EXPECT_EQ(Normal(per_node, "auto"), "auto");
  EXPECT_THAT(Normal(per_node, "gpus"),
              HasSubstr("must be one of 1 to 4096, auto, cpu, gpu; did you mean gpu?"));
  EXPECT_THAT(Normal(per_node, "-x"), HasSubstr("no whole number"));
}

TEST(FieldValueTest, DurationsNeedAUnit) {
  const FieldDescriptor& grace = Field(Grace::descriptor(), "user_stop");

  EXPECT_EQ(Normal(grace, "90s"), "1m30s");
  EXPECT_THAT(Normal(grace, "90"), HasSubstr("unit is missing"));
}

TEST(FieldValueTest, PlainStringsMustNotLookLikeSomethingElseToKubectl) {
  const FieldDescriptor& args = Field(Program::descriptor(), "args");

  for (const char* text : {"8", "-1", "0.1", "1e3", "0x1f", "true", "no", "null", "~"}) {
    EXPECT_THAT(Normal(args, text, TextForm::kPlainYaml), HasSubstr("put it in quotes")) << text;
    EXPECT_EQ(Normal(args, text, TextForm::kQuotedYaml), text);
    EXPECT_EQ(Normal(args, text), text) << "a flag has no quotes";
  }
  for (const char* text : {"--np", "a", "1.2.3", "10Gi", "-", "truely"}) {
    EXPECT_EQ(Normal(args, text, TextForm::kPlainYaml), text);
  }
}

TEST(FieldValueTest, StoreAndLoadAreInverse) {
  Program program;
  Gang gang;
  const FieldDescriptor& args = Field(Program::descriptor(), "args");
  const FieldDescriptor& per_node = Field(Gang::descriptor(), "processes_per_node");

  StoreFieldValue(program, args, FieldValue(std::string("a")));
  StoreFieldValue(program, args, FieldValue(std::string("b")));
  StoreFieldValue(gang, per_node, FieldValue(int64_t{4}));
  StoreFieldValue(gang, per_node, FieldValue(EnumNumber{NODE_UNIT_CPU}));

  EXPECT_THAT(program.args(), ElementsAre("a", "b"));
  EXPECT_EQ(LoadFieldValue(program, args, 1), FieldValue(std::string("b")));
  EXPECT_FALSE(gang.processes_per_node().has_count());
  EXPECT_EQ(LoadFieldValue(gang, per_node), FieldValue(EnumNumber{NODE_UNIT_CPU}));
}

void MakeAllParts(Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field.is_repeated()) continue;
    if (field.message_type() != ClusterOnly::descriptor())
      MakeAllParts(MutablePart(message, field));
  }
}

TEST(FieldValueTest, EachPartOfAJobCanBeMadeAndWhatIsThereStays) {
  TrainingJob job;
  job.mutable_spec()->mutable_gang()->set_nodes(2);

  MakeAllParts(job);

  EXPECT_TRUE(job.spec().restart().backoff().has_max());
  EXPECT_TRUE(job.spec().logs().has_stdin_reader());
  EXPECT_EQ(job.spec().gang().nodes(), 2);
}

}  // namespace
}  // namespace lockstep::proto
