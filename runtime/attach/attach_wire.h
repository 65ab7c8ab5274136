// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_ATTACH_ATTACH_WIRE_H_
#define LOCKSTEP_RUNTIME_ATTACH_ATTACH_WIRE_H_
/* What a rank's process and its agent say to each other, byte for byte.
 *
 * Transport: a unix socket of type SOCK_SEQPACKET, so that a message arrives whole or not at all,
 * together with the descriptors that belong to it. Little endian; every struct is naturally
 * aligned, without padding, and is sent as it lies in memory. Texts are zero-terminated and
 * zero-filled.
 *
 *   message  := header body                       header.length counts both
 *   rank     := HELLO ( SEGMENT_REQUEST | PROGRESS | NETWORK_REQUEST | CARD [GIVE_UP]
 *                     | WATCH_ROUNDS | EXCLUDE )*
 *   agent    := REFUSED close
 *             | WORLD+fd ( SEGMENT[+fd] | STOP | CHECKPOINT | NETWORK | CARDS[+fd] | ROUND+fd )*
 *
 * - Versions: header, HELLO and REFUSED are the same in all of them, for ever, and bear version 0.
 *   HELLO names the versions that the rank speaks, from lowest to highest; the agent takes the
 *   highest that it speaks too, and every message from WORLD on bears that one, for as long as the
 *   connection lasts: from WORLD the rank learns it, and a message of any other is refused. Where
 *   there is none the agent says so in REFUSED, which any rank can read.
 * - The rank speaks first, with the cookie that its environment names (LOCKSTEP_COOKIE); the cookie
 *   says which rank and incarnation it is, and is void once its round has ended. REFUSED says why
 *   and is the last message.
 * - WORLD carries the descriptor of the rank's recorder ring (collectives/recorder/record.h).
 * - SEGMENT answers one SEGMENT_REQUEST, by request_id; with status OK it carries a descriptor, the
 *   same memory for all members that ask for the same {group_id, epoch, bytes, member_count}. Once
 *   each of them (by member_index) has it, the agent forgets it: the next request of that kind
 *   begins another.
 * - From version 2 on, ranks of several machines meet. NETWORK answers one NETWORK_REQUEST: where
 *   to listen, and with which key connections of this round's ranks prove themselves. CARD says how
 *   this member of a group is reached, in bytes that ranks alone understand; CARDS answers it once
 *   all members, on all machines, have come, with a descriptor: a file of `table_bytes`, for each
 *   member its card's length (4 bytes) and its bytes. A connection carries one CARD at a time.
 *   GIVE_UP asks for CARDS at once, in which members that have not come have empty cards; who
 *   closes the connection meanwhile takes its card back.
 * - From version 3 on, ranks outlive others where WORLD's flags have KEEPS_SURVIVORS. After
 *   WATCH_ROUNDS a connection is told by ROUND, now and later, which round is in force when that is
 *   no more the one that its process was started in. Its descriptor is a file of `gone_count`
 *   structs lockstep_attach_gone: the ranks, of all machines, that are no members of it. A later
 *   ROUND replaces the one before. In a round only its members are served, and cards are of no
 *   other; segments also of the rounds before, for groups that have lost nobody. EXCLUDE says that
 *   the others are to go on without a rank that may still live: a ROUND follows, or nothing when
 *   the sender was excluded before that.
 * - STOP and CHECKPOINT are notices: they may come at any time after WORLD and need no answer. A
 *   repeated notice replaces the one before.
 * - Either side closes to end. A message that breaks these rules closes the connection; unknown
 *   types too, since the version was agreed upon.
 *
 * Worked examples (offsets in bytes). HELLO of a rank that speaks version 1 alone:
 *   0: 4c 53 41 31   magic "LSA1"      4: 01 00   type HELLO      6: 00 00   version 0: for all
 *   8: 38 00 00 00   length 56        12: 00 00 00 00   reserved
 *  16: 01 00   lowest version 1       18: 01 00   highest version 1
 *  20: 00 00 00 00   reserved         24: 32 bytes of cookie
 * REFUSED, FAILED_PRECONDITION:
 *   0: 4c 53 41 31   magic             4: 10 00   type REFUSED    6: 00 00   version 0: for all
 *   8: 10 02 00 00   length 528       12: 00 00 00 00   reserved
 *  16: 09 00 00 00   status 9         20: 00 00 00 00   reserved
 *  24: 504 bytes of text, zero-terminated */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define LOCKSTEP_ATTACH_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define LOCKSTEP_ATTACH_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define LOCKSTEP_ATTACH_MAGIC 0x3141534cu /* "LSA1" */
/* What this code speaks. */
#define LOCKSTEP_ATTACH_VERSION 3u
#define LOCKSTEP_ATTACH_LOWEST_VERSION 1u
#define LOCKSTEP_ATTACH_COOKIE_BYTES 32u
#define LOCKSTEP_ATTACH_MAX_MESSAGE 8192u
#define LOCKSTEP_ATTACH_MAX_MEMBERS 65536u
#define LOCKSTEP_ATTACH_MAX_SEGMENT_BYTES (UINT64_C(1) << 40)
/* The first with NETWORK_REQUEST, CARD, GIVE_UP, NETWORK and CARDS. */
#define LOCKSTEP_ATTACH_CARDS_VERSION 2u
/* The first with WATCH_ROUNDS, EXCLUDE and ROUND. */
#define LOCKSTEP_ATTACH_ROUNDS_VERSION 3u
#define LOCKSTEP_ATTACH_KEY_BYTES 32u
/* A name of 255 bytes and a few addresses; so that all cards go into one message between agents. */
#define LOCKSTEP_ATTACH_MAX_CARD_BYTES 512u
#define LOCKSTEP_ATTACH_MAX_CARDS 1024u

enum lockstep_attach_type {
  LOCKSTEP_ATTACH_HELLO = 1,
  LOCKSTEP_ATTACH_SEGMENT_REQUEST = 2,
  LOCKSTEP_ATTACH_PROGRESS = 3,
  LOCKSTEP_ATTACH_NETWORK_REQUEST = 4,
  LOCKSTEP_ATTACH_CARD = 5,
  LOCKSTEP_ATTACH_GIVE_UP = 6,
  LOCKSTEP_ATTACH_WATCH_ROUNDS = 7,
  LOCKSTEP_ATTACH_EXCLUDE = 8,
  LOCKSTEP_ATTACH_REFUSED = 16,
  LOCKSTEP_ATTACH_WORLD = 17,
  LOCKSTEP_ATTACH_SEGMENT = 18,
  LOCKSTEP_ATTACH_STOP = 19,
  LOCKSTEP_ATTACH_CHECKPOINT = 20,
  LOCKSTEP_ATTACH_NETWORK = 21,
  LOCKSTEP_ATTACH_CARDS = 22,
  LOCKSTEP_ATTACH_ROUND = 23
};

/* Flags of WORLD. */
#define LOCKSTEP_ATTACH_KEEPS_SURVIVORS 1u

/* The status of REFUSED, SEGMENT, NETWORK and CARDS: the canonical codes of
 * runtime/base/status.h. */

/* For ever as it is. */
struct lockstep_attach_header {
  uint32_t magic;
  uint16_t type;
  uint16_t version; /* the one agreed upon; 0 in HELLO and REFUSED */
  uint32_t length;
  uint32_t reserved; /* 0 */
};

/* For ever as it is. */
struct lockstep_attach_hello {
  struct lockstep_attach_header header;
  uint16_t lowest_version; /* that the rank speaks; at least 1 */
  uint16_t highest_version;
  uint32_t reserved; /* 0 */
  uint8_t cookie[LOCKSTEP_ATTACH_COOKIE_BYTES];
};

struct lockstep_attach_segment_request {
  struct lockstep_attach_header header;
  uint64_t request_id;
  uint64_t group_id;
  uint64_t bytes;
  uint32_t epoch;
  uint32_t member_count;
  uint32_t member_index;
  uint32_t reserved; /* 0 */
};

struct lockstep_attach_progress {
  struct lockstep_attach_header header;
  int64_t step;
  int64_t reserved; /* 0 */
};

struct lockstep_attach_network_request {
  struct lockstep_attach_header header;
};

struct lockstep_attach_card {
  struct lockstep_attach_header header;
  uint64_t group_id;
  uint32_t epoch;
  uint32_t member_count;
  uint32_t member_index;
  uint32_t card_bytes; /* at least 1 */
  uint8_t card[LOCKSTEP_ATTACH_MAX_CARD_BYTES];
};

struct lockstep_attach_give_up {
  struct lockstep_attach_header header;
};

struct lockstep_attach_watch_rounds {
  struct lockstep_attach_header header;
};

struct lockstep_attach_exclude {
  struct lockstep_attach_header header;
  int32_t rank;      /* of the world */
  uint32_t reserved; /* 0 */
  char why[248];
};

/* For ever as it is. */
struct lockstep_attach_refused {
  struct lockstep_attach_header header;
  uint32_t status;
  uint32_t reserved;
  char text[504];
};

struct lockstep_attach_world {
  struct lockstep_attach_header header;
  int32_t rank;
  int32_t local_rank;
  int32_t world_size;
  int32_t local_world_size;
  int32_t node_index;
  int32_t node_count;
  uint32_t round;
  uint32_t incarnation;
  uint32_t restart_count;
  uint32_t flags; /* before version 3: 0 */
  uint64_t ring_bytes;
  char job[128];
  char host[256];
  char checkpoint_directory[4096]; /* "" = none */
};

struct lockstep_attach_segment {
  struct lockstep_attach_header header;
  uint64_t request_id;
  uint64_t bytes;
  uint32_t status; /* 0 = OK, and a descriptor comes with it */
  uint32_t reserved;
  char text[512];
};

struct lockstep_attach_stop {
  struct lockstep_attach_header header;
  uint64_t grace_ms; /* until the rank is killed */
};

struct lockstep_attach_checkpoint {
  struct lockstep_attach_header header;
  uint64_t number; /* of the request, from 1 */
};

struct lockstep_attach_network {
  struct lockstep_attach_header header;
  uint32_t status;     /* 0 = OK */
  uint16_t first_port; /* to listen on one of these; 0 = any */
  uint16_t last_port;
  uint8_t key[LOCKSTEP_ATTACH_KEY_BYTES]; /* of this job and round */
  char host_id[64];                       /* equal exactly for ranks of one machine */
  char listen_address[64];                /* numeric */
  char address[64];                       /* by which other machines reach that; numeric */
  char text[512];
};

struct lockstep_attach_cards {
  struct lockstep_attach_header header;
  uint64_t group_id;
  uint64_t table_bytes;
  uint32_t epoch;
  uint32_t status; /* 0 = OK, and a descriptor comes with it */
  char text[512];
};

struct lockstep_attach_round {
  struct lockstep_attach_header header;
  uint32_t round; /* in force from now on */
  uint32_t gone_count;
};

/* In the file that comes with ROUND. */
struct lockstep_attach_gone {
  int32_t rank;
  uint32_t reserved;
  char why[248];
};

LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_header) == 16, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_hello) == 56, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_segment_request) == 56, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_progress) == 32, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_refused) == 528, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_world) == 4544, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_segment) == 552, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_stop) == 24, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_checkpoint) == 24, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_network_request) == 16, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_card) == 552, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_give_up) == 16, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_network) == 760, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_cards) == 552, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_watch_rounds) == 16, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_exclude) == 272, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_round) == 24, "wire layout");
LOCKSTEP_ATTACH_ASSERT(sizeof(struct lockstep_attach_gone) == 256, "wire layout");
LOCKSTEP_ATTACH_ASSERT(offsetof(struct lockstep_attach_hello, cookie) == 24, "wire layout");
LOCKSTEP_ATTACH_ASSERT(offsetof(struct lockstep_attach_refused, text) == 24, "wire layout");
LOCKSTEP_ATTACH_ASSERT(offsetof(struct lockstep_attach_segment_request, epoch) == 40,
                       "wire layout");
LOCKSTEP_ATTACH_ASSERT(offsetof(struct lockstep_attach_world, job) == 64, "wire layout");

/* Room for any message, aligned for all. */
union lockstep_attach_message {
  struct lockstep_attach_header header;
  struct lockstep_attach_hello hello;
  struct lockstep_attach_segment_request segment_request;
  struct lockstep_attach_progress progress;
  struct lockstep_attach_network_request network_request;
  struct lockstep_attach_card card;
  struct lockstep_attach_give_up give_up;
  struct lockstep_attach_watch_rounds watch_rounds;
  struct lockstep_attach_exclude exclude;
  struct lockstep_attach_refused refused;
  struct lockstep_attach_world world;
  struct lockstep_attach_segment segment;
  struct lockstep_attach_stop stop;
  struct lockstep_attach_checkpoint checkpoint;
  struct lockstep_attach_network network;
  struct lockstep_attach_cards cards;
  struct lockstep_attach_round round;
  unsigned char bytes[LOCKSTEP_ATTACH_MAX_MESSAGE];
};

/* Who may send a message. */
enum lockstep_attach_side { LOCKSTEP_ATTACH_FROM_RANK = 0, LOCKSTEP_ATTACH_FROM_AGENT = 1 };

/* The highest version of both ranges, that of `hello` and this code's; 0 when they have none in
 * common. */
uint16_t lockstep_attach_agree(const struct lockstep_attach_hello* hello);

/* Fills in the header of a message of `type` whose struct has `length` bytes. `version` is the
 * connection's; 0 for HELLO and REFUSED. */
void lockstep_attach_set_header(struct lockstep_attach_header* header,
                                enum lockstep_attach_type type, uint16_t version, size_t length);

/* Checks `length` received bytes: header, version, type, exact length, ranges of fields,
 * termination of texts. NULL when they are a message that `side` may send; else what is wrong, a
 * constant text. `agreed` is the connection's version; 0 before it has one, when any that this code
 * speaks will do. Reads nothing beyond `length`; any bytes are safe. */
const char* lockstep_attach_check(const union lockstep_attach_message* message, size_t length,
                                  enum lockstep_attach_side side, uint16_t agreed);

/* 64 hexadecimal digits to a cookie and back. Decoding returns 0, or -1 when the text is anything
 * else. */
int lockstep_attach_decode_cookie(const char* text, uint8_t cookie[LOCKSTEP_ATTACH_COOKIE_BYTES]);
void lockstep_attach_encode_cookie(const uint8_t cookie[LOCKSTEP_ATTACH_COOKIE_BYTES],
                                   char text[2 * LOCKSTEP_ATTACH_COOKIE_BYTES + 1]);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LOCKSTEP_RUNTIME_ATTACH_ATTACH_WIRE_H_ */
