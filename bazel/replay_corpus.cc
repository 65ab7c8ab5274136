// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// The main of a fuzz target's ordinary test: feeds LLVMFuzzerTestOneInput every file named on the
// command line (a case each: the file, nothing, and the file cut off at up to 256 places), then
// seeded mutations of them all for LOCKSTEP_FUZZ_MILLISECONDS (default 2,000). Mutation k depends
// on LOCKSTEP_FUZZ_SEED (default 1) and k alone. When the target dies, the input it died of is
// printed in hexadecimal.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Sanitizers end the process without a signal; they call this first.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

using lockstep::base::Random;
using Bytes = std::vector<uint8_t>;

constexpr size_t kCutsMax = 256;
constexpr size_t kPrintedBytesMax = 4096;
constexpr uint64_t kEditsMax = 8;

const uint8_t* running_data = nullptr;
size_t running_size = 0;

// Only async-signal-safe calls.
void PrintRunningInput() {
  const char kDigits[] = "0123456789abcdef";
  char text[2 * kPrintedBytesMax + 1];
  const size_t size = std::min(running_size, kPrintedBytesMax);
  for (size_t i = 0; i < size; ++i) {
    text[2 * i] = kDigits[running_data[i] >> 4];
    text[2 * i + 1] = kDigits[running_data[i] & 15];
  }
  text[2 * size] = '\n';
  const char kIntroduction[] =
      "the target died of this input (hexadecimal, at most 4,096 bytes of it):\n";
  (void)!write(STDERR_FILENO, kIntroduction, sizeof(kIntroduction) - 1);
  (void)!write(STDERR_FILENO, text, 2 * size + 1);
}

void DieWithInput(int signal_number) {
  PrintRunningInput();
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

void Feed(const Bytes& input, size_t size) {
  // A buffer of exactly this size, so that a sanitizer sees a read beyond the input.
  const Bytes exact(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size));
  running_data = exact.data();
  running_size = exact.size();
  LLVMFuzzerTestOneInput(running_data, running_size);
  running_size = 0;
}

Bytes ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << "cannot read corpus file " << path;
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

uint64_t NumberFromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

void EditOnce(Bytes& input, const Bytes& other, Random& random) {
  const size_t at = random.Below(input.size() + 1);
  const size_t length = std::min<size_t>(random.Below(32) + 1, input.size() - at);
  const auto begin = input.begin() + static_cast<std::ptrdiff_t>(at);
  const auto end = begin + static_cast<std::ptrdiff_t>(length);
  switch (random.Below(6)) {
    case 0:
      if (length > 0) *begin ^= static_cast<uint8_t>(1u << random.Below(8));
      break;
    case 1:
      if (length > 0) *begin = static_cast<uint8_t>(random.Next());
      break;
    case 2: input.insert(begin, static_cast<uint8_t>(random.Next())); break;
    case 3: input.erase(begin, end); break;
    case 4: {
      const Bytes piece(begin, end);
      input.insert(end, piece.begin(), piece.end());
      break;
    }
    case 5:
      input.resize(at);
      input.insert(input.end(),
                   other.begin() + static_cast<std::ptrdiff_t>(random.Below(other.size() + 1)),
                   other.end());
      break;
  }
}

Bytes Mutation(const std::vector<Bytes>& corpus, uint64_t seed, uint64_t number) {
  Random random(seed * 0x9e3779b97f4a7c15u ^ number);
  Bytes input = corpus[random.Below(corpus.size())];
  for (uint64_t edits = random.Below(kEditsMax) + 1; edits > 0; --edits) {
    EditOnce(input, corpus[random.Below(corpus.size())], random);
  }
  return input;
}

class FileCase : public ::testing::Test {
 public:
  explicit FileCase(std::string path) : path_(std::move(path)) {}

  void TestBody() override {
    const Bytes input = ReadFile(path_);
    const size_t step = input.size() / kCutsMax + 1;
    for (size_t size = 0; size < input.size(); size += step) Feed(input, size);
    Feed(input, input.size());
  }

 private:
  std::string path_;
};

class MutationsCase : public ::testing::Test {
 public:
  explicit MutationsCase(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  void TestBody() override {
    std::vector<Bytes> corpus;
    corpus.reserve(paths_.size());
    for (const std::string& path : paths_) corpus.push_back(ReadFile(path));
    const uint64_t seed = NumberFromEnvironment("LOCKSTEP_FUZZ_SEED", 1);
    const std::chrono::milliseconds budget(
        NumberFromEnvironment("LOCKSTEP_FUZZ_MILLISECONDS", 2000));
    const auto deadline = std::chrono::steady_clock::now() + budget;
    uint64_t count = 0;
    for (; std::chrono::steady_clock::now() < deadline; ++count) {
      const Bytes input = Mutation(corpus, seed, count);
      Feed(input, input.size());
    }
    std::printf("%llu mutations with LOCKSTEP_FUZZ_SEED=%llu\n",
                static_cast<unsigned long long>(count), static_cast<unsigned long long>(seed));
  }

 private:
  std::vector<std::string> paths_;
};

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const std::vector<std::string> paths(argv + 1, argv + argc);
  if (paths.empty()) {
    std::fprintf(stderr,
                 "no corpus file was named: a fuzz target is checked in with at least one input\n");
    return 2;
  }
  for (const int signal_number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    signal(signal_number, DieWithInput);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(PrintRunningInput);

  for (const std::string& path : paths) {
    const std::string name = path.substr(path.rfind('/') + 1);
    ::testing::RegisterTest("Corpus", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [path]() -> ::testing::Test* { return new FileCase(path); });
  }
  ::testing::RegisterTest("Corpus", "SeededMutations", nullptr, nullptr, __FILE__, __LINE__,
                          [paths]() -> ::testing::Test* { return new MutationsCase(paths); });
  return RUN_ALL_TESTS();
}
