// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/error_file.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>

#include "launcher/verdict/clean_text.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value* Find(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? nullptr : &found->second;
}

std::string StringIn(const Struct& object, const std::string& name) {
  const Value* value = Find(object, name);
  return value != nullptr && value->has_string_value() ? CleanText(value->string_value()) : "";
}

/// torch writes a number in one of its two forms and a string in the other.
int64_t SecondsIn(const Struct& object) {
  const Value* value = Find(object, "timestamp");
  if (value == nullptr) return 0;
  if (value->has_number_value()) {
    const double seconds = value->number_value();
    return seconds > 0 && seconds < 1e15 ? static_cast<int64_t>(seconds) : 0;  // false for NaN
  }
  int64_t seconds = 0;
  const std::string& text = value->string_value();
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::max<int64_t>(seconds, 0);
}

std::string FirstLine(const std::string& clean) {
  const std::vector<std::string> lines = LinesOf(clean);
  return lines.empty() ? "" : lines.front();
}

}  // namespace

base::Result<ErrorFile> ParseErrorFile(std::string_view text) {
  if (text.size() > kErrorFileBytes) {
    return base::OutOfRangeError("error file: it has over " + std::to_string(kErrorFileBytes) +
                                 " bytes");
  }
  // A newline between tokens is as good as a space, and within a string JSON escapes it.
  Struct root;
  const auto parsed = google::protobuf::util::JsonStringToMessage(CleanText(text), &root);
  if (!parsed.ok()) {
    return base::InvalidArgumentError("error file: no JSON object: " +
                                      ClipLine(CleanText(parsed.ToString()), 200));
  }
  const Value* nested = Find(root, "message");
  const Struct& body =
      nested != nullptr && nested->has_struct_value() ? nested->struct_value() : root;
  const Value* extra = Find(body, "extraInfo");
  const Struct& extra_info =
      extra != nullptr && extra->has_struct_value() ? extra->struct_value() : body;
  ErrorFile error{.message = FirstLine(StringIn(body, "message")),
                  .traceback = StringIn(extra_info, "py_callstack"),
                  .timestamp = SecondsIn(extra_info)};
  if (error.message.empty()) {
    return base::InvalidArgumentError("error file: it has no text at \"message\"");
  }
  return error;
}

base::Result<ErrorFile> ReadErrorFile(const std::string& path) {
  const std::string what = "error file " + path;
  // NONBLOCK: opening a fifo must not wait for its writer.
  base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.valid()) return base::ErrnoStatus(errno, "open " + what);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return base::ErrnoStatus(errno, "stat " + what);
  if (!S_ISREG(info.st_mode)) return base::InvalidArgumentError(what + ": not a regular file");
  if (info.st_size == 0) return base::NotFoundError(what + ": it is empty");

  std::string text(kErrorFileBytes + 1, '\0');  // one more, to notice that it is too long
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::ErrnoStatus(errno, "read " + what);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  return ParseErrorFile(text);
}

}  // namespace lockstep::launcher
