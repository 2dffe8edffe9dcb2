/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What requests have in common, whether their answers go into memory (http.c) or into a file (download.c): how they are made, what is taken of the
 * headers, and which of those that failed are made again, and when.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "fetch.h"

#define ATTEMPTS_MAX 6u                 /* one after the other that bring too little */

/* What became of an attempt. */
struct outcome {
        CURLcode code;
        long status;
        uint64_t retry_after;           /* seconds, as the server has it; 0: it does not say */
        bool is_elsewhere;              /* the answer is of another server than the one that was asked, by a redirect */
        char said[CURL_ERROR_SIZE];
};

/* A request of that URL, with what there is to show who asks. NULL: no memory. */
CURL *http_request_new(const struct download *download, const char *url, struct outcome *outcome);

/* Makes it, and frees it. */
void http_request_run(CURL *curl, struct outcome *ret_outcome);

/* Keeps a header's value, if the line is of that. */
void http_keep_header(const char *line, size_t n, const char *name, char *field, size_t size);

/* Is this the first line of an answer? What is kept is of the last one then, behind redirects. */
bool http_is_status_line(const char *line, size_t n);

/* Waits, after so many attempts, as long as is right before another one. False: there shall be none, nor if that would take longer than at_most_ms. */
bool http_wait(const struct outcome *outcome, unsigned n_attempts, uint64_t at_most_ms);

/* No usable answer. Says so, and returns -1. */
int http_fail(const char *url, const struct outcome *outcome, unsigned n_attempts);

uint64_t http_now_ms(void);
