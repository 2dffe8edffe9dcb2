/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where things are: in the tree that this program was built in, or where it was installed to. */

const char *paths_run_dir(void);
const char *paths_users(void);          /* where records of users are kept, nss-systemd(8); NULL in the tree, which leaves this machine's alone */

/* Files and directories of policy, in the order in which they count; NULL ends them. */
const char *const *paths_policies(void);
