// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exit_codes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {
namespace {

using Row = std::vector<std::string>;

/// Rows of the table that begins with `header`, by their first cell.
std::map<std::string, Row> TableOf(const std::string& header) {
  std::ifstream file("docs/errors.md");
  EXPECT_TRUE(file.is_open());
  std::map<std::string, Row> rows;
  std::string line;
  while (std::getline(file, line) && line.rfind(header, 0) != 0) continue;
  std::getline(file, line);  // the rule below the header
  while (std::getline(file, line) && line.rfind("| ", 0) == 0) {
    Row row;
    std::stringstream cells(line.substr(2));
    for (std::string cell; std::getline(cells, cell, '|');) {
      const size_t last = cell.find_last_not_of(' ');
      const size_t first = cell.find_first_not_of(' ');
      if (first != std::string::npos) row.push_back(cell.substr(first, last - first + 1));
    }
    EXPECT_TRUE(rows.emplace(row.at(0), row).second) << line;
  }
  return rows;
}

TEST(ErrorsDocumentTest, ExitStatusesAreThoseOfTheEnum) {
  const auto rows = TableOf("| status |");

  EXPECT_EQ(rows.size(), kExitCodes.size());
  for (const ExitCodeText& text : kExitCodes) {
    const auto found = rows.find(std::to_string(static_cast<int>(text.code)));
    ASSERT_NE(found, rows.end()) << text.meaning;
    EXPECT_EQ(found->second,
              (Row{found->first, std::string(text.meaning), std::string(text.what_to_do)}));
  }
}

/// Without a default, so that a new enumerator does not compile until it stands here too.
bool IsExitCode(int status) {
  switch (static_cast<ExitCode>(status)) {
    case ExitCode::kOk:
    case ExitCode::kUsage:
    case ExitCode::kNoSuchJob:
    case ExitCode::kUnavailable:
    case ExitCode::kInternal:
    case ExitCode::kNoResources:
    case ExitCode::kCannotWrite:
    case ExitCode::kAgentLost:
    case ExitCode::kNotExecutable:
    case ExitCode::kNotFound: return true;
  }
  return false;
}

TEST(ErrorsDocumentTest, EveryExitCodeHasItsText) {
  std::set<int> with_text;
  for (const ExitCodeText& text : kExitCodes) with_text.insert(static_cast<int>(text.code));
  for (int status = 0; status < 256; ++status) {
    EXPECT_EQ(IsExitCode(status), with_text.count(status) == 1) << status;
  }
}

TEST(ErrorsDocumentTest, ExitStatusesAreDistinctAndClearOfSmallCodesAndSignals) {
  std::set<int> seen;
  for (const ExitCodeText& text : kExitCodes) {
    const int code = static_cast<int>(text.code);
    EXPECT_TRUE(seen.insert(code).second) << code;
    EXPECT_TRUE(code == 0 || (code >= 64 && code < 128)) << code;
  }
}

TEST(ErrorsDocumentTest, VerdictClassesAreThoseOfTheProto) {
  const auto rows = TableOf("| class |");

  const google::protobuf::EnumDescriptor& classes = *proto::Verdict::Class_descriptor();
  EXPECT_EQ(rows.size(), static_cast<size_t>(classes.value_count() - 1));  // less UNSPECIFIED
  for (int i = 1; i < classes.value_count(); ++i) {
    EXPECT_EQ(rows.count(classes.value(i)->name()), 1u) << classes.value(i)->name();
  }
}

TEST(ErrorsDocumentTest, CodesAreThoseOfStatus) {
  const auto rows = TableOf("| number |");

  constexpr int kCodes = 17;
  EXPECT_EQ(rows.size(), static_cast<size_t>(kCodes));
  for (int number = 0; number < kCodes; ++number) {
    const auto found = rows.find(std::to_string(number));
    ASSERT_NE(found, rows.end()) << number;
    EXPECT_EQ(found->second.at(1), base::CodeName(static_cast<base::Code>(number)));
    EXPECT_EQ(found->second.size(), 5u) << "meaning, retry and what to do are all told";
  }
}

}  // namespace
}  // namespace lockstep::launcher
