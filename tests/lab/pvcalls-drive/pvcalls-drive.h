/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * /dev/pvcalls: what a program says to the driver of pvcalls-drive.c. An open file is a socket of Linux's PV Calls frontend; read(),
 * write(), poll() and close() are its recvmsg, sendmsg, poll and release, and the rest is here. All block; errors are those that the
 * frontend returns.
 */

#include <linux/ioctl.h>
#ifdef __KERNEL__
#include <linux/in.h>
#else
#include <netinet/in.h>
#endif

#define PVCALLS_DRIVE_CONNECT _IOW('P', 1, struct sockaddr_in)
#define PVCALLS_DRIVE_BIND _IOW('P', 2, struct sockaddr_in)
#define PVCALLS_DRIVE_LISTEN _IO('P', 3)        /* the argument is the backlog */
#define PVCALLS_DRIVE_ACCEPT _IO('P', 4)        /* returns a new descriptor */
