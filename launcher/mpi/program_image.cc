// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/program_image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

// Far beyond what linkers write; a file that says more is not believed.
constexpr size_t kSegmentsMax = 512;
constexpr uint64_t kDynamicBytesMax = 1 << 20;
constexpr size_t kNameBytesMax = 256;
// Of a table of symbols beyond these nothing is known. 64 MiB are read in some 10 ms.
constexpr size_t kSectionsMax = 4096;
constexpr uint64_t kSymbolNamesMax = uint64_t{64} << 20;
constexpr uint64_t kConstantsMax = uint64_t{64} << 20;  // of a program without such a table
constexpr uint64_t kPiece = uint64_t{1} << 20;

/// By a name that each program that uses it has, or, where it was stripped, by two words that the
/// library has for what it says to people (Open MPI 4.1, MPICH 4.0; NCCL 2.14 to 2.30). Without
/// what they begin with, so that this program does not have them.
struct BuiltIn {
  const char* api;
  std::string_view prefix, function, other_prefix, other;
};
constexpr BuiltIn kBuiltIn[] = {{"MPI", "MPI_", "Init", "MPI_", "COMM_WORLD"},
                                {"NCCL", "nccl", "CommInitRank", "NCCL_", "DEBUG"}};

std::string Joined(std::string_view prefix, std::string_view rest) {
  return std::string(prefix).append(rest);
}

/// One ELF file of this machine's word size and byte order.
class ImageReader {
 public:
  ImageReader(int fd, const std::string& path) : fd_(fd), path_(path) {}

  base::Result<ProgramImage> Read() {
    Elf64_Ehdr header{};
    ASSIGN_OR_RETURN(const size_t size, ReadSome(0, &header, sizeof header));
    if (size < sizeof header || !IsOurs(header)) return ProgramImage{};
    RETURN_IF_ERROR(ReadSegments(header));
    ProgramImage image;
    const Elf64_Phdr* dynamic = Find(PT_DYNAMIC);
    // A static program at any address has a dynamic section, and nobody who would read it.
    image.kind = dynamic != nullptr && Find(PT_INTERP) != nullptr ? ProgramImage::Kind::kDynamic
                                                                  : ProgramImage::Kind::kStatic;
    if (image.kind == ProgramImage::Kind::kDynamic) RETURN_IF_ERROR(ReadNeeded(*dynamic, &image));
    if (image.kind == ProgramImage::Kind::kStatic) image.built_in = ReadBuiltIn(header);
    return image;
  }

 private:
  base::Status Contradiction(const std::string& what) const {
    return base::InvalidArgumentError("look what " + path_ + " is linked with: " + what +
                                      "; the file is damaged");
  }

  /// Fewer bytes at the end of the file.
  base::Result<size_t> ReadSome(uint64_t offset, void* bytes, size_t size) const {
    ssize_t got = 0;
    do {
      got = ::pread(fd_, bytes, size, static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return base::ErrnoStatus(errno, "read the headers of " + path_);
    return static_cast<size_t>(got);
  }

  static bool IsOurs(const Elf64_Ehdr& header) {
    return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
           header.e_ident[EI_DATA] == ELFDATA2LSB;
  }

  base::Status ReadSegments(const Elf64_Ehdr& header) {
    if (header.e_phnum > kSegmentsMax || header.e_phentsize != sizeof(Elf64_Phdr))
      return Contradiction("its header tells of " + std::to_string(header.e_phnum) +
                           " segments of " + std::to_string(header.e_phentsize) + " bytes");
    segments_.resize(header.e_phnum);
    const size_t bytes = segments_.size() * sizeof(Elf64_Phdr);
    ASSIGN_OR_RETURN(const size_t got, ReadSome(header.e_phoff, segments_.data(), bytes));
    return got == bytes ? base::OkStatus() : Contradiction("it ends within its headers");
  }

  const Elf64_Phdr* Find(uint32_t type) const {
    const auto found = std::find_if(segments_.begin(), segments_.end(),
                                    [type](const auto& segment) { return segment.p_type == type; });
    return found == segments_.end() ? nullptr : &*found;
  }

  std::optional<uint64_t> OffsetOf(uint64_t address) const {
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
          address - segment.p_vaddr < segment.p_filesz)
        return segment.p_offset + (address - segment.p_vaddr);
    }
    return std::nullopt;
  }

  base::Status ReadNeeded(const Elf64_Phdr& dynamic, ProgramImage* image) const {
    if (dynamic.p_filesz > kDynamicBytesMax)
      return Contradiction("its dynamic section has " + std::to_string(dynamic.p_filesz) +
                           " bytes");
    std::vector<Elf64_Dyn> entries(dynamic.p_filesz / sizeof(Elf64_Dyn));
    const size_t bytes = entries.size() * sizeof(Elf64_Dyn);
    ASSIGN_OR_RETURN(const size_t got, ReadSome(dynamic.p_offset, entries.data(), bytes));
    if (got != bytes) return Contradiction("it ends within its dynamic section");
    const auto end = std::find_if(entries.begin(), entries.end(),
                                  [](const auto& entry) { return entry.d_tag == DT_NULL; });
    const auto strings = std::find_if(entries.begin(), end,
                                      [](const auto& entry) { return entry.d_tag == DT_STRTAB; });
    if (strings == end) return base::OkStatus();
    const std::optional<uint64_t> names = OffsetOf(strings->d_un.d_ptr);
    if (!names) return Contradiction("its names are in no segment");
    for (auto entry = entries.begin(); entry != end; ++entry) {
      if (entry->d_tag != DT_NEEDED) continue;
      ASSIGN_OR_RETURN(std::string name, ReadName(*names + entry->d_un.d_val));
      image->needed.push_back(std::move(name));
    }
    return base::OkStatus();
  }

  /// Where the names of its symbols are. Nobody needs them to run the program: of a table that is
  /// damaged nothing is known.
  std::optional<Elf64_Shdr> FindSymbolNames(const Elf64_Ehdr& header) const {
    if (header.e_shnum > kSectionsMax || header.e_shentsize != sizeof(Elf64_Shdr)) {
      return std::nullopt;
    }
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    const size_t bytes = sections.size() * sizeof(Elf64_Shdr);
    const base::Result<size_t> got = ReadSome(header.e_shoff, sections.data(), bytes);
    if (!got.ok() || *got != bytes) return std::nullopt;
    const auto symbols = std::find_if(sections.begin(), sections.end(), [](const auto& section) {
      return section.sh_type == SHT_SYMTAB;
    });
    if (symbols == sections.end() || symbols->sh_link >= sections.size()) return std::nullopt;
    return sections[symbols->sh_link];
  }

  /// Of a range of the file, piece by piece, each with the end of the one before it; until `done`
  /// says so of one. Of what cannot be read there are no pieces.
  template <typename Done>
  bool ForPieces(uint64_t offset, uint64_t size, const Done& done) const {
    std::string text;
    for (uint64_t read = 0; read < size;) {
      const size_t kept = std::min(text.size(), kNameBytesMax);
      text.erase(0, text.size() - kept);
      text.resize(kept + std::min<uint64_t>(kPiece, size - read));
      const base::Result<size_t> got =
          ReadSome(offset + read, text.data() + kept, text.size() - kept);
      if (!got.ok() || *got == 0) return false;
      text.resize(kept + *got);
      read += *got;
      if (done(text)) return true;
    }
    return false;
  }

  std::string ReadBuiltIn(const Elf64_Ehdr& header) const {
    const std::optional<Elf64_Shdr> names = FindSymbolNames(header);
    if (!names) return ReadBuiltInOfStripped();
    std::string found;
    if (names->sh_size > kSymbolNamesMax) return found;
    ForPieces(names->sh_offset, names->sh_size, [&found](const std::string& text) {
      for (const BuiltIn& library : kBuiltIn) {
        const std::string name = Joined(library.prefix, library.function);
        // A name may be the end of another one, where the linker has joined them.
        if (HasName(text, name) || HasName(text, Joined("P", name)) ||
            HasName(text, Joined("p", name)))
          found = library.api;
      }
      return !found.empty();
    });
    return found;
  }

  /// By what it could say. Linkers put that into segments without code, some years ago into the one
  /// with it.
  std::string ReadBuiltInOfStripped() const {
    const auto holds_constants = [](const Elf64_Phdr& segment) {
      return segment.p_type == PT_LOAD && (segment.p_flags & (PF_W | PF_X)) == 0;
    };
    const bool apart = std::any_of(segments_.begin(), segments_.end(), holds_constants);
    bool has_function[std::size(kBuiltIn)]{}, has_other[std::size(kBuiltIn)]{};
    std::string found;
    uint64_t left = kConstantsMax;
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
      if (apart && !holds_constants(segment)) continue;
      const uint64_t size = std::min(left, segment.p_filesz);
      left -= size;
      const auto look = [&](const std::string& text) {
        for (size_t i = 0; i < std::size(kBuiltIn); ++i) {
          const BuiltIn& library = kBuiltIn[i];
          has_function[i] |= HasWord(text, Joined(library.prefix, library.function));
          has_other[i] |= HasWord(text, Joined(library.other_prefix, library.other));
          if (has_function[i] && has_other[i]) found = library.api;
        }
        return !found.empty();
      };
      if (ForPieces(segment.p_offset, size, look)) break;
    }
    return found;
  }

  static bool HasName(const std::string& names, std::string_view name) {
    std::string whole(1, 0);
    whole += name;
    whole += '\0';
    return names.find(whole) != std::string::npos;
  }

  /// In any text, but not as part of a longer name, save that of MPI's second entry point.
  static bool HasWord(const std::string& text, const std::string& word) {
    const auto is_of_name = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at < end; ++at) {
      at = static_cast<const char*>(
          ::memmem(at, static_cast<size_t>(end - at), word.data(), word.size()));
      if (at == nullptr) return false;
      const char* const after = at + word.size();
      if (after == end) return false;  // the next piece has it, too, if there is one
      const char* before = at;
      if (before > text.data() && (before[-1] == 'P' || before[-1] == 'p')) --before;
      const bool begins = before == text.data() || !is_of_name(before[-1]);
      if (begins && !is_of_name(*after)) return true;
    }
    return false;
  }

  base::Result<std::string> ReadName(uint64_t offset) const {
    char name[kNameBytesMax];
    ASSIGN_OR_RETURN(const size_t size, ReadSome(offset, name, sizeof name));
    const size_t length = ::strnlen(name, size);
    if (length == size) return Contradiction("the name of a library in it has no end");
    return std::string(name, length);
  }

  const int fd_;
  const std::string& path_;
  std::vector<Elf64_Phdr> segments_;
};

/// Of a script they are the interpreter's to give.
bool GivesRights(int fd) {
  struct stat file{};
  if (::fstat(fd, &file) != 0) return false;
  if ((file.st_mode & S_ISUID) != 0 && file.st_uid != ::geteuid()) return true;
  constexpr mode_t kSetGid = S_ISGID | S_IXGRP;  // without the second it is a kind of lock
  if ((file.st_mode & kSetGid) == kSetGid && file.st_gid != ::getegid()) return true;
  return ::geteuid() != 0 && ::fgetxattr(fd, "security.capability", nullptr, 0) > 0;
}

MpiLibrary MpiOfName(std::string_view name) {
  if (name.starts_with("libmpich")) return MpiLibrary::kMpich;
  if (name == "libmpi.so.12" || name == "libmpifort.so.12" || name == "libmpicxx.so.12")
    return MpiLibrary::kMpich;
  if (name.starts_with("libmpi.so.") || name.starts_with("libmpi_")) return MpiLibrary::kOpenMpi;
  return MpiLibrary::kNone;
}

}  // namespace

base::Result<ProgramImage> ReadProgramImage(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "look what " + path + " is linked with");
  ASSIGN_OR_RETURN(ProgramImage image, ImageReader(fd.get(), path).Read());
  image.is_privileged = image.kind != ProgramImage::Kind::kOther && GivesRights(fd.get());
  return image;
}

MpiLibrary MpiOf(const ProgramImage& image) {
  for (const std::string& name : image.needed) {
    if (const MpiLibrary mpi = MpiOfName(name); mpi != MpiLibrary::kNone) return mpi;
  }
  return MpiLibrary::kNone;
}

}  // namespace lockstep::launcher
