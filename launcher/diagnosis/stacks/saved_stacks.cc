// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/saved_stacks.h"

#include <google/protobuf/util/json_util.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "launcher/diagnosis/stacks/stack_text.h"
#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kLinesMax = 32;  // of a verdict's evidence; the file has all
constexpr size_t kJsonBytesMax = size_t{16} << 20;

std::string PathOf(const std::string& folder, base::Rank rank, const std::string& suffix) {
  return folder + "/stacks-rank-" + rank.ToString() + suffix;
}

base::Status Write(const std::string& path, const std::string& text, storage::FileSystem& files) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return files.WriteFile(path, {&bytes, 1}, {.mode = 0600});
}

}  // namespace

std::string StacksPath(const std::string& folder, base::Rank rank) {
  return PathOf(folder, rank, ".txt");
}

base::Status SaveStacks(const std::string& folder, const proto::RankStacks& stacks,
                        storage::FileSystem& files) {
  const base::Rank rank(stacks.rank());
  std::string text;
  for (const std::string& line : StackLines(stacks.process())) text += CleanText(line) + "\n";
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(stacks, &json, options).ok())
    return base::InternalError("stacks of rank " + rank.ToString() + " cannot be written as JSON");
  RETURN_IF_ERROR(files.MakeDirectories(folder));
  RETURN_IF_ERROR(Write(StacksPath(folder, rank), text, files));
  return Write(PathOf(folder, rank, ".json"), json, files);
}

std::optional<proto::RankStacks> LoadStacks(const std::string& folder, base::Rank rank,
                                            storage::FileSystem& files) {
  const auto bytes = files.ReadFile(PathOf(folder, rank, ".json"), kJsonBytesMax);
  if (!bytes.ok()) return std::nullopt;
  const std::string json(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // of a later release
  proto::RankStacks stacks;
  if (!google::protobuf::util::JsonStringToMessage(json, &stacks, options).ok())
    return std::nullopt;
  if (stacks.rank() != rank.value()) return std::nullopt;
  return stacks;
}

std::vector<proto::Evidence> StackEvidence(const std::string& folder,
                                           const proto::RankStacks& stacks) {
  std::vector<proto::Evidence> evidence;
  const auto add = [&](proto::Evidence::Kind kind, const std::vector<std::string>& lines) {
    proto::Evidence& added = evidence.emplace_back();
    added.set_kind(kind);
    added.set_rank(stacks.rank());
    added.set_path(StacksPath(folder, base::Rank(stacks.rank())));
    for (const std::string& line : lines) added.add_lines(CleanText(line));
  };
  add(proto::Evidence::STACK, MainStackLines(stacks.process(), kLinesMax));
  std::vector<std::string> gpus;
  for (const proto::GpuState& gpu : stacks.process().gpus()) gpus.push_back(GpuText(gpu));
  if (!gpus.empty()) add(proto::Evidence::GPU, gpus);
  return evidence;
}

}  // namespace lockstep::launcher
