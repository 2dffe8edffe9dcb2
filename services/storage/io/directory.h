/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A storage repository that is a directory, for those who change what is in it. What fails is printed. */

/* Returns an exit status. */
int directory_open(const char *path, int *ret_fd);
int directory_sync(int root);
int directory_remove(int root, const char *name);         /* if it is there; an empty name is none */

/* UUID.EXTENSION, if it is one, in IO_NAME_MAX bytes: what the command line says becomes no path. -EINVAL. */
int directory_make_name(char *ret_name, const char *uuid_text, const char *extension);
