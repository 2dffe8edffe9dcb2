/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * QEMU guests elsewhere: in a file, or on their way to another manager.
 *
 * Either way it is a line "xcp-qemu-stream 1 SIZE", of 27 bytes with its line feed, SIZE bytes of the guest's facts, which say where
 * its devices are, and then what QEMU migrates. QEMU writes and reads the file or socket by itself.
 */

#include "action.h"

#define STREAM_FD "xcp-stream"          /* what the file or socket is called with QEMU, until a migration has begun */

struct stream *stream_free(struct stream *stream);

int stream_save(void *guest, struct hypervisor_call *call, int fd, struct idl_error *error);
int stream_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
int stream_send(void *guest, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error);
int stream_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);

/*
 * Has QEMU give up what it sends, if it does. In QEMU 7.2 a migration that is cancelled at the moment at which it begins to wait before its last step would wait for ever: it
 * is told to go on, too, which is to its end then.
 */
int stream_give_up(struct qemu_guest *guest);
