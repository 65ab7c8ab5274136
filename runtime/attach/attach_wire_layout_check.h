// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_ATTACH_ATTACH_WIRE_LAYOUT_CHECK_H_
#define LOCKSTEP_RUNTIME_ATTACH_ATTACH_WIRE_LAYOUT_CHECK_H_
/* Sizes and places of the protocol's fields, computed by whichever compiler reads this. Test
 * only. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LOCKSTEP_ATTACH_LAYOUT                                                                  \
  sizeof(struct lockstep_attach_header), sizeof(struct lockstep_attach_hello),                  \
      offsetof(struct lockstep_attach_hello, cookie),                                           \
      sizeof(struct lockstep_attach_segment_request),                                           \
      offsetof(struct lockstep_attach_segment_request, member_index),                           \
      sizeof(struct lockstep_attach_progress), sizeof(struct lockstep_attach_refused),          \
      sizeof(struct lockstep_attach_world), offsetof(struct lockstep_attach_world, ring_bytes), \
      offsetof(struct lockstep_attach_world, host),                                             \
      offsetof(struct lockstep_attach_world, checkpoint_directory),                             \
      sizeof(struct lockstep_attach_segment), offsetof(struct lockstep_attach_segment, text),   \
      sizeof(struct lockstep_attach_stop), sizeof(struct lockstep_attach_checkpoint),           \
      offsetof(struct lockstep_attach_hello, highest_version),                                  \
      sizeof(struct lockstep_attach_card), offsetof(struct lockstep_attach_card, card),         \
      sizeof(struct lockstep_attach_network), offsetof(struct lockstep_attach_network, text),   \
      sizeof(struct lockstep_attach_cards), offsetof(struct lockstep_attach_cards, text),       \
      sizeof(union lockstep_attach_message)

extern const size_t lockstep_attach_c_layout[];
extern const size_t lockstep_attach_c_layout_count;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LOCKSTEP_RUNTIME_ATTACH_ATTACH_WIRE_LAYOUT_CHECK_H_ */
