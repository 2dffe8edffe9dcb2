/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The client of a monitor: commands and their replies, one after another, and the events between them.
 *
 * One command is under way at a time. QEMU would take eight; but of descriptors that come with commands it keeps only the last, so
 * that one that is not taken yet would be lost. What the peer may not say ends the connection; at first it may answer what was asked for on an
 * earlier one. A peer that does not stop telling of events is heard a thousand a second, and one that does not answer has a thousand commands to
 * do. Who asked hears in time that there is no answer; the connection goes on, since a QEMU that is held up by a disk may be well again: what it
 * still says to that is nobody's.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

struct json_object;
struct qmp;

/*
 * A reply: r is 0 and value what was returned; -EIO, and why says what QEMU did not like; -ETIMEDOUT, and why says which command had how
 * long: one that was not sent is not done any more, one that was may be yet; or -ENOTCONN, and why says what became of the connection. Both are
 * gone after it.
 */
typedef void (*qmp_reply_t)(void *userdata, int r, struct json_object *value, const char *why);

struct qmp_listener {
        void (*event)(void *userdata, const char *name, struct json_object *data);      /* data may be NULL */
        void (*late)(void *userdata);   /* what had no answer in time has one: the guest may be what it is not known to be */
        void (*gone)(void *userdata, bool violated, const char *why);   /* after the replies to all commands; free it now or later */
        uint64_t answer_ms;             /* what a command has from qmp_execute() to its reply, those before it included; without a reply, it has no end */
};

/* fd is a stream socket that is connected; it is taken. The listener is kept, not copied. */
int qmp_new(struct qmp **ret_qmp, sd_event *event, int fd, const struct qmp_listener *listener, void *userdata);
struct qmp *qmp_free(struct qmp *qmp);  /* nobody hears of what was under way */

/*
 * Has a command, which is a literal, executed after those before it. arguments, which may be NULL, is taken; a descriptor (-1: none) is copied. Its reply
 * comes from the event loop. ret_id, which may be NULL, gets what qmp_forget() needs. -EBUSY: too many wait.
 */
int qmp_execute(struct qmp *qmp, const char *command, struct json_object *arguments, int fd, qmp_reply_t reply, void *userdata,
                uint64_t *ret_id);

/* Nobody hears of its reply. */
void qmp_forget(struct qmp *qmp, uint64_t id);
