// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/python_stacks.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr int kThreadsMax = 64;
constexpr int kFramesMax = 64;
constexpr size_t kColumns = 160;

std::string TextOf(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end()
             ? ""
             : ClipLine(CleanText(found->second.string_value()), kColumns);
}

double NumberOf(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  const double number = found == object.fields().end() ? 0 : found->second.number_value();
  // It comes from outside: a number that an integer cannot hold is none.
  return number >= 0 && number < 2147483648.0 ? number : 0;
}

proto::ThreadStack ThreadOf(const Struct& object) {
  proto::ThreadStack thread;
  thread.set_tid(static_cast<int64_t>(NumberOf(object, "os_thread_id")));
  thread.set_name(TextOf(object, "thread_name"));
  thread.set_doing("in Python");
  const auto frames = object.fields().find("frames");
  if (frames == object.fields().end()) return thread;
  for (const Value& value : frames->second.list_value().values()) {
    if (thread.frames_size() == kFramesMax) {
      thread.set_problem("further frames are left out");
      break;
    }
    const Struct& seen = value.struct_value();
    proto::Frame& frame = *thread.add_frames();
    frame.set_function(TextOf(seen, "name"));
    frame.set_file(TextOf(seen, "filename"));
    frame.set_line(static_cast<int>(NumberOf(seen, "line")));
  }
  return thread;
}

}  // namespace

base::Result<std::vector<proto::ThreadStack>> ParsePySpy(const std::string& json) {
  Value list;
  if (!google::protobuf::util::JsonStringToMessage(json, &list).ok() || !list.has_list_value())
    return base::DataLossError("reading what py-spy printed: it is no list of threads in JSON");
  std::vector<proto::ThreadStack> threads;
  for (const Value& value : list.list_value().values()) {
    if (threads.size() == static_cast<size_t>(kThreadsMax)) break;
    threads.push_back(ThreadOf(value.struct_value()));
  }
  std::stable_partition(threads.begin(), threads.end(), [](const proto::ThreadStack& thread) {
    return thread.name() == "MainThread";
  });
  return threads;
}

}  // namespace lockstep::launcher
