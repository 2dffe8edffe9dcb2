/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * D-Bus messages: what a header says, and headers that say something else before the same body.
 *
 * A struct message is a view: it points into bytes that belong to the caller, who must not change them while it is used, and who must
 * have copied them out of any memory that another domain can write. message_parse() makes a view of bytes, and message_write_header()
 * makes bytes of a view. To give a message another header, change the view's fields and write them: byte order and fields of the header
 * that this code does not know stay as they were, and the body's bytes follow unchanged, because a header always ends at a multiple of 8.
 * To make a message from nothing, fill a view in by hand (body.h has writers for bodies).
 *
 * Rules: D-Bus Specification, "Message Protocol". What is accepted here libdbus accepts too, so no broker disconnects for it. These it
 * accepts and they are refused here (test-reference.c holds both to that):
 *   - more than MESSAGE_FIELDS_MAX bytes of fields;
 *   - more than 32 arrays within each other in a signature if there are structs between them (libdbus counts those that follow directly);
 *   - a handle that is not less than the number of descriptors;
 *   - a unique name that is not elements with dots between them;
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a message that must be there before its length is known: the fixed part of a header. */
#define MESSAGE_FIXED_SIZE 16u
/* D-Bus's own limit for a message. */
#define MESSAGE_SIZE_MAX (UINT32_C(1) << 27)
/*
 * Bytes of all header fields together; D-Bus itself allows 2^26. An object path, the only field without a limit of its own, can have
 * 65,536 bytes in sd-bus; six names and signatures of 255 bytes and as many bytes of fields that do not exist yet fit beside it.
 */
#define MESSAGE_FIELDS_MAX (128u * 1024)
/* So this is the longest header, padding included. */
#define MESSAGE_HEADER_MAX (MESSAGE_FIXED_SIZE + MESSAGE_FIELDS_MAX)

enum message_type {             /* others may come and are to be ignored */
        MESSAGE_METHOD_CALL = 1,
        MESSAGE_METHOD_RETURN = 2,
        MESSAGE_ERROR = 3,
        MESSAGE_SIGNAL = 4,
};

enum message_flag {             /* others may come and are to be ignored */
        MESSAGE_NO_REPLY_EXPECTED = 0x1,
        MESSAGE_NO_AUTO_START = 0x2,
        MESSAGE_ALLOW_INTERACTIVE_AUTHORIZATION = 0x4,
};

/* What can be wrong with a message. These are positive results; message_fault_name() has their names for logs. */
enum message_fault {
        MESSAGE_TRUNCATED = 1,          /* fewer bytes than it says it has */
        MESSAGE_TRAILING,               /* more bytes than it says it has */
        MESSAGE_BAD_ENDIAN,             /* neither l nor B */
        MESSAGE_BAD_VERSION,            /* not 1 */
        MESSAGE_BAD_TYPE,               /* type 0 */
        MESSAGE_BAD_SERIAL,             /* serial 0 */
        MESSAGE_TOO_LARGE,              /* more than MESSAGE_SIZE_MAX */
        MESSAGE_FIELDS_TOO_LARGE,       /* more than MESSAGE_FIELDS_MAX */
        MESSAGE_BAD_PADDING,            /* padding that is not zero */
        MESSAGE_BAD_FIELD,              /* field 0 */
        MESSAGE_BAD_FIELD_TYPE,         /* a known field with the wrong type */
        MESSAGE_DUPLICATE_FIELD,        /* a known field twice */
        MESSAGE_MISSING_FIELD,          /* one that its type must have */
        MESSAGE_BAD_PATH,
        MESSAGE_BAD_INTERFACE,
        MESSAGE_BAD_MEMBER,
        MESSAGE_BAD_ERROR_NAME,
        MESSAGE_BAD_DESTINATION,
        MESSAGE_BAD_SENDER,
        MESSAGE_BAD_CONTAINER,
        MESSAGE_BAD_REPLY_SERIAL,       /* 0 */
        MESSAGE_LOCAL,                  /* org.freedesktop.DBus.Local..., or that path: only a library tells its own program */
        MESSAGE_BAD_SIGNATURE,          /* in the header, a variant or a value of type g: no list of complete types */
        MESSAGE_TOO_DEEP,               /* too many containers within each other */
        MESSAGE_BAD_STRING,             /* not UTF-8, or a NUL in it or none after it */
        MESSAGE_BAD_BOOLEAN,            /* neither 0 nor 1 */
        MESSAGE_BAD_ARRAY,              /* longer than 2^26 bytes, or its end is not the end of an element */
        MESSAGE_BAD_VALUE_PATH,         /* a value of type o that is no object path */
        MESSAGE_BAD_HANDLE,             /* a value of type h that is no index into the message's descriptors */
        MESSAGE_BODY_MISMATCH,          /* a body without a signature, a signature without a body, or one longer than its signature says */
        _MESSAGE_FAULT_MAX,
};

struct message {
        bool big_endian;                /* the byte order of all of it, body included */
        uint8_t type;                   /* enum message_type, or something later */
        uint8_t flags;                  /* enum message_flag */
        uint32_t serial;                /* never 0 */
        uint32_t reply_serial;          /* 0: the field is absent; so with the following, where absent is NULL */
        const char *path;
        const char *interface;
        const char *member;
        const char *error_name;
        const char *destination;
        const char *sender;
        const char *signature;          /* of the body; NULL if it has none, or "" for one */
        uint32_t n_fds;                 /* descriptors that it says it has */
        const char *container;          /* the sender's container, which like sender is for a bus to say: it is read and never written */

        const uint8_t *unknown;         /* the header's fields, among which are those not known here; NULL if there are none such */
        size_t n_unknown;

        const uint8_t *body;            /* NULL if there is none */
        size_t n_body;
};

/*
 * The length of a message whose first n bytes, at least MESSAGE_FIXED_SIZE, are given. Returns 0 and the length, header and body, at least
 * MESSAGE_FIXED_SIZE and at most MESSAGE_SIZE_MAX; or a fault, and then nobody can know where the next message begins.
 */
int message_length(const void *data, size_t n, size_t *ret_length);

/*
 * Reads the header of a whole message. Returns 0 and a view, or a fault. The body is not looked at (message_check_body() of body.h does).
 * The time it takes is bounded by the header's length, and nothing is allocated.
 */
int message_parse(const void *data, size_t n, struct message *ret_message);

/* The bytes message_write_header() makes for this view: a multiple of 8, for any fields that fit in memory. */
size_t message_header_size(const struct message *message);

/*
 * Writes a header for what the view says: to a buffer of n bytes, which the view's own strings and unknown fields must not be in. The
 * strings must be valid (names.h), and serial not 0: that is not checked here. Returns 0 and the header's length, after which the body is
 * to follow; or -EMSGSIZE if the header were longer than n or MESSAGE_HEADER_MAX, or it and the body longer than MESSAGE_SIZE_MAX.
 */
int message_write_header(const struct message *message, void *data, size_t n, size_t *ret_size);

/* Allocates and writes header and body; frees with free(). Returns 0, -ENOMEM or -EMSGSIZE. */
int message_write(const struct message *message, uint8_t **ret_data, size_t *ret_size);

/* Whether a reply to it may be sent and is waited for. */
bool message_expects_reply(const struct message *message);

/* A word such as bad-path; never NULL for a positive result of these functions. */
const char *message_fault_name(int fault);

/* A word such as method_call, as match rules have it; "unknown" for what is none. */
const char *message_type_name(uint8_t type);
