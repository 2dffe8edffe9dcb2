/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The process for one other domain: it meets the other domain's bridge, has one session with it, and ends with that. The hub starts the
 * next one. So nothing of a session can be left over in the next, and what one domain can do to a bridge it does to its own alone.
 */

/* argv: as the hub gives it, after --peer. Returns the exit status. */
int peer_main(int argc, char **argv);
