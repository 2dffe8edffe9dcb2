/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * HTTP with libcurl: small answers into memory, images into files, from where an earlier attempt was left.
 *
 * What is there of a file is only gone on with if it must be of the same thing: its checksum is known and looked at in the end, or the
 * server's strong entity tag, kept beside the file, is the condition of the request (If-Range, RFC 9110, 13.1.5).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "fetch.h"
#include "pull-limits.h"

#define BODY_MAX (4u * 1024u * 1024u)   /* what the OCI distribution specification asks registries to take for a manifest */
#define REDIRECTS_MAX 10L
#define CONNECT_SECONDS 30L
#define ATTEMPTS_MAX 6u                 /* one after the other that bring too little */

/* What went wrong, in libcurl's words: with the numbers, if it has them. */
static const char *words(CURLcode code, const char *said) {
        return *said ? said : curl_easy_strerror(code);
}

/* said: CURL_ERROR_SIZE bytes, for words(). */
static CURL *handle_new(const struct download *download, const char *url, char *said) {
        CURL *curl = curl_easy_init();

        if (!curl)
                return NULL;
        *said = '\0';
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, said);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        /* Who asked for https does not get http. */
        curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https");
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long) limits.speed);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long) limits.seconds);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "xcp-images");
        if (download->ca_file)
                curl_easy_setopt(curl, CURLOPT_CAINFO, download->ca_file);
        if (*download->token) {         /* libcurl gives it to no other host */
                curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
                curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, download->token);
        } else if (download->sends_password) {  /* nor this */
                curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
                curl_easy_setopt(curl, CURLOPT_USERNAME, download->user);
                curl_easy_setopt(curl, CURLOPT_PASSWORD, download->password);
        }
        return curl;
}

/* The value of a header, if the line is of that. */
static const char *header_value(const char *line, size_t n, const char *name, size_t *ret_n) {
        size_t n_name = strlen(name);

        if (n <= n_name || strncasecmp(line, name, n_name) != 0 || line[n_name] != ':')
                return NULL;
        line += n_name + 1;
        n -= n_name + 1;
        while (n > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                n--;
        }
        while (n > 0 && strchr("\r\n \t", line[n - 1]))
                n--;
        *ret_n = n;
        return line;
}

static void keep_header(const char *line, size_t n, const char *name, char *field, size_t size) {
        size_t n_value;
        const char *value = header_value(line, n, name, &n_value);

        if (value && n_value < size) {
                memcpy(field, value, n_value);
                field[n_value] = '\0';
        }
}

/* Small answers */

static size_t on_body(char *data, size_t one, size_t n, void *userdata) {
        struct response *response = userdata;
        char *body;

        if (n > BODY_MAX - response->n_body)
                return 0;
        body = realloc(response->body, response->n_body + n + 1);
        if (!body)
                return 0;
        memcpy(body + response->n_body, data, n);
        response->body = body;
        response->n_body += n;
        body[response->n_body] = '\0';
        return n;
}

static size_t on_body_header(char *line, size_t one, size_t n, void *userdata) {
        struct response *response = userdata;

        keep_header(line, n, "www-authenticate", response->challenge, sizeof response->challenge);
        return n;
}

int http_get(const struct download *download, const char *url, const char *accept, struct response *ret_response) {
        struct response response = { .body = calloc(1, 1) };
        char said[CURL_ERROR_SIZE] = "";
        CURL *curl = handle_new(download, url, said);
        struct curl_slist *headers = accept ? curl_slist_append(NULL, accept) : NULL;
        CURLcode code = CURLE_OUT_OF_MEMORY;

        if (curl && response.body) {
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
                curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
                curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_body_header);
                curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
                code = curl_easy_perform(curl);
                curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
        }
        curl_slist_free_all(headers);
        curl_easy_cleanup(curl);
        if (code == CURLE_OK) {
                *ret_response = response;
                return 0;
        }
        response_done(&response);
        return fail(FAILURE_UNREACHABLE, "%s: %s", url, words(code, said));
}

void response_done(struct response *response) {
        free(response->body);
        response->body = NULL;
}

/* Files */

struct transfer {
        struct download *download;
        CURL *curl;
        int fd, directory;
        const char *etag_name;          /* the file in the directory that has the entity tag */
        uint64_t offset;                /* where the next byte goes */
        bool resumed;                   /* asked to go on at offset */
        bool begun;                     /* the answer's first byte was seen, and the file is what it should be for it */
        bool refused;                   /* the answer is not where we are */
        bool is_too_long;               /* it goes on beyond what it was said to be */
        bool is_over_limit;             /* it is too large for us, which has been said */
        char etag[ETAG_MAX], range[96], length[32], said[CURL_ERROR_SIZE];
        int write_errno;
};

static size_t on_header(char *line, size_t one, size_t n, void *userdata) {
        struct transfer *transfer = userdata;

        if (n > 5 && strncmp(line, "HTTP/", 5) == 0)    /* of a redirect, before */
                *transfer->etag = *transfer->range = *transfer->length = '\0';
        keep_header(line, n, "etag", transfer->etag, sizeof transfer->etag);
        keep_header(line, n, "content-range", transfer->range, sizeof transfer->range);
        keep_header(line, n, "content-length", transfer->length, sizeof transfer->length);
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

/* What is too large by what the server says of it is not begun. */
static bool check_size(struct transfer *transfer) {
        uint64_t size = transfer->download->size;

        if (limits_check_size(size) < 0 || (size > transfer->offset && limits_check_room(transfer->fd, size - transfer->offset) < 0))
                transfer->is_over_limit = true;
        return !transfer->is_over_limit;
}

/* With the first byte of an answer: does it go on where we are, or begin anew? */
static bool begin_body(struct transfer *transfer) {
        unsigned long long first = 0, last = 0, total = 0;
        long status = 0;

        curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
        transfer->begun = true;
        if (status == 206) {
                if (sscanf(transfer->range, "bytes %llu-%llu/%llu", &first, &last, &total) < 2 || first != transfer->offset) {
                        transfer->refused = true;
                        return false;
                }
                if (total > 0)
                        transfer->download->size = total;
                return check_size(transfer);
        }
        transfer->offset = 0;
        if (*transfer->length)
                transfer->download->size = strtoull(transfer->length, NULL, 10);
        if (ftruncate(transfer->fd, 0) < 0) {
                transfer->write_errno = errno;
                return false;
        }
        write_etag(transfer->directory, transfer->etag_name, transfer->etag);
        return check_size(transfer);
}

static size_t on_data(char *data, size_t one, size_t n, void *userdata) {
        struct transfer *transfer = userdata;
        size_t done = 0;

        if (!transfer->begun && !begin_body(transfer))
                return 0;
        if (transfer->download->size_max > 0 && transfer->offset + n > transfer->download->size_max) {
                transfer->is_too_long = true;
                return 0;
        }
        if (limits_check_size(transfer->offset + n) < 0 || limits_take_room(transfer->fd, n) < 0) {
                transfer->is_over_limit = true;
                return 0;
        }
        while (done < n) {
                ssize_t written = pwrite(transfer->fd, data + done, n - done, (off_t) (transfer->offset + done));

                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0) {
                        transfer->write_errno = errno;
                        return 0;
                }
                done += (size_t) written;
        }
        transfer->offset += n;
        progress(transfer->offset, transfer->download->size);
        return n;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name, const char *value) {
        char line[ETAG_MAX + 64];

        snprintf(line, sizeof line, "%s: %s", name, value);
        return curl_slist_append(headers, line);
}

/* One request. partial_etag: of what is there. */
static CURLcode attempt(struct transfer *transfer, const char *partial_etag, long *ret_status) {
        const struct download *download = transfer->download;
        struct curl_slist *headers = NULL;
        char range[32];
        CURLcode code;

        transfer->curl = handle_new(download, download->url, transfer->said);
        if (!transfer->curl)
                return CURLE_OUT_OF_MEMORY;
        transfer->begun = transfer->refused = false;
        if (transfer->offset > 0) {
                snprintf(range, sizeof range, "%llu-", (unsigned long long) transfer->offset);
                curl_easy_setopt(transfer->curl, CURLOPT_RANGE, range);
                if (is_strong(partial_etag))
                        headers = add_header(headers, "If-Range", partial_etag);
        } else if (download->is_etag_known) {
                headers = add_header(headers, "If-None-Match", download->etag);
        }
        curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(transfer->curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(transfer->curl, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(transfer->curl, CURLOPT_HEADERDATA, transfer);
        curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
        code = curl_easy_perform(transfer->curl);
        curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, ret_status);
        curl_easy_cleanup(transfer->curl);
        curl_slist_free_all(headers);
        return code;
}

static int fail_status(const struct download *download, long status) {
        if (status == 404 || status == 410)
                return fail(FAILURE_MISSING, "the server has no such thing (status %ld)", status);
        return fail(FAILURE_OTHER, "the server of %s answered with status %ld", download->url, status);
}

static bool is_worth_another(CURLcode code, long status) {
        if (code == CURLE_HTTP_RETURNED_ERROR)
                return status >= 500 || status == 408 || status == 429;
        return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING ||
               code == CURLE_OPERATION_TIMEDOUT || code == CURLE_COULDNT_CONNECT || code == CURLE_HTTP2_STREAM || code == CURLE_HTTP2;
}

static void read_etag(int directory, const char *name, char *ret_etag) {
        int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n = fd < 0 ? 0 : read(fd, ret_etag, ETAG_MAX - 1);

        ret_etag[n > 0 ? n : 0] = '\0';
        if (fd >= 0)
                close(fd);
}

/* After a request that was not answered in full: 0 to try again, or -1. is_fast: it brought what it has to in its time. */
static int after(struct transfer *transfer, CURLcode code, long status, unsigned *n_attempts, bool is_fast) {
        if (transfer->is_over_limit)    /* what is too large is not to fill the disk */
                return ftruncate(transfer->fd, 0) < 0 ? -errno : -1;
        if (transfer->write_errno) {
                if (transfer->write_errno == ENOSPC && ftruncate(transfer->fd, 0) < 0)  /* a disk that is full is not to stay so */
                        return fail_errno("write what comes");
                errno = transfer->write_errno;
                return fail_errno("write what comes");
        }
        if (transfer->is_too_long)
                return ftruncate(transfer->fd, 0) < 0 ? fail_errno("write what comes")
                                                      : fail(FAILURE_CORRUPT, "the registry has more of it than the %llu bytes that it says",
                                                             (unsigned long long) transfer->download->size_max);
        if (transfer->refused || (transfer->offset > 0 && status == 416)) {
                transfer->offset = 0;   /* the server cannot go on where we are */
                return ftruncate(transfer->fd, 0) < 0 ? fail_errno("write what comes") : 0;
        }
        if (!is_worth_another(code, status))
                return code == CURLE_HTTP_RETURNED_ERROR ? fail_status(transfer->download, status)
                                                         : fail(FAILURE_UNREACHABLE, "%s: %s", transfer->download->url, words(code, transfer->said));
        if (is_fast)
                *n_attempts = 0;
        if (++*n_attempts >= ATTEMPTS_MAX)
                return code == CURLE_HTTP_RETURNED_ERROR ? fail_status(transfer->download, status)
                                                         : fail(FAILURE_UNREACHABLE, "%s: %s, %u times", transfer->download->url,
                                                                words(code, transfer->said), ATTEMPTS_MAX);
        nanosleep(&(struct timespec) { .tv_nsec = 100000000L * (1L << *n_attempts) % 1000000000L, .tv_sec = (100L << *n_attempts) / 1000 }, NULL);
        return 0;
}

static uint64_t now_msec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* Until it is whole. */
static int transfer_all(struct transfer *transfer) {
        char partial_etag[ETAG_MAX];
        unsigned n_attempts = 0;

        for (;;) {
                uint64_t before = transfer->offset, begun = now_msec();
                long status = 0;
                CURLcode code;
                bool is_fast;

                read_etag(transfer->directory, transfer->etag_name, partial_etag);
                if (transfer->offset > 0 && !is_strong(partial_etag) && !*transfer->download->checksum.algorithm)
                        before = transfer->offset = 0;          /* of what it is a part, nobody knows */
                code = attempt(transfer, partial_etag, &status);
                if (code == CURLE_OK && status == 304 && transfer->download->is_etag_known) {
                        transfer->download->is_unchanged = true;
                        return 0;
                }
                if (code == CURLE_OK && !transfer->refused) {
                        if (!transfer->begun && !begin_body(transfer))          /* nothing at all came: it is empty */
                                return transfer->is_over_limit ? -1 : fail_errno("write what comes");
                        return 0;
                }
                is_fast = transfer->offset > before && limits_is_fast(transfer->offset - before, now_msec() - begun);
                if (after(transfer, code, status, &n_attempts, is_fast) < 0)
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
