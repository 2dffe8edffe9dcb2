/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "launch.h"
#include "pace.h"
#include "source.h"

#define HEADER_FORMAT "xcp-qemu-stream 1 %08x\n"
#define HEADER_SIZE 27u
#define ANY_BOOT "-"                    /* facts in a stream are of no boot */
#define BANDWIDTH_MAX (INT64_C(1) << 40)        /* bytes a second: no limit */
#define PUT_BACK_MS 1500u               /* for QEMU to have its guest go on; with ACTION_CANCEL_MS less than HYPERVISOR_CANCEL_MS */

struct stream {
        struct idl_arena arena;         /* of the configuration */
        struct xcp_vm_spec spec;
        struct hypervisor_disk *disks;
        struct xcp_migrate_options options;
        bool is_incoming, is_saved;
        bool is_stopping;               /* it is given up: QEMU has been told */
        size_t n;
        char data[HEADER_SIZE + FACTS_SIZE_MAX + 1];
};

struct stream *stream_free(struct stream *stream) {
        if (stream)
                idl_arena_done(&stream->arena);
        free(stream);
        return NULL;
}

static int corrupt(struct idl_error *error, const char *reason) {
        return idl_error_set_corrupt(error, "saved state", "qemu", reason);
}

/* Migration, on either side */

/*
 * An outgoing one asks before its last step. QEMU 7.2 takes a cancellation for one before that step which comes in the middle of it, and has the guest go on with its
 * disks let go of, of which it dies; after having asked it does not.
 */
static struct json_object *capabilities(bool is_incoming) {
        static const char *const names[] = { "events", "late-block-activate", "pause-before-switchover" };
        struct json_object *arguments = json_object_new_object(), *list = json_object_new_array();

        for (size_t i = 0; arguments && list && i < (is_incoming ? 2 : 3); i++) {
                struct json_object *one = arguments_1("capability", names[i]);

                if (one)
                        json_object_object_add(one, "state", json_object_new_boolean(true));
                json_object_array_add(list, one);
        }
        if (arguments)
                json_object_object_add(arguments, "capabilities", list);
        else
                json_object_put(list);
        return arguments;
}

static void end_put_back(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;

        idl_error_move(&error, &action->error);
        action_end(action, action->r, &error);
        idl_error_done(&error);
}

static void on_put_back(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        end_put_back(action);
}

/* The guest is as it was. A QEMU that does not answer does that when it does again. */
static void put_back(struct qemu_action *action) {
        action->hear = NULL;
        action->on_cancel = NULL;
        if (action->guest->qmp)         /* the descriptor of one that has not begun, whose other end would wait */
                (void) qmp_execute(action->guest->qmp, "closefd", arguments_1("fdname", STREAM_FD), -1, NULL, NULL, NULL);
        action_wait(action, PUT_BACK_MS, end_put_back);
        action_execute(action, action->flag ? "cont" : "query-status", NULL, -1, on_put_back);  /* flag: it ran */
}

/* An outgoing one leaves the guest as it was; an incoming one takes it away. */
static void end_badly(struct qemu_action *action, int r, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;

        action->hear = NULL;
        action_stop_waiting(action);
        if (r == -EIO)
                r = action->stream->is_incoming ? corrupt(&error, why) : idl_error_set_backend_failed(&error, "qemu", action->what, why);
        if (action->stream->is_incoming) {
                launch_give_up(action, r, &error);
                idl_error_done(&error);
                return;
        }
        if (action->r >= 0) {           /* else that is why it ends */
                action->r = r;
                idl_error_move(&action->error, &error);
        }
        idl_error_done(&error);
        put_back(action);
}

static void on_why(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *text;

        if (r >= 0 && json_object_object_get_ex(value, "error-desc", &text) && json_object_is_type(text, json_type_string))
                why = json_object_get_string(text);
        end_badly(action, -EIO, *why ? why : "the migration failed");
}

static void on_moved(struct qemu_action *action) {
        action->hear = NULL;
        action_stop_waiting(action);
        if (action->stream->is_incoming)
                launch_done(action, FACTS_STARTED);
        else
                action_end(action, 0, NULL);
}

static void on_continued(struct qemu_action *action, int r, struct json_object *value, const char *why);

static void go_on(struct qemu_action *action) {
        action_stop_waiting(action);
        action_execute(action, "migrate-continue", arguments_1("state", "pre-switchover"), -1, on_continued);
}

static bool hear_migration(struct qemu_action *action, const char *event, struct json_object *data) {
        struct json_object *value;
        const char *status;

        if (strcmp(event, "STOP") == 0)         /* its last step */
                return true;
        if (strcmp(event, "MIGRATION") != 0 || !data || !json_object_object_get_ex(data, "status", &value) ||
            !json_object_is_type(value, json_type_string))
                return false;
        status = json_object_get_string(value);
        if (strcmp(status, "completed") == 0)
                on_moved(action);
        else if (strcmp(status, "cancelled") == 0)
                end_badly(action, -ECANCELED, "");
        else if (strcmp(status, "pre-switchover") == 0 && !action->stream->is_stopping)
                go_on(action);
        else if (strcmp(status, "failed") == 0) {
                action_stop_waiting(action);
                action_execute(action, "query-migrate", NULL, -1, on_why);
        }
        return true;
}

static void on_cancel_told(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                put_back(action);
}

static int kick(struct qemu_guest *guest) {
        return qmp_execute(guest->qmp, "migrate-continue", arguments_1("state", "cancelling"), -1, NULL, NULL, NULL);
}

int stream_give_up(struct qemu_guest *guest) {
        int r;

        r = qmp_execute(guest->qmp, "migrate_cancel", NULL, -1, NULL, NULL, NULL);
        return r < 0 ? r : kick(guest);
}

/* MIGRATION, cancelled or completed, follows, unless QEMU does not get free of where it writes to. */
static void stop_sending(struct qemu_action *action) {
        action->stream->is_stopping = true;
        action_wait(action, ACTION_CANCEL_MS, put_back);
        action_execute(action, "migrate_cancel", NULL, -1, on_cancel_told);
        if (action->guest->qmp)
                (void) kick(action->guest);
}

/* Whoever takes it may be there, and not go on. */
static void on_stalled(struct qemu_action *action) {
        action->r = idl_error_set_timed_out(&action->error, action->stream->is_saved ? "the file that the guest is saved to, to take more of it,"
                                                                                    : "the other manager, to take more of the guest,",
                                            action->guest->qemu->host.stall_ms);
        stop_sending(action);
}

static void on_continued(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r >= 0) {
                pace_watch(action, on_stalled);
                return;
        }
        action->r = idl_error_set_backend_failed(&action->error, "qemu", action->what, why);
        stop_sending(action);
}

static void on_begun(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        /* It may begin yet, when nobody is there for it. */
        if (r == -ETIMEDOUT && !action->stream->is_incoming && action->guest->qmp)
                (void) stream_give_up(action->guest);
        if (r < 0)
                end_badly(action, -EIO, why);
        else if (!action->stream->is_incoming && action->hear)
                pace_watch(action, on_stalled);
}

static void on_fd(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0) {
                end_badly(action, -EIO, why);
                return;
        }
        action->hear = hear_migration;
        action_execute(action, action->stream->is_incoming ? "migrate-incoming" : "migrate", arguments_1("uri", "fd:" STREAM_FD), -1,
                       on_begun);
}

static void on_parameters(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                end_badly(action, -EIO, why);
        else
                action_execute(action, "getfd", arguments_1("fdname", STREAM_FD), action->fd, on_fd);
}

static void on_capabilities(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        const struct xcp_migrate_options *options = &action->stream->options;
        struct json_object *arguments;

        if (r < 0 || action->stream->is_incoming) {
                on_parameters(action, r, value, why);
                return;
        }
        arguments = json_object_new_object();
        if (arguments) {
                json_object_object_add(arguments, "max-bandwidth",
                                       json_object_new_int64(options->has_bandwidth && options->bandwidth < BANDWIDTH_MAX
                                                                     ? (int64_t) options->bandwidth : BANDWIDTH_MAX));
                json_object_object_add(arguments, "downtime-limit", json_object_new_int64(options->max_downtime_ms));
        }
        action_execute(action, "migrate-set-parameters", arguments, -1, on_parameters);
}

static void migrate(struct qemu_action *action) {
        action_execute(action, "migrate-set-capabilities", capabilities(action->stream->is_incoming), -1, on_capabilities);
}

/* Out */

static void cancel_out(struct qemu_action *action) {
        if (action->hear)
                stop_sending(action);
        else
                end_badly(action, -ECANCELED, "");
}

/* Writes the header and the facts. */
static int write_facts(const struct qemu_action *action, struct idl_error *error) {
        AUTO_FREE char *text = NULL, *data = NULL;
        ssize_t n;
        int r, size;

        r = facts_print(&action->guest->facts, ANY_BOOT, &text);
        if (r < 0)
                return r;
        size = asprintf(&data, HEADER_FORMAT "%s", (unsigned) strlen(text), text);
        if (size < 0) {
                data = NULL;
                return -ENOMEM;
        }
        n = send(action->fd, data, (size_t) size, MSG_DONTWAIT | MSG_NOSIGNAL);         /* a new socket has room for it */
        if (n < 0 && errno == ENOTSOCK)
                n = write(action->fd, data, (size_t) size);
        if (n < 0 && errno != ENOSPC)
                return idl_error_set_backend_failed(error, "qemu", action->what, strerrordesc_np(errno));
        return n < size ? idl_error_set_not_enough_space(error, (uint64_t) size, n < 0 ? 0 : (uint64_t) n) : 0;
}

static void on_was(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *running;

        if (r < 0) {
                end_badly(action, -EIO, why);
                return;
        }
        action->flag = json_object_object_get_ex(value, "running", &running) && json_object_get_boolean(running);
        migrate(action);
}

static int begin_out(struct qemu_guest *guest, struct hypervisor_call *call, const char *what, int fd, bool is_file,
                     const struct xcp_migrate_options *options, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, what, &action);
        if (r < 0)
                return r;
        action->fd = fd;
        action->on_cancel = cancel_out;
        action->stream = calloc(1, sizeof *action->stream);
        r = action->stream ? write_facts(action, error) : -ENOMEM;
        if (r < 0) {
                action_free(action);
                return r;
        }
        action->stream->options = *options;
        action->stream->is_saved = is_file;
        action_execute(action, "query-status", NULL, -1, on_was);
        return 0;
}

int stream_save(void *guest, struct hypervisor_call *call, int fd, struct idl_error *error) {
        static const struct xcp_migrate_options at_once = { .max_downtime_ms = 300000 };        /* it stands still all the while */

        return begin_out(guest, call, "save its guest", fd, true, &at_once, error);
}

int stream_send(void *guest, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error) {
        if (options->compress)
                return idl_error_set_not_supported(error, "Compressing memory with qemu");
        return begin_out(guest, call, "send its guest", fd, false, options, error);
}

/* In */

static void on_in_ended(struct qemu_action *action) {
        end_badly(action, -EIO, action->guest->words);
}

static void on_in_ready(struct qemu_action *action) {
        action->on_end = on_in_ended;   /* what QEMU cannot read is its end */
        migrate(action);
}

static int check_facts(struct stream *stream, size_t n, struct facts *ret_facts, struct idl_error *error) {
        struct qemu_options options;
        int r;

        stream->data[HEADER_SIZE + n] = '\0';
        r = facts_parse(ret_facts, stream->data + HEADER_SIZE, ANY_BOOT);
        if (r < 0)
                return corrupt(error, "what it says of the guest cannot be read");
        r = qemu_options_read(&options, stream->spec.backend_options, stream->spec.n_backend_options, error);
        if (r < 0)
                return r;
        return ret_facts->machine == options.machine ? 0 : corrupt(error, "it is of another machine");
}

static int begin_launch(struct qemu_action *action, size_t n, struct idl_error *error) {
        const struct hypervisor_config config = { &action->stream->spec, action->stream->disks };
        struct facts facts;
        int r;

        r = check_facts(action->stream, n, &facts, error);
        if (r >= 0)
                r = launch_new(&action->launch, action->guest, &config, &facts, true, error);
        if (r >= 0)
                launch_begin(action, on_in_ready);
        return r;
}

static int parse_header(const char *untrusted, size_t *ret_size, struct idl_error *error) {
        char text[HEADER_SIZE + 1], again[HEADER_SIZE + 1];
        unsigned size;

        memcpy(text, untrusted, HEADER_SIZE);
        text[HEADER_SIZE] = '\0';
        if (sscanf(text, "xcp-qemu-stream 1 %8x", &size) != 1)
                return corrupt(error, "it does not begin as one");
        snprintf(again, sizeof again, HEADER_FORMAT, size);
        if (strcmp(text, again) != 0 || size > FACTS_SIZE_MAX)
                return corrupt(error, "it does not begin as one");
        *ret_size = size;
        return 0;
}

/* Takes what is there, up to the end of the facts, and not further. 1 when it is complete. */
static int take(struct qemu_action *action, size_t *ret_size, struct idl_error *error) {
        struct stream *stream = action->stream;
        int r;

        for (size_t wanted = HEADER_SIZE;;) {
                ssize_t n;

                if (stream->n >= HEADER_SIZE) {
                        r = parse_header(stream->data, ret_size, error);
                        if (r < 0)
                                return r;
                        wanted = HEADER_SIZE + *ret_size;
                        if (stream->n == wanted)
                                return 1;
                }
                n = recv(action->fd, stream->data + stream->n, wanted - stream->n, MSG_DONTWAIT);
                if (n < 0 && errno == ENOTSOCK)
                        n = read(action->fd, stream->data + stream->n, wanted - stream->n);
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return idl_error_set_unreachable(error, "manager", "the other one", strerrordesc_np(errno));
                if (n == 0)
                        return corrupt(error, "it ends too early");
                if (n > 0)
                        stream->n += (size_t) n;
        }
}

static void on_data(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        size_t n = 0;
        int r;

        r = take(action, &n, &error);
        if (r == 0)
                return;
        action->io = sd_event_source_disable_unref(action->io);
        if (r > 0)
                r = begin_launch(action, n, &error);
        if (r < 0)
                action_end(action, r, &error);
        idl_error_done(&error);
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        on_data(userdata);
        return 0;
}

/* The configuration is the caller's, and needed when the facts have come. */
static int copy_config(struct stream *stream, const struct hypervisor_config *config) {
        int r;

        r = xcp_vm_spec_copy(&stream->arena, &stream->spec, config->spec);
        if (r < 0)
                return r;
        stream->disks = idl_arena_alloc(&stream->arena, config->spec->n_disks + 1, sizeof *stream->disks);
        if (!stream->disks)
                return -ENOMEM;
        for (size_t i = 0; i < config->spec->n_disks && r >= 0; i++) {
                struct xcp_data_path *path = NULL;

                if (config->disks[i].path) {
                        path = idl_arena_alloc(&stream->arena, 1, sizeof *path);
                        r = path ? xcp_data_path_copy(&stream->arena, path, config->disks[i].path) : -ENOMEM;
                }
                stream->disks[i] = (struct hypervisor_disk) { stream->spec.disks + i, path };
        }
        return r;
}

static void on_no_header(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = idl_error_set_timed_out(&error, "the other manager, to begin to send the guest,", action->guest->qemu->host.stall_ms);
        action_end(action, r, &error);
        idl_error_done(&error);
}

static int begin_in(struct qemu_guest *guest, struct hypervisor_call *call, const struct hypervisor_config *config, const char *what,
                    int fd, bool is_file) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, what, &action);
        if (r < 0)
                return r;
        action->fd = fd;
        action->stream = calloc(1, sizeof *action->stream);
        r = action->stream ? copy_config(action->stream, config) : -ENOMEM;
        if (r >= 0) {
                action->stream->is_incoming = true;
                action_wait(action, is_file ? 0 : guest->qemu->host.stall_ms, is_file ? on_data : on_no_header);        /* a file is not to be waited for */
                if (!is_file)
                        r = sd_event_add_io(guest->qemu->host.event, &action->io, fd, EPOLLIN, on_socket, action);
        }
        if (r < 0)
                action_free(action);
        return r;
}

int stream_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_in(guest, call, config, "restore its guest", fd, true);
}

/* QEMU does not begin without somebody at its sockets, and the other manager lets go of the disks later than that. */
int stream_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        for (size_t i = 0; i < config->spec->n_disks; i++)
                if (source_is_socket(config->disks[i].path) && !source_stands_by(config->disks[i].path))
                        return idl_error_set_not_supported(error, "Receiving a guest with a disk over vhost-user for which nobody stands by");
        return begin_in(guest, call, config, "receive its guest", fd, false);
}
