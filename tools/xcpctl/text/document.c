/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "document.h"

#include <string.h>

#include <yaml.h>

struct reader {
        yaml_parser_t parser;
        yaml_event_t event;             /* the one that is looked at */
        struct problems *problems;
        const uint8_t *data;
        size_t n;
        unsigned depth;
};

static struct document_node *read_node(struct reader *reader);

static struct place place_of(yaml_mark_t mark) {
        return (struct place) { .line = (unsigned) mark.line + 1, .column = (unsigned) mark.column + 1 };
}

static struct place here(const struct reader *reader) {
        return place_of(reader->event.start_mark);
}

/* Of bytes that are no text, libyaml only says how many there are before. */
static struct place place_of_offset(const struct reader *reader, size_t offset) {
        struct place place = { 1, 1 };

        for (size_t i = 0; i < offset && i < reader->n; i++) {
                if (reader->data[i] == '\n') {
                        place.line++;
                        place.column = 1;
                } else if ((reader->data[i] & 0xc0) != 0x80) {  /* the first byte of a character, in UTF-8 */
                        place.column++;
                }
        }
        return place;
}

static void add_encoding_problem(const struct reader *reader) {
        const yaml_parser_t *parser = &reader->parser;
        const char *text = parser->problem ? parser->problem : "it cannot be read";
        bool is_utf16 = reader->n > 1 && (memcmp(reader->data, "\xff\xfe", 2) == 0 || memcmp(reader->data, "\xfe\xff", 2) == 0);

        problems_add(reader->problems, place_of_offset(reader, parser->problem_offset),
                     strstr(text, "UTF") ? g_strdup_printf("save the file in UTF-8%s", is_utf16 ? " instead of UTF-16" : "") : NULL, "this is no YAML: %s",
                     text);
}

/* What libyaml says is for programmers; the most frequent mistakes get a hint. */
static void add_syntax_problem(struct reader *reader) {
        const yaml_parser_t *parser = &reader->parser;
        const char *text = parser->problem ? parser->problem : "it cannot be read";
        char *hint = NULL;

        if (parser->error == YAML_READER_ERROR) {
                add_encoding_problem(reader);
                return;
        }

        if (strstr(text, "cannot start any token"))
                hint = g_strdup("indent with spaces, not with tabs, and put a value that begins with a special character in quotes");
        else if (strstr(text, "mapping values are not allowed"))
                hint = g_strdup("put a value with a colon and a blank in it in quotes, and indent what belongs together alike");
        else if (strstr(text, "did not find expected"))
                hint = g_strdup("indent what belongs together alike, and close each quote and bracket");
        problems_add(reader->problems, place_of(parser->problem_mark), hint, "this is no YAML: %s%s%s", text, parser->context ? ", " : "",
                     parser->context ? parser->context : "");
}

/* The next event. */
static bool advance(struct reader *reader) {
        yaml_event_delete(&reader->event);
        if (yaml_parser_parse(&reader->parser, &reader->event))
                return true;
        memset(&reader->event, 0, sizeof reader->event);
        add_syntax_problem(reader);
        return false;
}

static bool refuse(const struct reader *reader, const char *what) {
        problems_add(reader->problems, here(reader), NULL, "%s", what);
        return false;
}

static bool is_plain(const struct reader *reader, const yaml_char_t *anchor, const yaml_char_t *tag) {
        if (anchor)
                return refuse(reader, "anchors are not used here");
        return !tag || refuse(reader, "tags are not used here: values are of the type that their key needs");
}

static void entry_free(void *data) {
        struct document_entry *entry = data;

        document_free(entry->value);
        g_free(entry->key);
        g_free(entry);
}

static void node_free(void *data) {
        document_free(data);
}

static struct document_node *node_new(const struct reader *reader, enum document_kind kind) {
        struct document_node *node = g_new(struct document_node, 1);

        *node = (struct document_node) { .kind = kind, .place = here(reader) };
        if (kind != DOCUMENT_TEXT)
                node->items = g_ptr_array_new_with_free_func(kind == DOCUMENT_LIST ? node_free : entry_free);
        return node;
}

static struct document_node *read_text(struct reader *reader) {
        const char *text = (const char *) reader->event.data.scalar.value;
        size_t n = reader->event.data.scalar.length;
        struct document_node *node;

        if (!is_plain(reader, reader->event.data.scalar.anchor, reader->event.data.scalar.tag))
                return NULL;
        if (memchr(text, '\0', n)) {
                refuse(reader, "there is a null byte in it");
                return NULL;
        }
        node = node_new(reader, DOCUMENT_TEXT);
        node->text = g_strndup(text, n);
        node->is_empty = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                         (n == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
        return node;
}

static bool read_items(struct reader *reader, struct document_node *list) {
        for (;;) {
                struct document_node *item;

                if (!advance(reader))
                        return false;
                if (reader->event.type == YAML_SEQUENCE_END_EVENT)
                        return true;
                item = read_node(reader);
                if (!item)
                        return false;
                g_ptr_array_add(list->items, item);
        }
}

/* The entry that the event, which is a key, begins. */
static struct document_entry *read_entry(struct reader *reader) {
        g_autofree char *key = NULL;
        struct place place = here(reader);
        struct document_entry *entry;
        struct document_node *value, *text;

        if (reader->event.type != YAML_SCALAR_EVENT) {
                refuse(reader, "a key has to be text");
                return NULL;
        }
        text = read_text(reader);
        if (!text)
                return NULL;
        key = g_steal_pointer(&text->text);
        document_free(text);
        value = advance(reader) ? read_node(reader) : NULL;
        if (!value)
                return NULL;
        entry = g_new(struct document_entry, 1);
        *entry = (struct document_entry) { .key = g_steal_pointer(&key), .place = place, .value = value };
        return entry;
}

static bool read_entries(struct reader *reader, struct document_node *mapping) {
        g_autoptr(GHashTable) lines = g_hash_table_new(g_str_hash, g_str_equal);

        for (;;) {
                struct document_entry *entry;
                unsigned line;

                if (!advance(reader))
                        return false;
                if (reader->event.type == YAML_MAPPING_END_EVENT)
                        return true;
                entry = read_entry(reader);
                if (!entry)
                        return false;
                line = GPOINTER_TO_UINT(g_hash_table_lookup(lines, entry->key));
                if (line > 0) {
                        problems_add(reader->problems, entry->place, NULL, "'%.64s' is there already, in line %u", entry->key, line);
                        entry_free(entry);
                        continue;
                }
                g_hash_table_insert(lines, entry->key, GUINT_TO_POINTER(entry->place.line));
                g_ptr_array_add(mapping->items, entry);
        }
}

static struct document_node *read_collection(struct reader *reader) {
        bool is_list = reader->event.type == YAML_SEQUENCE_START_EVENT;
        struct document_node *node;
        bool good;

        if (!is_plain(reader, is_list ? reader->event.data.sequence_start.anchor : reader->event.data.mapping_start.anchor,
                      is_list ? reader->event.data.sequence_start.tag : reader->event.data.mapping_start.tag))
                return NULL;
        if (reader->depth == DOCUMENT_DEPTH_MAX) {
                refuse(reader, "there are too many levels");
                return NULL;
        }
        node = node_new(reader, is_list ? DOCUMENT_LIST : DOCUMENT_MAPPING);
        reader->depth++;
        good = is_list ? read_items(reader, node) : read_entries(reader, node);
        reader->depth--;
        return good ? node : document_free(node);
}

/* The node that the event begins. */
static struct document_node *read_node(struct reader *reader) {
        switch (reader->event.type) {
        case YAML_SCALAR_EVENT:
                return read_text(reader);
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT:
                return read_collection(reader);
        case YAML_ALIAS_EVENT:
                problems_add(reader->problems, here(reader), g_strdup("write what is meant once more, or put a value that begins with * in quotes"),
                             "aliases are not used here");
                return NULL;
        default:
                refuse(reader, "a value is missing here");
                return NULL;
        }
}

static struct document_node *read_document(struct reader *reader) {
        struct document_node *root;

        if (!advance(reader) || !advance(reader))       /* the stream begins, and the document */
                return NULL;
        if (reader->event.type != YAML_DOCUMENT_START_EVENT) {
                refuse(reader, "there is nothing in it");
                return NULL;
        }
        root = advance(reader) ? read_node(reader) : NULL;
        if (!root)
                return NULL;
        if (!advance(reader) || !advance(reader))       /* the document ends, and the stream */
                return document_free(root);
        if (reader->event.type != YAML_STREAM_END_EVENT) {
                refuse(reader, "there has to be one document in a file");
                return document_free(root);
        }
        return root;
}

struct document_node *document_parse(const char *data, size_t n, struct problems *problems) {
        struct reader reader = { .problems = problems, .data = (const uint8_t *) data, .n = n };
        struct document_node *root;

        if (n > DOCUMENT_SIZE_MAX) {
                problems_add(problems, (struct place) { 1, 1 }, NULL, "it has more than %u bytes, which are the most that are taken", DOCUMENT_SIZE_MAX);
                return NULL;
        }
        if (!yaml_parser_initialize(&reader.parser))
                g_error("no memory for a parser");
        yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *) data, n);
        root = read_document(&reader);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
        return root;
}

struct document_node *document_free(struct document_node *node) {
        if (!node)
                return NULL;
        if (node->items)
                g_ptr_array_unref(node->items);
        g_free(node->text);
        g_free(node);
        return NULL;
}

const struct document_entry *document_get(const struct document_node *node, const char *key) {
        if (node->kind != DOCUMENT_MAPPING)
                return NULL;
        for (unsigned i = 0; i < node->items->len; i++) {
                const struct document_entry *entry = node->items->pdata[i];

                if (strcmp(entry->key, key) == 0)
                        return entry;
        }
        return NULL;
}

const char *document_kind_name(const struct document_node *node) {
        switch (node->kind) {
        case DOCUMENT_LIST:
                return "a list";
        case DOCUMENT_MAPPING:
                return "a mapping";
        default:
                return node->is_empty ? "nothing" : "a single value";
        }
}
