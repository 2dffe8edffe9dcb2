/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of xcp-vhost-blk: that of a vhost-user back-end program ("Backend program conventions"), and what ours has besides. */

#include "disk.h"
#include "worker.h"

struct options {
        const char *socket_path;        /* NULL: fd, or */
        const char *connect_path;       /* of a front-end that listens */
        int fd;
        int control_fd, counters_fd;    /* -1: none */
        const char *user;               /* to be, if started by root; NULL: nobody else */
        struct disk_spec disk;
        struct worker_options worker;
        uint64_t iops, bandwidth;
        bool has_xen;
        uint32_t xen_domid;             /* the guest's, whose granted pages are mapped */
        bool is_shared;                 /* others may write to the disk, too */
        bool stands_by;                 /* until it is told to begin */
};

enum options_outcome {
        OPTIONS_SHOWN = 1,              /* what was asked for is printed, and there is nothing else to do */
};

/* -EINVAL: said why on standard error. */
int options_parse(struct options *options, int argc, char **argv);
