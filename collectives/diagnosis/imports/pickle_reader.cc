// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/pickle_reader.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lockstep::collectives {
namespace {

/// Things on the stack: far more than any writer leaves there, since lists are written by batches.
constexpr size_t kStackMax = size_t{1} << 20;
constexpr size_t kNameShownMax = 200;

/// The opcodes of Python's pickle.py, by their names there.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinUnicode = 'X',
  kAppend = 'a',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kSetItems = 'u',
  kTuple = 't',
  kEmptyTuple = ')',
  kEmptyDict = '}',
  kBinFloat = 'G',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kMemoize = 0x94,
  kFrame = 0x95,
};

/// Of the opcodes that are refused, those that make more than data.
const char* NameOfRefused(unsigned char opcode) {
  switch (opcode) {
    case 'R': return "REDUCE";
    case 'b': return "BUILD";
    case 'i': return "INST";
    case 'o': return "OBJ";
    case 0x81: return "NEWOBJ";
    case 0x92: return "NEWOBJ_EX";
    case 'P': return "PERSID";
    case 'Q': return "BINPERSID";
    case 0x82: return "EXT1";
    case 0x83: return "EXT2";
    case 0x84: return "EXT4";
    case 0x97: return "NEXT_BUFFER";
    default: return nullptr;
  }
}

std::string Shown(std::string_view name) {
  std::string shown;
  for (const char c : name.substr(0, kNameShownMax)) shown += c >= ' ' && c <= '~' ? c : '?';
  return shown;
}

/// One run over one pickle.
class PickleReader {
 public:
  explicit PickleReader(std::string_view bytes) : bytes_(bytes) {}

  base::Result<TreePtr> Run();

 private:
  base::Status Step(unsigned char opcode);
  base::Status Refuse(unsigned char opcode);

  base::Status Damaged(const std::string& what) const {
    return base::InvalidArgumentError("pickle, byte " + std::to_string(opcode_at_) + ": " + what);
  }
  base::Status CutShort() const {
    return base::InvalidArgumentError("pickle: it is cut short: it ends after " +
                                      std::to_string(bytes_.size()) +
                                      " bytes, in the middle of a value");
  }
  base::Status At(const base::Status& status) const {
    return status.WithFrame("pickle, byte " + std::to_string(opcode_at_));
  }

  /// Little endian.
  base::Result<uint64_t> Unsigned(size_t bytes) {
    if (bytes_.size() - at_ < bytes) return CutShort();
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i)
      value |= uint64_t{static_cast<unsigned char>(bytes_[at_ + i])} << (8 * i);
    at_ += bytes;
    return value;
  }
  base::Result<std::string_view> Bytes(uint64_t count) {
    if (bytes_.size() - at_ < count) return CutShort();
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  std::string_view Line() {
    const std::string_view rest = bytes_.substr(at_);
    const std::string_view line = rest.substr(0, rest.find('\n'));
    at_ = std::min(bytes_.size(), at_ + line.size() + 1);
    return line;
  }

  base::Status Push(TreePtr value) {
    if (stack_.size() >= kStackMax) return Damaged("it piles up too many values");
    stack_.push_back(std::move(value));
    return base::OkStatus();
  }
  base::Status PushText(size_t size_bytes);
  base::Status PushInteger(int64_t value) { return Push(Tree::Integer(value)); }
  base::Status PushLong();
  base::Status PushReal();
  base::Result<TreePtr> Pop();
  base::Result<std::vector<TreePtr>> PopToMark();
  base::Status Tuple(std::vector<TreePtr> items);
  base::Status AppendTo(std::vector<TreePtr> items);
  base::Status SetIn(const std::vector<TreePtr>& pairs);
  base::Status Put(uint64_t place);
  base::Status Get(uint64_t place);

  const std::string_view bytes_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;
  std::vector<TreePtr> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, TreePtr> memo_;
};

base::Result<TreePtr> PickleReader::Run() {
  if (bytes_.size() < 2 || static_cast<unsigned char>(bytes_[0]) != kProto)
    return base::InvalidArgumentError("pickle: it does not begin as one of protocol 2 or later");
  if (bytes_[1] < 2 || bytes_[1] > 5) {
    return base::InvalidArgumentError("pickle: protocol " + std::to_string(bytes_[1]) +
                                      "; 2 to 5 are known");
  }
  at_ = 2;
  while (at_ < bytes_.size()) {
    opcode_at_ = at_;
    const auto opcode = static_cast<unsigned char>(bytes_[at_++]);
    if (opcode == kStop) {
      if (stack_.size() != 1 || !marks_.empty()) return Damaged("it ends with values left over");
      return std::move(stack_.front());
    }
    RETURN_IF_ERROR(Step(opcode));
  }
  return CutShort();
}

base::Status PickleReader::Step(unsigned char opcode) {
  switch (opcode) {
    case kNone: return Push(Tree::Null());
    case kNewTrue: return Push(Tree::Bool(true));
    case kNewFalse: return Push(Tree::Bool(false));
    case kEmptyList:
    case kEmptyTuple: return Push(Tree::List());
    case kEmptyDict: return Push(Tree::Map());
    case kMark:
      if (marks_.size() >= kStackMax) return Damaged("it piles up too many values");
      marks_.push_back(stack_.size());
      return base::OkStatus();
    case kBinInt1: {
      ASSIGN_OR_RETURN(const uint64_t value, Unsigned(1));
      return PushInteger(static_cast<int64_t>(value));
    }
    case kBinInt2: {
      ASSIGN_OR_RETURN(const uint64_t value, Unsigned(2));
      return PushInteger(static_cast<int64_t>(value));
    }
    case kBinInt: {
      ASSIGN_OR_RETURN(const uint64_t value, Unsigned(4));
      return PushInteger(static_cast<int32_t>(static_cast<uint32_t>(value)));
    }
    case kLong1: return PushLong();
    case kBinFloat: return PushReal();
    case kShortBinUnicode: return PushText(1);
    case kBinUnicode: return PushText(4);
    case kBinUnicode8: return PushText(8);
    case kTuple1:
    case kTuple2:
    case kTuple3: {
      std::vector<TreePtr> items(size_t{opcode} - kTuple1 + 1);
      for (size_t i = items.size(); i-- > 0;) {
        ASSIGN_OR_RETURN(items[i], Pop());
      }
      return Tuple(std::move(items));
    }
    case kTuple: {
      ASSIGN_OR_RETURN(std::vector<TreePtr> items, PopToMark());
      return Tuple(std::move(items));
    }
    case kAppend: {
      ASSIGN_OR_RETURN(TreePtr item, Pop());
      return AppendTo({std::move(item)});
    }
    case kAppends: {
      ASSIGN_OR_RETURN(std::vector<TreePtr> items, PopToMark());
      return AppendTo(std::move(items));
    }
    case kSetItem: {
      ASSIGN_OR_RETURN(TreePtr value, Pop());
      ASSIGN_OR_RETURN(TreePtr key, Pop());
      return SetIn({std::move(key), std::move(value)});
    }
    case kSetItems: {
      ASSIGN_OR_RETURN(const std::vector<TreePtr> pairs, PopToMark());
      return SetIn(pairs);
    }
    case kBinPut: {
      ASSIGN_OR_RETURN(const uint64_t place, Unsigned(1));
      return Put(place);
    }
    case kLongBinPut: {
      ASSIGN_OR_RETURN(const uint64_t place, Unsigned(4));
      return Put(place);
    }
    case kMemoize: return Put(memo_.size());
    case kBinGet: {
      ASSIGN_OR_RETURN(const uint64_t place, Unsigned(1));
      return Get(place);
    }
    case kLongBinGet: {
      ASSIGN_OR_RETURN(const uint64_t place, Unsigned(4));
      return Get(place);
    }
    // How many bytes a reader may ask for at once.
    case kFrame: return Unsigned(8).status();
    default: return Refuse(opcode);
  }
}

base::Status PickleReader::Refuse(unsigned char opcode) {
  if (opcode == 'c' || opcode == 'i') {
    const std::string module = Shown(Line());
    return Damaged("it wants to call " + module + "." + Shown(Line()) + ": refused");
  }
  if (opcode == 0x93) {
    if (stack_.size() < 2) return Damaged("it wants to call something: refused");
    return Damaged("it wants to call " + Shown(stack_[stack_.size() - 2]->text()) + "." +
                   Shown(stack_.back()->text()) + ": refused");
  }
  if (const char* const name = NameOfRefused(opcode); name != nullptr)
    return Damaged(std::string("it wants to make an object (") + name + "): refused");
  return Damaged("opcode " + std::to_string(opcode) +
                 " is none that a flight recorder's dump is written with");
}

base::Status PickleReader::PushText(size_t size_bytes) {
  ASSIGN_OR_RETURN(const uint64_t size, Unsigned(size_bytes));
  ASSIGN_OR_RETURN(const std::string_view text, Bytes(size));
  return Push(Tree::Text(std::string(text)));
}

base::Status PickleReader::PushLong() {
  ASSIGN_OR_RETURN(const uint64_t size, Unsigned(1));
  ASSIGN_OR_RETURN(const std::string_view digits, Bytes(size));
  // torch writes its 64 bits as up to nine bytes, the last of them zero.
  uint64_t value = 0;
  const bool is_negative = !digits.empty() && (digits.back() & 0x80) != 0;
  for (size_t i = 0; i < std::max<size_t>(digits.size(), 8); ++i) {
    const auto digit =
        static_cast<unsigned char>(i < digits.size() ? digits[i] : (is_negative ? '\xff' : '\0'));
    if (i < 8) {
      value |= uint64_t{digit} << (8 * i);
    } else if (digit != (is_negative ? 0xff : 0)) {
      return Damaged("an integer of more than 64 bits");
    }
  }
  return PushInteger(static_cast<int64_t>(value));
}

base::Status PickleReader::PushReal() {
  ASSIGN_OR_RETURN(const std::string_view bytes, Bytes(8));
  uint64_t bits = 0;  // big endian, other than all else
  for (const char byte : bytes) bits = bits << 8 | static_cast<unsigned char>(byte);
  return Push(Tree::Real(std::bit_cast<double>(bits)));
}

base::Result<TreePtr> PickleReader::Pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
    return Damaged("it takes a value where there is none");
  TreePtr top = std::move(stack_.back());
  stack_.pop_back();
  return top;
}

base::Result<std::vector<TreePtr>> PickleReader::PopToMark() {
  if (marks_.empty()) return Damaged("it takes values where no mark is");
  const auto first = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
  std::vector<TreePtr> values(std::make_move_iterator(first),
                              std::make_move_iterator(stack_.end()));
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return values;
}

base::Status PickleReader::Tuple(std::vector<TreePtr> items) {
  const TreePtr tuple = Tree::List();
  for (TreePtr& item : items) RETURN_IF_ERROR(At(tuple->Append(std::move(item))));
  return Push(tuple);
}

base::Status PickleReader::AppendTo(std::vector<TreePtr> items) {
  ASSIGN_OR_RETURN(TreePtr list, Pop());
  for (TreePtr& item : items) RETURN_IF_ERROR(At(list->Append(std::move(item))));
  return Push(std::move(list));
}

base::Status PickleReader::SetIn(const std::vector<TreePtr>& pairs) {
  ASSIGN_OR_RETURN(TreePtr map, Pop());
  if (pairs.size() % 2 != 0) return Damaged("a key without a value");
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const Tree& key = *pairs[i];
    if (key.kind() != Tree::Kind::kText && key.kind() != Tree::Kind::kInteger)
      return Damaged("a key that is neither a text nor a number");
    std::string name =
        key.kind() == Tree::Kind::kText ? key.text() : std::to_string(*key.AsInteger());
    RETURN_IF_ERROR(At(map->Set(std::move(name), pairs[i + 1])));
  }
  return Push(std::move(map));
}

base::Status PickleReader::Put(uint64_t place) {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
    return Damaged("it remembers a value where there is none");
  if (memo_.size() >= Tree::kNodesMax) return Damaged("it remembers too many values");
  memo_[place] = stack_.back();
  return base::OkStatus();
}

base::Status PickleReader::Get(uint64_t place) {
  const auto found = memo_.find(place);
  if (found == memo_.end())
    return Damaged("it refers to value " + std::to_string(place) + ", which has not come");
  return Push(found->second);
}

void AppendUnsigned(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void AppendText(std::string_view text, std::string& out) {
  out += static_cast<char>(kBinUnicode);
  AppendUnsigned(text.size(), 4, out);
  out += text;
}

void AppendTree(const Tree& tree, std::string& out) {
  switch (tree.kind()) {
    case Tree::Kind::kNull: out += static_cast<char>(kNone); break;
    case Tree::Kind::kBool: out += static_cast<char>(*tree.AsBool() ? kNewTrue : kNewFalse); break;
    case Tree::Kind::kInteger:
      out += static_cast<char>(kLong1);
      out += '\x08';
      AppendUnsigned(static_cast<uint64_t>(*tree.AsInteger()), 8, out);
      break;
    case Tree::Kind::kReal: {
      out += static_cast<char>(kBinFloat);
      const auto bits = std::bit_cast<uint64_t>(tree.real());
      for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift & 0xff);
      break;
    }
    case Tree::Kind::kText: AppendText(tree.text(), out); break;
    case Tree::Kind::kList:
      out += static_cast<char>(kEmptyList);
      out += static_cast<char>(kMark);
      for (const TreePtr& item : tree.items()) AppendTree(*item, out);
      out += static_cast<char>(kAppends);
      break;
    case Tree::Kind::kMap:
      out += static_cast<char>(kEmptyDict);
      out += static_cast<char>(kMark);
      for (const auto& [key, value] : tree.fields()) {
        AppendText(key, out);
        AppendTree(*value, out);
      }
      out += static_cast<char>(kSetItems);
      break;
  }
}

}  // namespace

base::Result<TreePtr> ReadPickle(std::string_view bytes) { return PickleReader(bytes).Run(); }

std::string WritePickle(const Tree& tree) {
  std::string out = {static_cast<char>(kProto), 2};
  AppendTree(tree, out);
  out += static_cast<char>(kStop);
  return out;
}

}  // namespace lockstep::collectives
