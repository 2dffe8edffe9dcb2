/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The host's neighbours: what addresses it has talked to at whose MAC addresses (rtnetlink(7), RTM_GETNEIGH). */

/* Both are text, of the host's own kernel. */
typedef void (*neighbours_on_one_t)(void *userdata, const char *mac, const char *address);

/* Tells of each. The kernel answers at once. */
int neighbours_read(neighbours_on_one_t on_one, void *userdata);
