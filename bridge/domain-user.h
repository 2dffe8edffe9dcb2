/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The users of other domains: numbers, and records that make them known to the user database.
 *
 * A domain's user is DOMAIN_USER_FIRST plus its id, of numbers that neither Debian nor systemd gives away and below those of subuid(5). All are in one
 * group, so that a bus's policy can name them.
 */

#include <sys/types.h>

#define DOMAIN_USER_FIRST 65536u        /* to 98,287 */
#define DOMAIN_GROUP 98288u             /* bus/policy-parser.c, "domains" */

/*
 * Writes the records (systemd's JSON User and Group Records, as nss-systemd(8) reads them in directory) that are not there yet. Some brokers turn
 * away whom the user database does not know.
 */
int domain_user_describe(const char *directory, unsigned domain);
