/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SSH keys: a pair for each VM that needs one, made by ssh-keygen and kept in the user's data directory, xcpctl/keys.
 *
 * Files are called by the VM's name, which has no slash and is no dot or two: whoever got the name from a service checks that here.
 */

#include <stdbool.h>

#include <glib.h>

/* Where a VM's private key is, whether it is there or not; NULL with an error if its name cannot be a file's. To be freed. */
char *ssh_key_path(const char *vm, GError **error);

/* Where ssh keeps what the VM's guest has shown of itself, by the key's path. To be freed. */
char *ssh_key_known_hosts(const char *path);

/* The next login takes what the guest shows: it is another one. */
void ssh_key_forget_guest(const char *vm);

/* Makes the directory that a key of this path is in, unless it is there. ssh notes there which host keys guests have. */
bool ssh_key_make_directory(const char *path, GError **error);

/* The public key, on one line; the pair is made if there is none. To be freed. */
char *ssh_key_public(const char *vm, GError **error);

/* Whom to log in as: kept beside the key. ssh_key_user() is NULL if nothing is known; to be freed. */
bool ssh_key_set_user(const char *vm, const char *user, GError **error);
char *ssh_key_user(const char *vm);
