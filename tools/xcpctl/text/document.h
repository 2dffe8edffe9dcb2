/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Documents: a file in YAML as a tree whose nodes know where they stand.
 *
 * What is read is YAML as libyaml parses it, less what a configuration does without and what surprises people: values are text until
 * whoever reads them knows of which type they are (so no is the text no, and 0777 the text 0777), and anchors, aliases, tags, several
 * documents in one file and keys that come twice are refused. So what is read is never larger than the file.
 */

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

#include "problems.h"

#define DOCUMENT_SIZE_MAX (1024u * 1024u)
#define DOCUMENT_DEPTH_MAX 16u          /* a file of VMs needs 6 */

enum document_kind {
        DOCUMENT_TEXT,
        DOCUMENT_LIST,
        DOCUMENT_MAPPING,
};

struct document_node {
        enum document_kind kind;
        struct place place;
        char *text;                     /* TEXT */
        bool is_empty;                  /* TEXT: there is nothing, or a plain ~ or null */
        GPtrArray *items;               /* LIST: struct document_node; MAPPING: struct document_entry */
};

struct document_entry {
        char *key;
        struct place place;             /* of the key */
        struct document_node *value;
};

/* The node at the root; NULL with a problem. There may be problems besides a node, too. */
struct document_node *document_parse(const char *data, size_t n, struct problems *problems);
struct document_node *document_free(struct document_node *node);

/* The entry of a mapping; NULL if there is none, or node is no mapping. */
const struct document_entry *document_get(const struct document_node *node, const char *key);

/* What it is, for messages: a list, a mapping, ... */
const char *document_kind_name(const struct document_node *node);
