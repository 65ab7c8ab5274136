// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/safetensors_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <set>
#include <utility>

namespace lockstep::rank {
namespace {

using base::DataLossError;
using base::OkStatus;
using base::Result;
using base::Status;
using collectives::Dtype;
using Entry = SafetensorsHeader::Entry;

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr size_t kDimensionsMax = 64;  // LibTorch's own limit

constexpr std::array<std::pair<Dtype, std::string_view>, 14> kDtypeNames = {{
    {Dtype::kBool, "BOOL"},
    {Dtype::kU8, "U8"},
    {Dtype::kI8, "I8"},
    {Dtype::kI16, "I16"},
    {Dtype::kI32, "I32"},
    {Dtype::kI64, "I64"},
    {Dtype::kU32, "U32"},
    {Dtype::kU64, "U64"},
    {Dtype::kF16, "F16"},
    {Dtype::kBf16, "BF16"},
    {Dtype::kF32, "F32"},
    {Dtype::kF64, "F64"},
    {Dtype::kF8E4m3, "F8_E4M3"},
    {Dtype::kF8E5m2, "F8_E5M2"},
}};

std::string_view NameOf(Dtype dtype) {
  for (const auto& [known, name] : kDtypeNames) {
    if (known == dtype) return name;
  }
  return "";
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[7];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  out += '"';
}

void AppendUtf8(std::string& out, uint32_t code_point) {
  const auto append = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    append(code_point);
  } else if (code_point < 0x800) {
    append(0xc0 | (code_point >> 6));
    append(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    append(0xe0 | (code_point >> 12));
    append(0x80 | ((code_point >> 6) & 0x3f));
    append(0x80 | (code_point & 0x3f));
  } else {
    append(0xf0 | (code_point >> 18));
    append(0x80 | ((code_point >> 12) & 0x3f));
    append(0x80 | ((code_point >> 6) & 0x3f));
    append(0x80 | (code_point & 0x3f));
  }
}

/// As much of JSON as the header needs: objects of fixed depth, strings, arrays of numbers. Every
/// function reads on from at_ and leaves it behind what it read.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<SafetensorsHeader> Header() {
    SafetensorsHeader header;
    std::set<std::string> names;
    RETURN_IF_ERROR(Object([&](std::string name) -> Status {
      if (!names.insert(name).second) return Wrong("a second entry named '" + name + "'");
      if (name == kMetadataKey) return Metadata(header.metadata);
      header.entries.emplace_back();
      header.entries.back().name = std::move(name);
      return TensorEntry(header.entries.back());
    }));
    SkipSpace();
    if (at_ != text_.size()) return Wrong("something after its end");
    return header;
  }

 private:
  Status Wrong(const std::string& what) const {
    return DataLossError("the safetensors header has " + what + ", at byte " + std::to_string(at_));
  }

  void SkipSpace() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
  }

  bool TakeIf(char c) {
    SkipSpace();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Status Take(char c) {
    if (TakeIf(c)) return OkStatus();
    return Wrong(std::string("no '") + c + "' where one belongs");
  }

  /// begin item,item,... end
  template <class Item>
  Status List(char begin, char end, Item item) {
    RETURN_IF_ERROR(Take(begin));
    if (TakeIf(end)) return OkStatus();
    do {
      RETURN_IF_ERROR(item());
    } while (TakeIf(','));
    return Take(end);
  }

  /// {"key":value,...}; value(key) reads the value.
  template <class Value>
  Status Object(Value value) {
    return List('{', '}', [&]() -> Status {
      ASSIGN_OR_RETURN(std::string key, String());
      RETURN_IF_ERROR(Take(':'));
      return value(std::move(key));
    });
  }

  Status Metadata(std::map<std::string, std::string>& metadata) {
    return Object([&](std::string key) -> Status {
      ASSIGN_OR_RETURN(std::string value, String());
      if (!metadata.emplace(key, std::move(value)).second) {
        return Wrong("a second metadata value named '" + key + "'");
      }
      return OkStatus();
    });
  }

  Status TensorEntry(Entry& entry) {
    std::set<std::string> fields;
    RETURN_IF_ERROR(Object([&](std::string field) -> Status {
      if (!fields.insert(field).second)
        return Wrong("'" + field + "' twice in '" + entry.name + "'");
      if (field == "dtype") return ReadDtype(entry);
      if (field == "shape") return Shape(entry);
      if (field == "data_offsets") return Offsets(entry);
      return Wrong("the unknown field '" + field + "' in '" + entry.name + "'");
    }));
    if (fields.size() != 3)
      return Wrong("'" + entry.name + "' without dtype, shape or data_offsets");
    return OkStatus();
  }

  Status ReadDtype(Entry& entry) {
    ASSIGN_OR_RETURN(const std::string name, String());
    for (const auto& [dtype, known] : kDtypeNames) {
      if (known == name) {
        entry.dtype = dtype;
        return OkStatus();
      }
    }
    return base::UnimplementedError("tensor '" + entry.name + "' is of dtype '" + name +
                                    "', which is not known here");
  }

  Status Shape(Entry& entry) {
    return List('[', ']', [&]() -> Status {
      if (entry.shape.size() == kDimensionsMax) {
        return Wrong("more than " + std::to_string(kDimensionsMax) + " dimensions in '" +
                     entry.name + "'");
      }
      ASSIGN_OR_RETURN(const int64_t extent, Number());
      entry.shape.push_back(extent);
      return OkStatus();
    });
  }

  Status Offsets(Entry& entry) {
    RETURN_IF_ERROR(Take('['));
    ASSIGN_OR_RETURN(const int64_t begin, Number());
    RETURN_IF_ERROR(Take(','));
    ASSIGN_OR_RETURN(const int64_t end, Number());
    entry.begin = static_cast<uint64_t>(begin);
    entry.end = static_cast<uint64_t>(end);
    return Take(']');
  }

  /// A non-negative integer.
  Result<int64_t> Number() {
    SkipSpace();
    int64_t number = -1;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
    if (error != std::errc() || number < 0)
      return Wrong("no number in [0, 2^63) where one belongs");
    at_ += static_cast<size_t>(end - begin);
    return number;
  }

  Result<std::string> String() {
    RETURN_IF_ERROR(Take('"'));
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20)
        return Wrong("a control character in a string");
      if (text_[at_] != '\\') {
        out += text_[at_++];
      } else {
        ++at_;
        RETURN_IF_ERROR(Escape(out));
      }
    }
    if (at_ == text_.size()) return Wrong("a string without an end");
    ++at_;
    return out;
  }

  Status Escape(std::string& out) {
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) return Wrong("a string without an end");
    const char c = text_[at_++];
    if (c == 'u') return UnicodeEscape(out);
    const size_t which = kEscapes.find(c);
    if (which == std::string_view::npos) return Wrong(std::string("the unknown escape \\") + c);
    out += kMeanings[which];
    return OkStatus();
  }

  Status UnicodeEscape(std::string& out) {
    ASSIGN_OR_RETURN(uint32_t code, FourHexDigits());
    if (code >= 0xd800 && code < 0xdc00) {  // the first half of a surrogate pair
      if (text_.substr(at_, 2) != "\\u") return Wrong("half a surrogate pair");
      at_ += 2;
      ASSIGN_OR_RETURN(const uint32_t low, FourHexDigits());
      if (low < 0xdc00 || low > 0xdfff) return Wrong("half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      return Wrong("half a surrogate pair");
    }
    AppendUtf8(out, code);
    return OkStatus();
  }

  Result<uint32_t> FourHexDigits() {
    uint32_t code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc() || end != digits.data() + 4)
      return Wrong("no four hexadecimal digits after \\u");
    at_ += 4;
    return code;
  }

  const std::string_view text_;
  size_t at_ = 0;
};

/// No holes, no overlaps, and each as long as its dtype and shape say.
Status CheckCoverage(const std::vector<Entry>& entries, uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const Entry& entry : entries) {
    const Result<uint64_t> size = TensorBytes(entry.dtype, entry.shape);
    if (!size.ok()) return DataLossError("tensor '" + entry.name + "': " + size.status().message());
    const uint64_t bytes = *size;
    if (entry.begin != covered || entry.end < entry.begin || entry.end - entry.begin != bytes) {
      return DataLossError(
          "tensor '" + entry.name + "' lies at [" + std::to_string(entry.begin) + ", " +
          std::to_string(entry.end) + ") of the data; with its " + std::to_string(bytes) +
          " bytes and what comes before it, it belongs at " + std::to_string(covered));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    return DataLossError("the file has " + std::to_string(data_bytes) +
                         " bytes of data; its header describes " + std::to_string(covered));
  }
  return OkStatus();
}

}  // namespace

Result<uint64_t> TensorBytes(Dtype dtype, const std::vector<int64_t>& shape) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t bytes = collectives::DtypeBytes(dtype);
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  for (const int64_t extent : shape) {
    if (extent < 0)
      return base::OutOfRangeError("a tensor with the extent " + std::to_string(extent));
    if (!empty && __builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes))
      bytes = kMax + 1;
    if (bytes > kMax) return base::OutOfRangeError("a tensor of more than 2^63 bytes");
  }
  return empty ? 0 : bytes;
}

std::string FormatSafetensorsHeader(const SafetensorsHeader& header) {
  std::string out = "{";
  AppendQuoted(out, kMetadataKey);
  out += ":{";
  const char* separator = "";
  for (const auto& [key, value] : header.metadata) {
    out += std::exchange(separator, ",");
    AppendQuoted(out, key);
    out += ':';
    AppendQuoted(out, value);
  }
  out += '}';
  for (const Entry& entry : header.entries) {
    out += ',';
    AppendQuoted(out, entry.name);
    out += ":{\"dtype\":";
    AppendQuoted(out, NameOf(entry.dtype));
    out += ",\"shape\":[";
    separator = "";
    for (const int64_t extent : entry.shape)
      out += std::exchange(separator, ",") + std::to_string(extent);
    out += "],\"data_offsets\":[" + std::to_string(entry.begin) + "," + std::to_string(entry.end) +
           "]}";
  }
  return out + "}";
}

Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view text, uint64_t data_bytes) {
  ASSIGN_OR_RETURN(SafetensorsHeader header, Parser(text).Header());
  // Empty tensors stand before the one that begins at the same place.
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const Entry& a, const Entry& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  RETURN_IF_ERROR(CheckCoverage(header.entries, data_bytes));
  return header;
}

}  // namespace lockstep::rank
