// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/late_connection.h"

#include <string>
#include <string_view>

namespace lockstep::sim {

void LateConnection::Start(Handlers handlers) {
  // Shared: the connection may be destroyed by what it calls.
  const auto shared = std::make_shared<const Handlers>(std::move(handlers));
  inner_->Start({.on_message =
                     [this, shared](std::string_view payload) {
                       Do([this, shared, text = std::string(payload)] {
                         // Whoever has closed it is told nothing more.
                         if (!closed_here_) shared->on_message(text);
                       });
                     },
                 .on_closed =
                     [this, shared](const base::Status& why) {
                       Do([shared, why] { shared->on_closed(why); });
                     }});
}

void LateConnection::Do(std::function<void()> what) {
  if (!loop_.is_behind() && waiting_.empty()) return what();
  const uint64_t id = next_++;
  waiting_[id] = loop_.After(base::Duration(0), [this, id, what = std::move(what)] {
    const auto done = waiting_.extract(id);
    what();
  });
}

}  // namespace lockstep::sim
