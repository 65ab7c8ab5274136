// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/attach/attach_wire.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the attach protocol is little endian, and its structs are sent as they lie in memory"
#endif

static int is_right_version(const struct lockstep_attach_header* header, uint16_t agreed) {
  /* These are read before a version is agreed upon, or because none is. */
  if (header->type == LOCKSTEP_ATTACH_HELLO || header->type == LOCKSTEP_ATTACH_REFUSED)
    return header->version == 0;
  if (agreed != 0) return header->version == agreed;
  return header->version >= LOCKSTEP_ATTACH_LOWEST_VERSION &&
         header->version <= LOCKSTEP_ATTACH_VERSION;
}

uint16_t lockstep_attach_agree(const struct lockstep_attach_hello* hello) {
  const unsigned highest = hello->highest_version < LOCKSTEP_ATTACH_VERSION
                               ? hello->highest_version
                               : LOCKSTEP_ATTACH_VERSION;
  return (uint16_t)(highest >= hello->lowest_version && highest >= LOCKSTEP_ATTACH_LOWEST_VERSION
                        ? highest
                        : 0);
}

void lockstep_attach_set_header(struct lockstep_attach_header* header,
                                enum lockstep_attach_type type, uint16_t version, size_t length) {
  header->magic = LOCKSTEP_ATTACH_MAGIC;
  header->type = (uint16_t)type;
  header->version = version;
  header->length = (uint32_t)length;
  header->reserved = 0;
}

static int terminated(const char* text, size_t capacity) {
  return memchr(text, '\0', capacity) != NULL;
}

static const char* check_hello(const struct lockstep_attach_hello* hello) {
  if (hello->lowest_version == 0 || hello->lowest_version > hello->highest_version)
    return "versions out of range";
  return NULL;
}

static const char* check_segment_request(const struct lockstep_attach_segment_request* request) {
  if (request->member_count == 0 || request->member_count > LOCKSTEP_ATTACH_MAX_MEMBERS)
    return "member count out of range";
  if (request->member_index >= request->member_count) return "member index beyond the member count";
  if (request->bytes == 0 || request->bytes > LOCKSTEP_ATTACH_MAX_SEGMENT_BYTES)
    return "segment size out of range";
  return NULL;
}

static const char* check_card(const struct lockstep_attach_card* card) {
  if (card->member_count == 0 || card->member_count > LOCKSTEP_ATTACH_MAX_CARDS)
    return "member count out of range";
  if (card->member_index >= card->member_count) return "member index beyond the member count";
  if (card->card_bytes == 0 || card->card_bytes > LOCKSTEP_ATTACH_MAX_CARD_BYTES)
    return "length of a card out of range";
  return NULL;
}

static const char* check_network(const struct lockstep_attach_network* network) {
  if (network->first_port > network->last_port) return "ports out of order";
  if (!terminated(network->host_id, sizeof network->host_id) ||
      !terminated(network->listen_address, sizeof network->listen_address) ||
      !terminated(network->address, sizeof network->address) ||
      !terminated(network->text, sizeof network->text)) {
    return "text without an end";
  }
  return NULL;
}

static const char* check_cards(const struct lockstep_attach_cards* cards) {
  const uint64_t most =
      (uint64_t)LOCKSTEP_ATTACH_MAX_CARDS * (sizeof(uint32_t) + LOCKSTEP_ATTACH_MAX_CARD_BYTES);
  if (cards->table_bytes > most) return "size of a table out of range";
  return terminated(cards->text, sizeof cards->text) ? NULL : "text without an end";
}

static const char* check_world(const struct lockstep_attach_world* world) {
  if (world->world_size < 1 || world->rank < 0 || world->rank >= world->world_size)
    return "rank beyond the world size";
  if (world->local_world_size < 1 || world->local_rank < 0 ||
      world->local_rank >= world->local_world_size) {
    return "local rank beyond the local world size";
  }
  if (!terminated(world->job, sizeof world->job) || !terminated(world->host, sizeof world->host) ||
      !terminated(world->checkpoint_directory, sizeof world->checkpoint_directory)) {
    return "text without an end";
  }
  return NULL;
}

static const char* check_exclude(const struct lockstep_attach_exclude* exclude) {
  if (exclude->rank < 0) return "a negative rank";
  return terminated(exclude->why, sizeof exclude->why) ? NULL : "text without an end";
}

static size_t length_of(uint16_t type, enum lockstep_attach_side* side) {
  *side = type < LOCKSTEP_ATTACH_REFUSED ? LOCKSTEP_ATTACH_FROM_RANK : LOCKSTEP_ATTACH_FROM_AGENT;
  switch (type) {
    case LOCKSTEP_ATTACH_HELLO: return sizeof(struct lockstep_attach_hello);
    case LOCKSTEP_ATTACH_SEGMENT_REQUEST: return sizeof(struct lockstep_attach_segment_request);
    case LOCKSTEP_ATTACH_PROGRESS: return sizeof(struct lockstep_attach_progress);
    case LOCKSTEP_ATTACH_NETWORK_REQUEST: return sizeof(struct lockstep_attach_network_request);
    case LOCKSTEP_ATTACH_CARD: return sizeof(struct lockstep_attach_card);
    case LOCKSTEP_ATTACH_GIVE_UP: return sizeof(struct lockstep_attach_give_up);
    case LOCKSTEP_ATTACH_REFUSED: return sizeof(struct lockstep_attach_refused);
    case LOCKSTEP_ATTACH_WORLD: return sizeof(struct lockstep_attach_world);
    case LOCKSTEP_ATTACH_SEGMENT: return sizeof(struct lockstep_attach_segment);
    case LOCKSTEP_ATTACH_STOP: return sizeof(struct lockstep_attach_stop);
    case LOCKSTEP_ATTACH_CHECKPOINT: return sizeof(struct lockstep_attach_checkpoint);
    case LOCKSTEP_ATTACH_NETWORK: return sizeof(struct lockstep_attach_network);
    case LOCKSTEP_ATTACH_CARDS: return sizeof(struct lockstep_attach_cards);
    case LOCKSTEP_ATTACH_WATCH_ROUNDS: return sizeof(struct lockstep_attach_watch_rounds);
    case LOCKSTEP_ATTACH_EXCLUDE: return sizeof(struct lockstep_attach_exclude);
    case LOCKSTEP_ATTACH_ROUND: return sizeof(struct lockstep_attach_round);
    default: return 0;
  }
}

/* HELLO's and REFUSED's versions say nothing: they are of all. */
static int is_known_to(uint16_t version, uint16_t type) {
  const int is_of_cards =
      (type >= LOCKSTEP_ATTACH_NETWORK_REQUEST && type <= LOCKSTEP_ATTACH_GIVE_UP) ||
      type == LOCKSTEP_ATTACH_NETWORK || type == LOCKSTEP_ATTACH_CARDS;
  const int is_of_rounds = type == LOCKSTEP_ATTACH_WATCH_ROUNDS ||
                           type == LOCKSTEP_ATTACH_EXCLUDE || type == LOCKSTEP_ATTACH_ROUND;
  if (is_of_rounds) return version >= LOCKSTEP_ATTACH_ROUNDS_VERSION;
  return !is_of_cards || version >= LOCKSTEP_ATTACH_CARDS_VERSION;
}

const char* lockstep_attach_check(const union lockstep_attach_message* message, size_t length,
                                  enum lockstep_attach_side side, uint16_t agreed) {
  const struct lockstep_attach_header* const header = &message->header;
  if (length < sizeof *header) return "message shorter than its header";
  if (header->magic != LOCKSTEP_ATTACH_MAGIC) return "not an attach message (wrong magic number)";
  if (!is_right_version(header, agreed)) return "another version of the attach protocol";
  enum lockstep_attach_side sender;
  const size_t expected = length_of(header->type, &sender);
  if (expected == 0 || sender != side || !is_known_to(header->version, header->type))
    return "message of an unexpected type";
  if (length != expected || header->length != expected) return "message of a wrong length";
  switch (header->type) {
    case LOCKSTEP_ATTACH_HELLO: return check_hello(&message->hello);
    case LOCKSTEP_ATTACH_SEGMENT_REQUEST: return check_segment_request(&message->segment_request);
    case LOCKSTEP_ATTACH_CARD: return check_card(&message->card);
    case LOCKSTEP_ATTACH_NETWORK: return check_network(&message->network);
    case LOCKSTEP_ATTACH_CARDS: return check_cards(&message->cards);
    case LOCKSTEP_ATTACH_EXCLUDE: return check_exclude(&message->exclude);
    case LOCKSTEP_ATTACH_ROUND:
      return message->round.gone_count <= LOCKSTEP_ATTACH_MAX_MEMBERS ? NULL
                                                                      : "more ranks than a job has";
    case LOCKSTEP_ATTACH_WORLD: return check_world(&message->world);
    case LOCKSTEP_ATTACH_REFUSED:
      return terminated(message->refused.text, sizeof message->refused.text)
                 ? NULL
                 : "text without an end";
    case LOCKSTEP_ATTACH_SEGMENT:
      return terminated(message->segment.text, sizeof message->segment.text)
                 ? NULL
                 : "text without an end";
    default: return NULL;
  }
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

int lockstep_attach_decode_cookie(const char* text, uint8_t cookie[LOCKSTEP_ATTACH_COOKIE_BYTES]) {
  for (size_t i = 0; i < LOCKSTEP_ATTACH_COOKIE_BYTES; ++i) {
    const int high = hex_value(text[2 * i]);
    /* The first bad digit may be the text's end. */
    const int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
    if (low < 0) return -1;
    cookie[i] = (uint8_t)(high << 4 | low);
  }
  return text[2 * LOCKSTEP_ATTACH_COOKIE_BYTES] == '\0' ? 0 : -1;
}

void lockstep_attach_encode_cookie(const uint8_t cookie[LOCKSTEP_ATTACH_COOKIE_BYTES],
                                   char text[2 * LOCKSTEP_ATTACH_COOKIE_BYTES + 1]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < LOCKSTEP_ATTACH_COOKIE_BYTES; ++i) {
    text[2 * i] = digits[cookie[i] >> 4];
    text[2 * i + 1] = digits[cookie[i] & 15];
  }
  text[2 * LOCKSTEP_ATTACH_COOKIE_BYTES] = '\0';
}
