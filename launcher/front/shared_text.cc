// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/front/shared_text.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {

base::Result<SharedText> SharedText::Create() {
  void* memory =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return base::ErrnoStatus(errno, "share memory with the agent");
  return SharedText(new (memory) Page);
}

SharedText::SharedText(SharedText&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

SharedText::~SharedText() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

void SharedText::Set(std::string_view text) {
  if (page_->size.load(std::memory_order_acquire) != 0) return;
  const size_t size = std::min(text.size(), kBytesMax);
  ::memcpy(page_->bytes, text.data(), size);
  page_->size.store(size, std::memory_order_release);
}

std::string SharedText::Get() const {
  return {page_->bytes, page_->size.load(std::memory_order_acquire)};
}

}  // namespace lockstep::launcher
