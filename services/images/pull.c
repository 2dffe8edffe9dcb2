/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pulling: the program that gets an image, and the tasks that wait for it.
 *
 * Who asks for what is being pulled already waits for that, too. It goes on as long as anybody does.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "fetch.h"
#include "idl-errors.h"
#include "images.h"
#include "log.h"

#define CANCEL_BOUND_USEC UINT64_C(5000000)
#define CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:"

/* One task. */
struct waiter {
        struct waiter *next;
        struct pull *pull;
        struct work *work;
        char name[NAME_SIZE_MAX + 1];   /* what the image is to be called; empty: nothing new */
};

struct pull {
        struct pull *next;
        struct images *images;
        struct waiter *waiters;         /* the first one first; none only before and after */
        struct child *child;
        struct idl_arena arena;
        const char *source, *checksum;  /* in the arena; checksum may be NULL */
        const char *known_hex;          /* what the source gave last; NULL: nothing is known */
        bool has_facts, is_cached, is_unchanged, is_cancelled;
        struct image_facts facts;
        uint64_t total;
        char etag[ETAG_MAX];
        char failure[16], said[512];    /* empty: it said nothing */
};

static void pull_free(struct pull *pull) {
        struct images *images = pull->images;

        for (struct pull **p = &images->pulls; *p; p = &(*p)->next)
                if (*p == pull) {
                        *p = pull->next;
                        images->n_pulls--;
                        break;
                }
        child_free(pull->child);
        idl_arena_done(&pull->arena);
        free(pull);
}

static void waiter_free(struct waiter *waiter) {
        for (struct waiter **p = &waiter->pull->waiters; *p; p = &(*p)->next)
                if (*p == waiter) {
                        *p = waiter->next;
                        break;
                }
        free(waiter);
}

/* What the program says */

static void take_image(struct pull *pull, const char *text) {
        char hex[80], format[16];
        unsigned long long size, file_size;
        int cached;

        if (sscanf(text, "%79s %15s %llu %llu %d", hex, format, &size, &file_size, &cached) != 5 || strlen(hex) != 64)
                return;
        memcpy(pull->facts.hex, hex, sizeof pull->facts.hex);
        pull->facts.format = strcmp(format, "qcow2") == 0 ? XCP_VDI_FORMAT_QCOW2 : XCP_VDI_FORMAT_RAW;
        pull->facts.size = size;
        pull->facts.file_size = file_size;
        pull->is_cached = cached;
        pull->has_facts = true;
}

static void on_line(const char *line, void *userdata) {
        struct pull *pull = userdata;
        unsigned long long done, total;

        if (sscanf(line, "progress %llu %llu", &done, &total) == 2) {
                pull->total = total;
                for (struct waiter *waiter = pull->waiters; waiter && total > 0; waiter = waiter->next)
                        work_advance(waiter->work, 0.95 * (double) done / (double) total);
        } else if (strncmp(line, "image ", 6) == 0) {
                take_image(pull, line + 6);
        } else if (strncmp(line, "etag ", 5) == 0) {
                snprintf(pull->etag, sizeof pull->etag, "%s", line + 5);
        } else if (strcmp(line, "unchanged") == 0) {
                pull->is_unchanged = true;
        } else if (strncmp(line, "failed ", 7) == 0) {
                sscanf(line + 7, "%15s %511[^\n]", pull->failure, pull->said);
        }
}

static int set_no_space(const struct pull *pull, struct idl_error *error) {
        unsigned long long needed, available;
        struct statvfs st = {};

        if (sscanf(pull->said, "%llu %llu", &needed, &available) == 2)
                return idl_error_set_not_enough_space(error, needed, available);
        fstatvfs(pull->images->directory, &st);
        return idl_error_set_not_enough_space(error, pull->total, (uint64_t) st.f_bavail * st.f_frsize);
}

static int set_too_large(const struct pull *pull, struct idl_error *error) {
        unsigned long long size = 0, limit = 0;

        sscanf(pull->said, "%llu %llu", &size, &limit);
        return idl_error_set_bytes_exceeded(error, "image", size, limit);
}

static int set_failure(const struct pull *pull, const struct child_end *end, struct idl_error *error) {
        char text[CHILD_WORDS_MAX + 64];

        if (strcmp(pull->failure, "missing") == 0)
                return idl_error_set_does_not_exist(error, "image", pull->source);
        if (strcmp(pull->failure, "corrupt") == 0)
                return idl_error_set_corrupt(error, "image", pull->source, pull->said);
        if (strcmp(pull->failure, "unreachable") == 0)
                return idl_error_set_unreachable(error, "image", pull->source, pull->said);
        if (strcmp(pull->failure, "unsupported") == 0)
                return idl_error_set_not_supported(error, pull->said);
        if (strcmp(pull->failure, "space") == 0)
                return set_no_space(pull, error);
        if (strcmp(pull->failure, "limit") == 0)
                return set_too_large(pull, error);
        if (!*pull->said)
                child_end_describe(end, text, sizeof text);
        return idl_error_set_backend_failed(error, "xcp-images-fetch", "pull the image", *pull->said ? pull->said : text);
}

/* Ending */

static int make_result(const struct waiter *waiter, const struct image *image, sd_bus_message **ret_result) {
        const struct xcp_image_pulled pulled = { .image = image->path, .cached = waiter->pull->is_cached };
        AUTO(sd_bus_message_unrefp) sd_bus_message *result = NULL;
        int r;

        r = work_result_new(waiter->work, &result);
        if (r >= 0)
                r = xcp_image_pulled_append(result, &pulled);
        if (r < 0)
                return r;
        *ret_result = result;
        result = NULL;
        return 0;
}

/* The source has what is here already: that is what was pulled. */
static int take_known(struct pull *pull, struct idl_error *error) {
        const struct image *image = pull->known_hex ? images_find_hex(pull->images, pull->known_hex) : NULL;

        if (!image)
                return idl_error_set_does_not_exist(error, "image", pull->known_hex ?: "");    /* it was removed just now */
        memcpy(pull->facts.hex, image->hex, sizeof pull->facts.hex);
        pull->facts.format = image->format;
        pull->facts.size = image->size;
        pull->facts.file_size = image->file_size;
        pull->is_cached = true;
        return 0;
}

static int finish(struct waiter *waiter, const struct child_end *end, sd_bus_message **ret_result, struct idl_error *error) {
        struct pull *pull = waiter->pull;
        struct image *image;
        int r;

        if (!child_end_good(end) || (!pull->has_facts && !pull->is_unchanged))
                return set_failure(pull, end, error);
        r = pull->is_unchanged ? take_known(pull, error) : 0;
        if (r < 0)
                return r;
        r = images_keep(pull->images, &pull->facts, pull->source, waiter->name, pull->etag, pull->checksum ?: "", &image);
        if (r == -ENOENT)
                return idl_error_set_does_not_exist(error, "image", pull->facts.hex);
        return r < 0 ? r : make_result(waiter, image, ret_result);
}

static void end_task(struct waiter *waiter, const struct child_end *end, uint64_t *counter) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        AUTO(sd_bus_message_unrefp) sd_bus_message *result = NULL;
        struct images *images = waiter->pull->images;
        int r;

        if (waiter->pull->is_cancelled && !child_end_good(end)) {
                work_fail_cancelled(waiter->work);
                return;
        }
        r = finish(waiter, end, &result, &error);
        if (r < 0) {
                images->n_failed++;
                work_fail(waiter->work, r, &error);
        } else {
                (*counter)++;
                work_succeed(waiter->work, result);
        }
}

static void on_end(const struct child_end *end, void *userdata) {
        struct pull *pull = userdata;
        bool is_first = true;

        while (pull->waiters) {
                bool is_known = !is_first || pull->is_cached || pull->is_unchanged;

                end_task(pull->waiters, end, is_known ? &pull->images->n_cached : &pull->images->n_downloaded);
                waiter_free(pull->waiters);
                is_first = false;
        }
        pull_free(pull);
}

static void on_cancel(void *userdata) {
        struct waiter *waiter = userdata;
        struct pull *pull = waiter->pull;

        if (pull->waiters->next) {      /* others want it still */
                work_fail_cancelled(waiter->work);
                waiter_free(waiter);
                return;
        }
        pull->is_cancelled = true;
        child_kill(pull->child);
}

static void on_interrupt(void *userdata) {
        struct waiter *waiter = userdata;
        struct pull *pull = waiter->pull;

        waiter_free(waiter);
        if (!pull->waiters)
                pull_free(pull);
}

/* Beginning */

/* https://USER:PASSWORD@HOST: what a source is, everybody can see. */
static bool has_user(const char *source) {
        const char *host = strstr(source, "://");

        return host && memchr(host + 3, '@', strcspn(host + 3, "/?#"));
}

static int check_source(const char *source, struct idl_error *error) {
        struct oci_reference reference;
        const char *reason;

        if (strlen(source) > SOURCE_MAX)
                return idl_error_set_limit_exceeded(error, "bytes of source", strlen(source), SOURCE_MAX);
        for (const char *p = source; *p; p++)
                if (*p <= ' ' || *p > '~')
                        return idl_error_set_invalid_argument(error, "source", source, "has to be of ASCII without blanks");
        if (has_user(source))
                return idl_error_set_invalid_argument(error, "source", "(one with a user)", "may have no user or password before its host, where all can read it");
        if (strncmp(source, "oci:", 4) == 0 || strncmp(source, "oci+http:", 9) == 0)
                return oci_parse(source, &reference, &reason) < 0 ? idl_error_set_invalid_argument(error, "source", source, reason) : 0;
        if (strncmp(source, "http://", 7) != 0 && strncmp(source, "https://", 8) != 0)
                return idl_error_set_invalid_argument(error, "source", source, "has to begin with https://, http://, oci:// or oci+http://");
        return 0;
}

static int check_options(const struct xcp_pull_options *options, struct idl_error *error) {
        struct checksum checksum;

        if (strspn(options->name, CHARACTERS) != strlen(options->name) || strlen(options->name) > NAME_SIZE_MAX ||
            strncmp(options->name, "sha256:", 7) == 0)
                return idl_error_set_invalid_argument(error, "options.name", options->name,
                                                      "has to be 1 to 64 letters, digits, dots, dashes, underscores and colons, and no digest");
        if (options->checksum && checksum_parse(options->checksum, &checksum) < 0)
                return idl_error_set_invalid_argument(error, "options.checksum", options->checksum,
                                                      "has to be sha256: and 64, or sha512: and 128 hexadecimal digits");
        return 0;
}

/* What is being pulled, by its source. */
static struct pull *find_pull(struct images *images, const char *source) {
        for (struct pull *pull = images->pulls; pull; pull = pull->next)
                if (strcmp(pull->source, source) == 0)
                        return pull;
        return NULL;
}

static bool is_same(const struct pull *pull, const char *checksum) {
        return !pull->is_cancelled && (pull->checksum && checksum ? strcmp(pull->checksum, checksum) == 0 : !pull->checksum && !checksum);
}

/* The program's arguments: what is known of the source saves the download. */
static int start_child(struct pull *pull) {
        static const struct child_listener listener = { on_line, on_end };
        const char *ca_file = getenv("XCP_CA_FILE"), *auth_file = getenv("XCP_REGISTRY_AUTH_FILE"), *limits = getenv("XCP_IMAGES_LIMITS"),
                   *etag, *checksum, *wanted = pull->checksum ?: "-";
        int r;

        r = images_source(pull->images, &pull->arena, pull->source, &pull->known_hex, &etag, &checksum);
        if (r < 0)
                return r;
        if (pull->known_hex && pull->checksum && strcmp(pull->checksum, checksum) == 0)
                wanted = idl_arena_printf(&pull->arena, "sha256:%s", pull->known_hex);  /* of what had the checksum that is asked for */
        if (!wanted)
                return -ENOMEM;
        return child_start(&pull->child, service_event(pull->images->service),
                           &(struct child_spec) {
                                   .argv = (const char *const[]) { pull->images->fetch_program, pull->source, wanted,
                                                                   pull->known_hex && *etag && !pull->checksum ? etag : "-", ca_file ?: "-", auth_file ?: "-",
                                                                   limits ?: "-", NULL },
                                   .fds = &pull->images->directory,
                                   .n_fds = 1,
                           },
                           &listener, pull);
}

static int wait_for(struct pull *pull, struct idl_call *call, const char *name, const char **ret_path, struct idl_error *error) {
        struct waiter *waiter = calloc(1, sizeof *waiter), **last = &pull->waiters;
        int r;

        if (!waiter)
                return -ENOMEM;
        waiter->pull = pull;
        snprintf(waiter->name, sizeof waiter->name, "%s", name);
        r = work_begin(service_tasks(pull->images->service), call,
                       &(struct work_kind) {
                               .description = idl_arena_printf(&pull->arena, "Pull %.160s", pull->source),
                               .cancel = on_cancel,
                               .cancel_bound_usec = CANCEL_BOUND_USEC,
                               .interrupt = on_interrupt,
                       },
                       waiter, error, &waiter->work);
        if (r < 0) {
                free(waiter);
                return r;
        }
        while (*last)
                last = &(*last)->next;
        *last = waiter;
        *ret_path = work_path(waiter->work);
        return work_run(waiter->work);
}

static int pull_new(struct images *images, const char *source, const char *checksum, struct pull **ret_pull, struct idl_error *error) {
        struct pull *pull;
        int r;

        if (images->n_pulls >= PULLS_MAX)
                return idl_error_set_limit_exceeded(error, "pulls", images->n_pulls + 1, PULLS_MAX);
        pull = calloc(1, sizeof *pull);
        if (!pull)
                return -ENOMEM;
        pull->images = images;
        pull->source = idl_arena_printf(&pull->arena, "%s", source);
        pull->checksum = checksum ? idl_arena_printf(&pull->arena, "%s", checksum) : NULL;
        r = pull->source && (pull->checksum || !checksum) ? start_child(pull) : -ENOMEM;
        if (r < 0) {
                pull_free(pull);
                return r;
        }
        *ret_pull = pull;
        return 0;
}

int pull_begin(struct images *images, struct idl_call *call, const char *source, const struct xcp_pull_options *options, const char **ret_path,
               struct idl_error *error) {
        struct pull *pull;
        int r;

        r = check_source(source, error);
        if (r >= 0)
                r = check_options(options, error);
        if (r < 0)
                return r;
        pull = find_pull(images, source);
        if (pull)
                return is_same(pull, options->checksum) ? wait_for(pull, call, options->name, ret_path, error)
                                                        : idl_error_set_busy(error, "source", source, work_path(pull->waiters->work));
        r = pull_new(images, source, options->checksum, &pull, error);
        if (r < 0)
                return r;
        r = wait_for(pull, call, options->name, ret_path, error);
        if (r < 0) {
                pull_free(pull);
                return r;
        }
        pull->next = images->pulls;
        images->pulls = pull;
        images->n_pulls++;
        return 0;
}
