/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * HTTP with libcurl: requests, and small answers into memory.
 *
 * A small answer has to be there within the time that limits.seconds says, however often it is asked for.
 */

#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "pull-limits.h"

#define BODY_MAX (4u * 1024u * 1024u)   /* what the OCI distribution specification asks registries to take for a manifest */
#define REDIRECTS_MAX 10L
#define CONNECT_SECONDS 30L

static void show_who_asks(CURL *curl, const struct download *download) {
        if (*download->token) {         /* libcurl gives it to no other host */
                curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
                curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, download->token);
        } else if (download->sends_password) {  /* nor this */
                curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
                curl_easy_setopt(curl, CURLOPT_USERNAME, download->user);
                curl_easy_setopt(curl, CURLOPT_PASSWORD, download->password);
        }
}

CURL *http_request_new(const struct download *download, const char *url, struct outcome *outcome) {
        CURL *curl = curl_easy_init();

        *outcome = (struct outcome) { .code = CURLE_OUT_OF_MEMORY };
        if (!curl)
                return NULL;
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, outcome->said);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PRIVATE, url);
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
        show_who_asks(curl, download);
        return curl;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
        char *one = NULL, *other = NULL;
        bool same = curl_url_get(a, part, &one, CURLU_DEFAULT_PORT) == CURLUE_OK && curl_url_get(b, part, &other, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                    strcasecmp(one, other) == 0;

        curl_free(one);
        curl_free(other);
        return same;
}

/* What libcurl itself goes by before it gives away who asks. */
static bool same_server(const char *url, const char *other_url) {
        CURLU *a = curl_url(), *b = curl_url();
        bool same = a && b && url && other_url && curl_url_set(a, CURLUPART_URL, url, 0) == CURLUE_OK && curl_url_set(b, CURLUPART_URL, other_url, 0) == CURLUE_OK &&
                    same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) && same_part(a, b, CURLUPART_PORT);

        curl_url_cleanup(a);
        curl_url_cleanup(b);
        return same;
}

void http_request_run(CURL *curl, struct outcome *ret_outcome) {
        char *asked = NULL, *answered = NULL;
        curl_off_t retry_after = 0;

        ret_outcome->code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret_outcome->status);
        curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
        curl_easy_getinfo(curl, CURLINFO_PRIVATE, &asked);
        curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &answered);
        ret_outcome->retry_after = retry_after > 0 ? (uint64_t) retry_after : 0;
        ret_outcome->is_elsewhere = !same_server(asked, answered);
        curl_easy_cleanup(curl);
}

void http_keep_header(const char *line, size_t n, const char *name, char *field, size_t size) {
        size_t n_name = strlen(name);

        if (n <= n_name || strncasecmp(line, name, n_name) != 0 || line[n_name] != ':')
                return;
        line += n_name + 1;
        n -= n_name + 1;
        while (n > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                n--;
        }
        while (n > 0 && strchr("\r\n \t", line[n - 1]))
                n--;
        if (n < size) {
                memcpy(field, line, n);
                field[n] = '\0';
        }
}

bool http_is_status_line(const char *line, size_t n) {
        return n > 5 && strncmp(line, "HTTP/", 5) == 0;
}

/* Trying again */

uint64_t http_now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static bool is_worth_another(const struct outcome *outcome) {
        switch (outcome->code) {
        case CURLE_OK:
        case CURLE_HTTP_RETURNED_ERROR:
                return outcome->status >= 500 || outcome->status == 408 || outcome->status == 429;
        case CURLE_PARTIAL_FILE:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_OPERATION_TIMEDOUT:
        case CURLE_COULDNT_CONNECT:
        case CURLE_HTTP2_STREAM:
        case CURLE_HTTP2:
                return true;
        default:
                return false;
        }
}

bool http_wait(const struct outcome *outcome, unsigned n_attempts, uint64_t at_most_ms) {
        uint64_t pause_ms = n_attempts < ATTEMPTS_MAX ? UINT64_C(100) << n_attempts : 0;

        if (!is_worth_another(outcome) || n_attempts >= ATTEMPTS_MAX || outcome->retry_after > at_most_ms / 1000)
                return false;
        if (outcome->retry_after * 1000 > pause_ms)
                pause_ms = outcome->retry_after * 1000;
        if (pause_ms > at_most_ms)
                return false;
        nanosleep(&(struct timespec) { .tv_sec = (time_t) (pause_ms / 1000), .tv_nsec = (long) (pause_ms % 1000) * 1000000 }, NULL);
        return true;
}

static int fail_status(const char *url, const struct outcome *outcome) {
        long status = outcome->status;

        if (status == 404 || status == 410)
                return fail(FAILURE_MISSING, "the server has no such thing (status %ld)", status);
        if (status == 401 || status == 403)
                return fail(FAILURE_UNREACHABLE, "%.200s: the server does not give it to us (status %ld)", url, status);
        if (is_worth_another(outcome) && outcome->retry_after > 0)
                return fail(FAILURE_UNREACHABLE, "%.200s: the server answered with status %ld, and wants to be asked again in %llu s", url, status,
                            (unsigned long long) outcome->retry_after);
        return fail(is_worth_another(outcome) ? FAILURE_UNREACHABLE : FAILURE_OTHER, "%.200s: the server answered with status %ld", url, status);
}

int http_fail(const char *url, const struct outcome *outcome, unsigned n_attempts) {
        const char *words = *outcome->said ? outcome->said : curl_easy_strerror(outcome->code);         /* with the numbers, if it has them */

        if (outcome->code == CURLE_OK || outcome->code == CURLE_HTTP_RETURNED_ERROR)
                return fail_status(url, outcome);
        return n_attempts > 1 ? fail(FAILURE_UNREACHABLE, "%.200s: %s, %u times", url, words, n_attempts) : fail(FAILURE_UNREACHABLE, "%.200s: %s", url, words);
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

        if (http_is_status_line(line, n))
                *response->challenge = '\0';
        http_keep_header(line, n, "www-authenticate", response->challenge, sizeof response->challenge);
        return n;
}

static void ask(const struct download *download, const char *url, struct curl_slist *headers, uint64_t at_most_ms, struct response *ret_response,
                struct outcome *ret_outcome) {
        CURL *curl = http_request_new(download, url, ret_outcome);

        *ret_response = (struct response) { .body = calloc(1, 1) };
        if (!curl || !ret_response->body) {
                curl_easy_cleanup(curl);
                return;
        }
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) at_most_ms);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_response);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_body_header);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret_response);
        http_request_run(curl, ret_outcome);
        ret_response->status = ret_outcome->status;
        ret_response->is_elsewhere = ret_outcome->is_elsewhere;
}

int http_get(const struct download *download, const char *url, const char *accept, struct response *ret_response) {
        struct curl_slist *headers = accept ? curl_slist_append(NULL, accept) : NULL;
        uint64_t end_ms = http_now_ms() + limits.seconds * 1000, left_ms = limits.seconds * 1000;
        struct outcome outcome;
        unsigned n_attempts = 0;

        for (;;) {
                uint64_t now_ms;

                ask(download, url, headers, left_ms, ret_response, &outcome);
                now_ms = http_now_ms();
                left_ms = now_ms < end_ms ? end_ms - now_ms : 0;
                if (!http_wait(&outcome, ++n_attempts, left_ms))
                        break;
                response_done(ret_response);
                now_ms = http_now_ms();
                left_ms = now_ms < end_ms ? end_ms - now_ms : 1;        /* 0 would be for ever */
        }
        curl_slist_free_all(headers);
        if (outcome.code == CURLE_OK && !is_worth_another(&outcome))
                return 0;
        response_done(ret_response);
        return http_fail(url, &outcome, n_attempts);
}

void response_done(struct response *response) {
        free(response->body);
        response->body = NULL;
}
