/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an epoll descriptor watches, as /proc/self/fdinfo/FD tells it: lines like
 *
 *      tfd:        5 events: 80000001 data:               2a  pos:0 ino:e sdev:f
 *
 * It is how a program finds its event channels again after exec(2), when an epoll descriptor is all that it has kept.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evtchn_watch {
        int fd;                         /* number under which it was registered; something else may have it by now */
        uint64_t data;                  /* epoll_data_t.u64 */
};

/* Reads one line. Returns false if it is not one about a watched descriptor. */
bool evtchn_watch_parse(const char *line, struct evtchn_watch *ret_watch);

/* Lists what epoll watches; the caller frees the array. Returns 0 or a negative errno. */
int evtchn_watches_read(int epoll, struct evtchn_watch **ret_watches, size_t *ret_n_watches);
