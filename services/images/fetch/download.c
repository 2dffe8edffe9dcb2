/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images into files, from where an earlier attempt was left.
 *
 * What is there of a file is only gone on with if it must be of the same thing: its checksum is known and looked at in the end, or the
 * server's strong entity tag, kept beside the file, is the condition of the request (If-Range, RFC 9110, 13.1.5). A server that answers
 * with a part of something else all the same is not believed, nor one whose part ends before what it is a part of.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "pull-limits.h"

#define WAIT_MAX_MS UINT64_C(60000)     /* for a server that says when it wants to be asked again */

/* Why an answer is not taken. */
enum refusal {
        REFUSAL_NONE,
        REFUSAL_OTHER_PART,             /* it is not where we are: once more, from the beginning */
        REFUSAL_TOO_LONG,               /* it goes on beyond what it was said to be */
        REFUSAL_LIMIT,                  /* it is too large for us, which has been said */
        REFUSAL_PAGE,                   /* it is for people */
        REFUSAL_STATUS,                 /* it is nothing to be kept */
        REFUSAL_WRITE,                  /* it cannot be written: write_errno */
};

struct transfer {
        struct download *download;
        CURL *curl;                     /* while a request is under way */
        int fd, directory;
        const char *etag_name;          /* the file in the directory that has the entity tag */
        uint64_t offset;                /* where the next byte goes */
        bool is_part;                   /* a part was asked for, from offset on */
        bool begun;                     /* the answer's first byte was seen, and the file is what it should be for it */
        bool is_renewed;                /* the server was shown anew who asks, and nothing has come since */
        uint64_t end;                   /* of what the answer is a part of; 0: not known */
        enum refusal refusal;
        int write_errno;
        char partial_etag[ETAG_MAX];    /* of what is there */
        char etag[ETAG_MAX], range[96], length[32], type[64], challenge[1024];
};

static size_t on_header(char *line, size_t one, size_t n, void *userdata) {
        struct transfer *transfer = userdata;

        if (http_is_status_line(line, n))       /* of a redirect, before */
                *transfer->etag = *transfer->range = *transfer->length = *transfer->type = *transfer->challenge = '\0';
        http_keep_header(line, n, "etag", transfer->etag, sizeof transfer->etag);
        http_keep_header(line, n, "content-range", transfer->range, sizeof transfer->range);
        http_keep_header(line, n, "content-length", transfer->length, sizeof transfer->length);
        http_keep_header(line, n, "content-type", transfer->type, sizeof transfer->type);
        http_keep_header(line, n, "www-authenticate", transfer->challenge, sizeof transfer->challenge);
        return n;
}

/* Entity tags that are weak say nothing about bytes. */
static bool is_strong(const char *etag) {
        return etag[0] == '"' && strpbrk(etag, "\r\n") == NULL;
}

/* It need not survive anything: without it, the download begins anew. */
static void write_etag(int directory, const char *name, const char *etag) {
        int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return;
        if (write(fd, etag, strlen(etag)) < 0 || !is_strong(etag))
                unlinkat(directory, name, 0);
        close(fd);
}

static void read_etag(int directory, const char *name, char *ret_etag) {
        int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n = fd < 0 ? 0 : read(fd, ret_etag, ETAG_MAX - 1);

        ret_etag[n > 0 ? n : 0] = '\0';
        if (fd >= 0)
                close(fd);
}

static bool refuse(struct transfer *transfer, enum refusal refusal) {
        transfer->refusal = refusal;
        return false;
}

/* What is too large by what the server says of it is not begun. */
static bool check_size(struct transfer *transfer) {
        uint64_t size = transfer->download->size;

        if (limits_check_size(size) < 0 || (size > transfer->offset && limits_check_room(transfer->fd, size - transfer->offset) < 0))
                return refuse(transfer, REFUSAL_LIMIT);
        return true;
}

/* It has to go on where we are, and be of the same thing. */
static bool begin_part(struct transfer *transfer) {
        unsigned long long first = 0, last = 0, total = 0;

        if (sscanf(transfer->range, "bytes %llu-%llu/%llu", &first, &last, &total) < 2 || !transfer->is_part || first != transfer->offset ||
            (is_strong(transfer->partial_etag) && *transfer->etag && strcmp(transfer->etag, transfer->partial_etag) != 0))
                return refuse(transfer, REFUSAL_OTHER_PART);
        transfer->end = total;
        if (total > 0)
                transfer->download->size = total;
        return check_size(transfer);
}

static bool begin_whole(struct transfer *transfer) {
        transfer->offset = 0;
        if (*transfer->length)
                transfer->download->size = strtoull(transfer->length, NULL, 10);
        if (ftruncate(transfer->fd, 0) < 0) {
                transfer->write_errno = errno;
                return refuse(transfer, REFUSAL_WRITE);
        }
        write_etag(transfer->directory, transfer->etag_name, transfer->etag);
        return check_size(transfer);
}

/* With the first byte of an answer: does it go on where we are, or begin anew? */
static bool begin_body(struct transfer *transfer, long status) {
        transfer->begun = true;
        if (status == 206)
                return begin_part(transfer);
        if (status != 200)
                return refuse(transfer, REFUSAL_STATUS);
        /* A page to log in, or of a network that wants to be paid first. Who knows the checksum sees that by itself. */
        if (!*transfer->download->checksum.algorithm && strncasecmp(transfer->type, "text/html", 9) == 0)
                return refuse(transfer, REFUSAL_PAGE);
        return begin_whole(transfer);
}

static bool write_all(struct transfer *transfer, const char *data, size_t n) {
        while (n > 0) {
                ssize_t written = pwrite(transfer->fd, data, n, (off_t) transfer->offset);

                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0) {
                        transfer->write_errno = errno;
                        return refuse(transfer, REFUSAL_WRITE);
                }
                data += written;
                n -= (size_t) written;
                transfer->offset += (uint64_t) written;
        }
        return true;
}

static size_t on_data(char *data, size_t one, size_t n, void *userdata) {
        struct transfer *transfer = userdata;
        uint64_t size_max = transfer->download->size_max;
        long status = 0;

        curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
        if (!transfer->begun && !begin_body(transfer, status))
                return 0;
        if (size_max > 0 && transfer->offset + n > size_max) {
                refuse(transfer, REFUSAL_TOO_LONG);
                return 0;
        }
        if (limits_check_size(transfer->offset + n) < 0 || limits_take_room(transfer->fd, n) < 0) {
                refuse(transfer, REFUSAL_LIMIT);
                return 0;
        }
        if (!write_all(transfer, data, n))
                return 0;
        transfer->is_renewed = false;
        progress(transfer->offset, transfer->download->size);
        return n;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name, const char *value) {
        char line[ETAG_MAX + 64];

        snprintf(line, sizeof line, "%s: %s", name, value);
        return curl_slist_append(headers, line);
}

/* One request. */
static void attempt(struct transfer *transfer, struct outcome *ret_outcome) {
        const struct download *download = transfer->download;
        struct curl_slist *headers = NULL;
        char range[32];

        transfer->curl = http_request_new(download, download->url, ret_outcome);
        if (!transfer->curl)
                return;
        transfer->begun = false;
        transfer->end = 0;
        transfer->refusal = REFUSAL_NONE;
        transfer->is_part = transfer->offset > 0;
        if (transfer->is_part) {
                snprintf(range, sizeof range, "%llu-", (unsigned long long) transfer->offset);
                curl_easy_setopt(transfer->curl, CURLOPT_RANGE, range);
                if (is_strong(transfer->partial_etag))
                        headers = add_header(headers, "If-Range", transfer->partial_etag);
        } else if (download->is_etag_known) {
                headers = add_header(headers, "If-None-Match", download->etag);
        }
        curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(transfer->curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(transfer->curl, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(transfer->curl, CURLOPT_HEADERDATA, transfer);
        curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
        http_request_run(transfer->curl, ret_outcome);
        transfer->curl = NULL;
        curl_slist_free_all(headers);
}

/* From the beginning the next time. */
static int drop(struct transfer *transfer) {
        transfer->offset = 0;
        return ftruncate(transfer->fd, 0) < 0 ? fail_errno("write what comes") : 0;
}

/* After an answer that was not taken: 0 to ask for all of it, or -1. */
static int after_refusal(struct transfer *transfer, const struct outcome *outcome) {
        const struct download *download = transfer->download;

        switch (transfer->refusal) {
        case REFUSAL_OTHER_PART:
                if (transfer->is_part)
                        return drop(transfer);
                return fail(FAILURE_CORRUPT, "the server answers with a part (%.90s) where all was asked for", transfer->range);
        case REFUSAL_TOO_LONG:
                return drop(transfer) < 0 ? -1
                                          : fail(FAILURE_CORRUPT, "the registry has more of it than the %llu bytes that it says",
                                                 (unsigned long long) download->size_max);
        case REFUSAL_LIMIT:             /* what is too large is not to fill the disk */
                return ftruncate(transfer->fd, 0) < 0 ? -errno : -1;
        case REFUSAL_PAGE:
                return fail(FAILURE_CORRUPT, "the server answers with a page for people (%.60s), which is taken for no image without its checksum", transfer->type);
        case REFUSAL_STATUS:
                return fail(FAILURE_UNREACHABLE, "%.200s: the server answered with status %ld, and with no image", download->url, outcome->status);
        default:
                if (transfer->write_errno == ENOSPC && ftruncate(transfer->fd, 0) < 0)  /* a disk that is full is not to stay so */
                        return fail_errno("write what comes");
                errno = transfer->write_errno;
                return fail_errno("write what comes");
        }
}

/* After a request that was not answered in full: 0 to try again, or -1. is_fast: it brought what it has to in its time. */
static int after(struct transfer *transfer, const struct outcome *outcome, unsigned *n_attempts, bool is_fast) {
        struct download *download = transfer->download;

        if (transfer->refusal != REFUSAL_NONE)
                return after_refusal(transfer, outcome);
        if (transfer->is_part && outcome->status == 416)
                return drop(transfer);
        if (outcome->status == 401 && download->renew && !transfer->is_renewed && !outcome->is_elsewhere) {     /* what was shown is not good for ever */
                transfer->is_renewed = true;
                return download->renew(download, transfer->challenge);
        }
        if (is_fast)
                *n_attempts = 0;
        return http_wait(outcome, ++*n_attempts, WAIT_MAX_MS) ? 0 : http_fail(download->url, outcome, *n_attempts);
}

/* A good answer may be less than all there is, and nothing at all. 1: that was it. */
static int complete(struct transfer *transfer, struct outcome *outcome) {
        if (outcome->code != CURLE_OK)
                return 0;
        if (outcome->status == 304 && transfer->download->is_etag_known && !transfer->is_part) {
                transfer->download->is_unchanged = true;
                return 1;
        }
        if (!transfer->begun && !begin_body(transfer, outcome->status))
                return 0;
        if (transfer->end == 0 || transfer->offset >= transfer->end)
                return 1;
        outcome->code = CURLE_PARTIAL_FILE;
        snprintf(outcome->said, sizeof outcome->said, "the server sent less than it said, %llu of %llu bytes", (unsigned long long) transfer->offset,
                 (unsigned long long) transfer->end);
        return 0;
}

/* Until it is whole. */
static int transfer_all(struct transfer *transfer) {
        struct outcome outcome;
        unsigned n_attempts = 0;

        for (;;) {
                uint64_t before, begun_ms = http_now_ms();
                bool is_fast;

                read_etag(transfer->directory, transfer->etag_name, transfer->partial_etag);
                if (!is_strong(transfer->partial_etag) && !*transfer->download->checksum.algorithm)
                        transfer->offset = 0;           /* of what it is a part, nobody knows */
                before = transfer->offset;
                attempt(transfer, &outcome);
                if (complete(transfer, &outcome) > 0)
                        return 0;
                is_fast = transfer->offset > before && limits_is_fast(transfer->offset - before, http_now_ms() - begun_ms);
                if (after(transfer, &outcome, &n_attempts, is_fast) < 0)
                        return -1;
        }
}

int http_download(struct download *download, int directory, const char *name) {
        char etag_name[160];
        struct transfer transfer = { .download = download, .directory = directory, .etag_name = etag_name };
        struct stat st;
        int r;

        snprintf(etag_name, sizeof etag_name, "%s.etag", name);
        transfer.fd = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (transfer.fd < 0 || fstat(transfer.fd, &st) < 0)
                return fail_errno("open what was downloaded");
        transfer.offset = (uint64_t) st.st_size;
        if (download->size > 0 && transfer.offset == download->size)
                r = 0;                  /* all of it came before; the checksum tells */
        else
                r = transfer_all(&transfer);
        close(transfer.fd);
        if (r == 0 && !download->is_unchanged)
                snprintf(download->etag, sizeof download->etag, "%s", is_strong(transfer.etag) ? transfer.etag : "");
        return r;
}
