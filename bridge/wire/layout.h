/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What two bridges send each other, byte by byte: docs/bridge-protocol.md, "Frames".
 *
 * Everything is little-endian and unaligned. A frame is a head and a body; a body begins with the fixed part that is here and goes on with
 * the strings or bytes that the fixed part counts. Receivers ignore what comes after that: a later version may put something there.
 * Frames of types that a receiver does not know are ignored as well.
 */

#include <stdint.h>

enum {
        WIRE_VERSION = 1,
        WIRE_MAGIC = 0x62706378,                /* "xcpb" */
};

#define WIRE_BODY_MAX (64u * 1024)              /* of one frame: a reader needs no more memory than that */
#define WIRE_FRAGMENT_MAX (16u * 1024)          /* of a message's bytes in one frame: what a ping waits behind, besides the ring */
#define WIRE_MESSAGE_MAX (128u * 1024 * 1024)   /* D-Bus Specification, "Message Format" */
#define WIRE_MESSAGE_MIN 16u                    /* the same, the fixed part of a header */
#define WIRE_NAME_MAX 255u                      /* D-Bus Specification, "Valid Names" */
#define WIRE_TEXT_MAX 1024u                     /* of a sentence for a person */
#define WIRE_RULE_MAX 1024u                     /* of a match rule, as dbus-daemon has it (DBUS_MAXIMUM_MATCH_RULE_LENGTH) */
#define WIRE_WINDOW (128u * 1024)               /* bytes of messages that a stream may have on its way or waiting at the other end */
#define WIRE_WINDOW_MAX (16u * 1024 * 1024)     /* the most that a peer's hello may allow */
#define WIRE_PEERS_MAX 1024u                    /* connections of one domain on the other's bus */
#define WIRE_NAMES_MAX 1024u                    /* well-known names, owned or activatable, that one domain tells the other */
#define WIRE_RULES_MAX 8192u                    /* subscriptions of one domain at the other's: bus.policy, matches-per-connection */
#define WIRE_STREAMS_MAX 1024u                  /* descriptors that one domain has the other carry at once: as policy's limit fds */
#define WIRE_STREAM_CREDIT_MAX (16u * 1024 * 1024)      /* bytes that a descriptor's sender may be allowed at once */
#define WIRE_PACKET_MAX (32u * 1024)            /* bytes of one packet of a seqpacket socket: it goes in one frame */
#define WIRE_PACKET_COST 32u                    /* of credit, that a packet takes besides its bytes: so many empty ones are not free */
#define WIRE_COPY_MAX (64u * 1024 * 1024)       /* bytes of a descriptor that is copied */
#define WIRE_DESCRIPTORS_MAX 253u               /* of one message: unix(7), SCM_MAX_FD */
#define WIRE_CALLS_MAX 16384u                   /* calls without an answer, each way: bus.policy, replies-per-connection */

/* A new type goes to the end. A type that is no longer used keeps its number. */
enum wire_type {
        WIRE_HELLO = 1,
        WIRE_PEER,
        WIRE_PEER_GONE,
        WIRE_NAME,
        WIRE_NAME_GONE,
        WIRE_ACTIVATABLE,
        WIRE_START,
        WIRE_STARTED,
        WIRE_SUBSCRIBE,
        WIRE_UNSUBSCRIBE,
        WIRE_MESSAGE,
        WIRE_FRAGMENT,
        WIRE_REFUSED,
        WIRE_CREDIT,
        WIRE_PING,
        WIRE_PONG,
        WIRE_GOODBYE,
        WIRE_DESCRIPTORS,
        WIRE_DATA,
        WIRE_DATA_CREDIT,
        WIRE_DATA_END,
        WIRE_DATA_STOP,
        _WIRE_TYPE_N,
};

enum wire_goodbye {                             /* why, for a program */
        WIRE_GOODBYE_STOPPING = 1,              /* the bridge was asked to */
        WIRE_GOODBYE_BUS_LOST,                  /* there is no bus to join any longer */
        WIRE_GOODBYE_VIOLATION,                 /* the receiver of this broke the protocol */
        WIRE_GOODBYE_VERSION,                   /* there is no version that both speak */
        WIRE_GOODBYE_IDENTITY,                  /* the receiver of this is not the domain that was expected */
        WIRE_GOODBYE_RESOURCES,                 /* a limit was reached that one cannot go on with */
};

enum wire_feature {                             /* bits of what a sender of a hello understands */
        WIRE_FEATURE_DESCRIPTORS = 1,           /* WIRE_DESCRIPTORS and the types after it */
};

#define WIRE_PACKED __attribute__((packed))

struct wire_head {
        uint32_t n_body;
        uint16_t type;
        uint16_t reserved;                      /* 0; ignored */
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_head) == 8, "docs/bridge-protocol.md");

/* The first frame each way. */
struct wire_hello {
        uint32_t magic;
        uint16_t version_min, version_max;      /* what the sender speaks; the highest that both do is what is spoken */
        uint32_t features;                      /* what the sender understands beyond its version: enum wire_feature */
        uint32_t domain;                        /* the sender's id, as it has it */
        uint8_t uuid[16];                       /* the sender's, as it has it; 0 if it does not know */
        uint8_t instance[16];                   /* random, of this process */
        uint64_t epoch;                         /* the sender's number of this link */
        uint32_t window;                        /* bytes of messages that each stream to the sender may begin with */
        uint32_t message_max;                   /* the largest message that the sender takes */
        uint32_t peers_max;                     /* the most peers that the sender takes */
        uint32_t names_max;                     /* the most names that the sender takes */
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_hello) == 72, "docs/bridge-protocol.md");

/* A connection of the sender's bus that is about to talk or to be talked to. Its id is the number of its stream. */
struct wire_peer {
        uint32_t id;                            /* the sender's choice, not 0 and never used twice on a link */
        uint8_t hops;                           /* how many links it is away from the sender's bus: 0 or 1 */
        uint8_t reserved;
        uint16_t n_name;                        /* the unique name there, which follows */
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_peer) == 8, "docs/bridge-protocol.md");

struct wire_peer_gone {
        uint32_t id;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_peer_gone) == 4, "docs/bridge-protocol.md");

/* A peer owns a well-known name, which nobody did or another peer did until now. */
struct wire_name {
        uint32_t id;
        uint16_t n_name;
        uint16_t reserved;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_name) == 8, "docs/bridge-protocol.md");

struct wire_name_gone {
        uint16_t n_name;
        uint16_t reserved;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_name_gone) == 4, "docs/bridge-protocol.md");

/* Whether the sender's bus would start a service of this name. */
struct wire_activatable {
        uint16_t n_name;
        uint8_t is;                             /* 1 or 0 */
        uint8_t hops;                           /* how many links the domain is away in which it would be started: 0 or 1 */
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_activatable) == 4, "docs/bridge-protocol.md");

/* Asks for the start of a service; answered by WIRE_STARTED. */
struct wire_start {
        uint64_t tag;                           /* the sender's choice */
        uint16_t n_name;
        uint16_t reserved;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_start) == 12, "docs/bridge-protocol.md");

/* How a call or a start went wrong, or (WIRE_STARTED without an error's name) that it did not: the error's name and a sentence follow. */
struct wire_result {
        uint64_t tag;                           /* of WIRE_START, or the call of WIRE_MESSAGE */
        uint16_t n_error;
        uint16_t n_text;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_result) == 12, "docs/bridge-protocol.md");

struct wire_subscribe {
        uint32_t id;                            /* the sender's choice, of no other subscription that there is */
        uint16_t n_rule;                        /* a match rule in canonical form follows */
        uint16_t reserved;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_subscribe) == 8, "docs/bridge-protocol.md");

struct wire_unsubscribe {
        uint32_t id;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_unsubscribe) == 4, "docs/bridge-protocol.md");

enum wire_message_flag {
        WIRE_MESSAGE_REPLY = 1,                 /* it answers a call of the receiver's side */
        WIRE_MESSAGE_DESCRIPTORS = 2,           /* the oldest WIRE_DESCRIPTORS of its stream that no message had is its own */
};

/* The beginning of a message; as much of its bytes as the frame has follows. */
struct wire_message {
        uint32_t stream;                        /* the sender's peer that sent it; 0: the sender's bus itself */
        uint32_t destination;                   /* the receiver's peer that it is for; 0: a broadcast, or the name that is in it */
        uint64_t call;                          /* of a call: its number, 0 if no reply is expected. Of a reply: what it answers */
        uint32_t size;                          /* of the whole message */
        uint32_t flags;                         /* enum wire_message_flag; others are ignored */
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_message) == 24, "docs/bridge-protocol.md");

struct wire_fragment {
        uint32_t stream;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_fragment) == 4, "docs/bridge-protocol.md");

/* The receiver may send that many more bytes of messages on one of its streams. */
struct wire_credit {
        uint32_t stream;
        uint32_t n_bytes;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_credit) == 8, "docs/bridge-protocol.md");

struct wire_ping {                              /* and pong */
        uint64_t cookie;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_ping) == 8, "docs/bridge-protocol.md");

struct wire_goodbye_body {
        uint32_t reason;                        /* enum wire_goodbye, or one that this version does not know */
        uint16_t n_text;
        uint16_t reserved;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_goodbye_body) == 8, "docs/bridge-protocol.md");

/* What a descriptor is to whom it is given; it is carried as a stream of bytes, or of packets. */
enum wire_descriptor_kind {
        WIRE_PIPE_READER = 1,
        WIRE_PIPE_WRITER,
        WIRE_SOCKET_STREAM,
        WIRE_SOCKET_PACKETS,
        WIRE_TERMINAL,
        WIRE_TERMINAL_MASTER,
        WIRE_COPY_MEMORY,                       /* a sealed memfd */
        WIRE_COPY_FILE,                         /* a file that can be read only */
        _WIRE_DESCRIPTOR_KIND_N,
};

/* The descriptors of a message that is going to come, in their order; n of struct wire_descriptor follow. */
struct wire_descriptors {
        uint32_t stream;                        /* the message's */
        uint16_t n;                             /* 1 to WIRE_DESCRIPTORS_MAX */
        uint16_t reserved;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_descriptors) == 8, "docs/bridge-protocol.md");

struct wire_descriptor {
        uint32_t id;                            /* the sender's choice, of no other descriptor of its own that there is */
        uint16_t kind;                          /* enum wire_descriptor_kind, or one that this version does not know */
        uint16_t reserved;
        uint64_t size;                          /* of a copy: bytes */
        uint64_t offset;                        /* of a copy: where it is read next */
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_descriptor) == 24, "docs/bridge-protocol.md");

enum wire_side {                                /* whose id it is */
        WIRE_SENDERS = 0,                       /* the descriptor was announced by who sends this frame */
        WIRE_RECEIVERS = 1,
};

/* Bytes of a descriptor follow, or one packet. */
struct wire_data {
        uint32_t id;
        uint8_t side;                           /* enum wire_side */
        uint8_t reserved[3];
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_data) == 8, "docs/bridge-protocol.md");

struct wire_data_credit {
        uint32_t id;
        uint8_t side;
        uint8_t reserved[3];
        uint32_t n_bytes;
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_data_credit) == 12, "docs/bridge-protocol.md");

enum wire_data_reason {
        WIRE_DATA_HALF = 0,                     /* nothing more is sent; what is sent to it, is taken */
        WIRE_DATA_CLOSED,                       /* nobody has the descriptor any longer */
        WIRE_DATA_FAILED,                       /* something went wrong: of a copy, it is not whole */
};

/* WIRE_DATA_END: nothing more comes of this descriptor. WIRE_DATA_STOP: nothing more is taken, what comes is dropped. */
struct wire_data_end {
        uint32_t id;
        uint8_t side;
        uint8_t reason;                         /* enum wire_data_reason; of WIRE_DATA_STOP, 0 */
        uint8_t reserved[2];
} WIRE_PACKED;
_Static_assert(sizeof(struct wire_data_end) == 8, "docs/bridge-protocol.md");

const char *wire_type_name(uint16_t type);      /* for the log; "unknown" for one that this version does not know */
