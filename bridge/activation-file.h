/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Activation files that a bridge makes for services of other domains, NAME.service, marked as its own: others are left alone. */

#include <stdbool.h>

/* 1, or 0 if there is one of ours already; -EEXIST if there is another. */
int activation_file_write(const char *directory, const char *name, const char *program);

/* Whether there is one of ours: somebody may have put another in its place. */
bool activation_file_is_there(const char *directory, const char *name);

/* Whether there was one of ours. */
bool activation_file_remove(const char *directory, const char *name);

/* All of ours, of a bridge that was killed. Whether there were any. */
bool activation_files_remove(const char *directory);
