/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Noop guests elsewhere: in a file, or on their way to another manager.
 *
 * Either way it is a line "xcp-noop-stream 1 SIZE SUM", of 44 bytes, and SIZE bytes of the record's text, whose FNV-1a sum is SUM.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "guest.h"

#define HEADER_SIZE 44u
#define HEADER_FORMAT "xcp-noop-stream 1 %08x %016" PRIx64 "\n"

static uint64_t sum(const char *data, size_t size) {
        uint64_t value = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < size; i++)
                value = (value ^ (unsigned char) data[i]) * UINT64_C(0x100000001b3);
        return value;
}

/* The guest as it would be if it stood still now. */
static int print_stream(const struct noop_guest *guest, char **ret_data, size_t *ret_size) {
        struct record still = guest->record;
        AUTO_FREE char *text = NULL;
        char *data;
        int r, n;

        still.ran_usec = record_ran_usec(&still, noop_now_usec());
        still.state = HYPERVISOR_SUSPENDED;
        r = record_print(&still, "-", &text);
        if (r < 0)
                return r;
        n = asprintf(&data, HEADER_FORMAT "%s", (unsigned) strlen(text), sum(text, strlen(text)), text);
        if (n < 0)
                return -ENOMEM;
        *ret_data = data;
        *ret_size = (size_t) n;
        return 0;
}

static int corrupt(struct idl_error *error, const char *reason) {
        return idl_error_set_corrupt(error, "saved state", "noop", reason);
}

static int parse_header(const char *untrusted, size_t *ret_size, uint64_t *ret_sum, struct idl_error *error) {
        char text[HEADER_SIZE + 1], again[HEADER_SIZE + 1];
        unsigned size;

        memcpy(text, untrusted, HEADER_SIZE);
        text[HEADER_SIZE] = '\0';
        if (sscanf(text, "xcp-noop-stream 1 %8x %16" SCNx64, &size, ret_sum) != 2)
                return corrupt(error, "it does not begin as one");
        snprintf(again, sizeof again, HEADER_FORMAT, size, *ret_sum);
        if (strcmp(text, again) != 0)
                return corrupt(error, "it does not begin as one");
        if (size > RECORD_SIZE_MAX)
                return corrupt(error, "it is too large");
        *ret_size = size;
        return 0;
}

/* The guest becomes what the text says, with the devices and options of the configuration that the action has. */
static int adopt(struct noop_action *action, char *text, size_t size, uint64_t expected_sum, struct idl_error *error) {
        struct noop_guest *guest = action->guest;
        struct record came;
        int r;

        text[size] = '\0';
        if (sum(text, size) != expected_sum)
                return corrupt(error, "its sum is wrong");
        r = record_parse(&came, text, NULL);
        if (r < 0)
                return corrupt(error, "it cannot be read");
        action->record.state = HYPERVISOR_SUSPENDED;
        action->record.started_usec = came.started_usec;
        action->record.ran_usec = came.ran_usec;
        action->record.memory = came.memory;
        action->record.vcpus = came.vcpus;
        action->record.disk_failure_is_over = came.disk_failure_is_over;
        for (size_t i = 0; i < came.n_devices; i++) {
                struct record_device *device = record_find_device(&action->record, came.devices[i].is_disk, came.devices[i].name);

                if (device)
                        device->plugged = came.devices[i].plugged;
        }
        record_done(&came);
        record_move(&guest->record, &action->record);
        guest->said_usec = guest->record.ran_usec + 1;
        r = noop_guest_save(guest, error);
        if (r < 0)
                record_done(&guest->record);
        return r;
}

/* Files */

static int apply_save(struct noop_action *action, struct idl_error *error) {
        AUTO_FREE char *data = NULL;
        size_t size;
        ssize_t n;
        int r;

        r = print_stream(action->guest, &data, &size);
        if (r < 0)
                return r;
        n = pwrite(action->fd, data, size, 0);
        if (n < 0 && errno != ENOSPC)
                return idl_error_set_backend_failed(error, "noop", "save its guest", strerrordesc_np(errno));
        if (n < 0 || (size_t) n < size)
                return idl_error_set_not_enough_space(error, size, n < 0 ? 0 : (uint64_t) n);
        return noop_guest_become(action->guest, HYPERVISOR_SUSPENDED, HYPERVISOR_NO_EVENT, error);
}

int noop_save(void *userdata, struct hypervisor_call *call, int fd, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, &guest->record.options, NOOP_SAVE, "save its guest", apply_save, &action);
        if (r >= 0)
                action->fd = fd;
        return r;
}

static int apply_restore(struct noop_action *action, struct idl_error *error) {
        AUTO_FREE char *data = malloc(HEADER_SIZE + RECORD_SIZE_MAX + 1);
        uint64_t expected_sum;
        size_t size;
        ssize_t n;
        int r;

        if (!data)
                return -ENOMEM;
        n = pread(action->fd, data, HEADER_SIZE + RECORD_SIZE_MAX, 0);
        if (n < 0)
                return idl_error_set_backend_failed(error, "noop", "read its guest", strerrordesc_np(errno));
        if ((size_t) n < HEADER_SIZE)
                return corrupt(error, "it is too short");
        r = parse_header(data, &size, &expected_sum, error);
        if (r < 0)
                return r;
        if ((size_t) n < HEADER_SIZE + size)
                return corrupt(error, "it is too short");
        return adopt(action, data + HEADER_SIZE, size, expected_sum, error);
}

static int begin_with_config(struct noop_guest *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd,
                             enum noop_verb verb, const char *what, int (*apply)(struct noop_action *action, struct idl_error *error),
                             struct idl_error *error) {
        struct noop_action *action;
        struct record record;
        int r;

        r = record_init(&record, config->spec, error);
        if (r < 0)
                return r;
        r = noop_begin(guest, call, &record.options, verb, what, apply, &action);
        if (r < 0) {
                record_done(&record);
                return r;
        }
        action->record = record;
        action->fd = fd;
        return 0;
}

int noop_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_with_config(guest, call, config, fd, NOOP_RESTORE, "restore its guest", apply_restore, error);
}

/* Streams */

static int apply_nothing(struct noop_action *action, struct idl_error *error) {
        return 0;
}

int noop_check_send(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_CHECK_SEND, "let its guest go", apply_nothing, NULL);
}

static int apply_send(struct noop_action *action, struct idl_error *error) {
        AUTO_FREE char *data = NULL;
        size_t size;
        ssize_t n;
        int r;

        if (action->guest->record.state != HYPERVISOR_RUNNING)
                return idl_error_set_backend_failed(error, "noop", "send its guest", "it does not run any more");
        r = print_stream(action->guest, &data, &size);
        if (r < 0)
                return r;
        n = send(action->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);  /* a new socket has room for all of it */
        if (n < 0 || (size_t) n < size)
                return idl_error_set_unreachable(error, "manager", "the other one", n < 0 ? strerrordesc_np(errno) : "it does not read");
        return noop_guest_become(action->guest, HYPERVISOR_SUSPENDED, HYPERVISOR_NO_EVENT, error);
}

int noop_send(void *userdata, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, &guest->record.options, NOOP_SEND, "send its guest", apply_send, &action);
        if (r >= 0)
                action->fd = fd;
        return r;
}

/* Takes what is there, up to the end of the record and not further. 1 when it is complete. */
static int take(struct noop_action *action, size_t *ret_size, uint64_t *ret_sum, struct idl_error *error) {
        size_t wanted = HEADER_SIZE;
        ssize_t n;
        int r;

        for (;;) {
                if (action->n_buffer >= HEADER_SIZE) {
                        r = parse_header(action->buffer, ret_size, ret_sum, error);
                        if (r < 0)
                                return r;
                        wanted = HEADER_SIZE + *ret_size;
                }
                if (action->n_buffer == wanted && wanted > HEADER_SIZE)
                        return 1;
                n = recv(action->fd, action->buffer + action->n_buffer, wanted - action->n_buffer, MSG_DONTWAIT);
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return idl_error_set_unreachable(error, "manager", "the other one", strerrordesc_np(errno));
                if (n == 0)
                        return corrupt(error, "it ends too early");
                if (n > 0)
                        action->n_buffer += (size_t) n;
        }
}

static int on_stream(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct noop_action *action = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        uint64_t expected_sum;
        size_t size;
        int r;

        r = take(action, &size, &expected_sum, &error);
        if (r == 0)
                return 0;
        if (r > 0)
                r = adopt(action, action->buffer + HEADER_SIZE, size, expected_sum, &error);
        noop_action_end(action, r, &error);
        idl_error_done(&error);
        return 0;
}

static int apply_receive(struct noop_action *action, struct idl_error *error) {
        int r;

        action->buffer = malloc(HEADER_SIZE + RECORD_SIZE_MAX + 1);
        if (!action->buffer)
                return -ENOMEM;
        r = sd_event_add_io(action->guest->noop->host.event, &action->io, action->fd, EPOLLIN, on_stream, action);
        return r < 0 ? r : -EINPROGRESS;
}

int noop_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_with_config(guest, call, config, fd, NOOP_RECEIVE, "receive its guest", apply_receive, error);
}
