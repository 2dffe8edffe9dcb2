/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where things are: in the tree that this program was built in, or where it was installed to. */

const char *paths_run_dir(void);

/* Files and directories of policy, in the order in which they count; NULL ends them. */
const char *const *paths_policies(void);
