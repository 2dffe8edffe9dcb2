/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Activation files: which program to start for which bus name, D-Bus specification, "Message Bus Starting Services".
 *
 * A file is NAME.service and says
 *
 *   [D-BUS Service]
 *   Name=NAME
 *   Exec=/an/absolute/path "with arguments"
 *
 * and nothing else, besides comments. dbus-daemon knows more keys, but on a bus that is not the system's it ignores some of them
 * silently (User=), and dbus-broker leaves all of them to us: what cannot be kept on both is refused.
 */

#include <stddef.h>

struct activation {
        char *name;
        char **argv;                    /* NULL ends it */
        char *file;                     /* where it was read */
};

struct activations {
        struct activation *items;
        size_t n_items;
};

struct activation_error {
        unsigned line;                  /* 0: the file as a whole */
        char text[192];
};

void activation_done(struct activation *activation);
void activations_done(struct activations *activations);

/* Reads the text of one file; file and its base name are for the record. Returns 0, -EINVAL and an error, or -ENOMEM. */
int activation_parse(const char *file, const char *text, size_t n_text, struct activation *ret_activation,
                     struct activation_error *ret_error);

/*
 * Adds those of a directory, which need not exist. Of two files for one name the first that was added counts. Returns 0, or a negative
 * errno after a report of the first file that is wrong.
 */
int activations_add_directory(struct activations *activations, const char *directory);

#define AUTO_ACTIVATIONS __attribute__((cleanup(activations_done))) struct activations
