/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The next word of a line; NULL at its end. Only printable ASCII is a word, so that all of it can go onto the bus. */
static char *take_word(char **line) {
        char *word = *line + strspn(*line, " ");
        size_t n = strcspn(word, " ");

        if (n == 0)
                return NULL;
        for (size_t i = 0; i < n; i++)
                if (word[i] < ' ' || word[i] > '~')
                        return NULL;
        *line = word + n;
        if (**line)
                *(*line)++ = '\0';
        return word;
}

static int number_parse(const char *text, uint64_t max, uint64_t *ret_number) {
        char *end;
        unsigned long long number;

        if (!text || text[0] < '0' || text[0] > '9')
                return -EBADMSG;
        errno = 0;
        number = strtoull(text, &end, 10);
        if (errno != 0 || *end != '\0' || number > max)
                return -EBADMSG;
        *ret_number = number;
        return 0;
}

static enum xcp_address_family family_of(const char *address) {
        return strchr(address, ':') ? XCP_ADDRESS_FAMILY_INET6
               : address[0] == '/' || address[0] == '@' ? XCP_ADDRESS_FAMILY_UNIX : XCP_ADDRESS_FAMILY_INET;
}

/* ADDRESS PORT; - is none. */
static int take_address(char **line, const char **ret_address, uint16_t *ret_port) {
        const char *address = take_word(line);
        uint64_t port;

        if (!address || number_parse(take_word(line), UINT16_MAX, &port) < 0)
                return -EBADMSG;
        *ret_address = strcmp(address, "-") == 0 ? "" : address;
        *ret_port = (uint16_t) port;
        return 0;
}

int report_socket(char *line, struct xcp_pvcalls_socket *ret_socket) {
        struct xcp_pvcalls_socket socket = { .type = XCP_PVCALLS_SOCKET_TYPE_STREAM };
        const struct {
                const char *name;
                uint64_t *value;
        } numbers[] = { { "received", &socket.received_bytes }, { "sent", &socket.sent_bytes },
                        { "queued", &socket.queued_bytes }, { "age-ms", &socket.age_ms } };
        const char *first = take_word(&line), *state;
        char *word;

        if (!first || strcmp(first, "socket") != 0 || number_parse(take_word(&line), UINT64_MAX, &socket.id) < 0)
                return -EBADMSG;
        state = take_word(&line);
        if (!state || xcp_pvcalls_socket_state_from_string(state, &socket.state) < 0)
                return -EBADMSG;
        if (take_address(&line, &socket.local_address, &socket.local_port) < 0 ||
            take_address(&line, &socket.remote_address, &socket.remote_port) < 0)
                return -EBADMSG;
        socket.family = family_of(*socket.local_address ? socket.local_address : socket.remote_address);
        while ((word = take_word(&line))) {
                char *equals = strchr(word, '=');

                if (strcmp(word, "family=inet6") == 0)
                        socket.family = XCP_ADDRESS_FAMILY_INET6;
                else if (strcmp(word, "family=unix") == 0)
                        socket.family = XCP_ADDRESS_FAMILY_UNIX;
                else if (strcmp(word, "type=datagram") == 0)
                        socket.type = XCP_PVCALLS_SOCKET_TYPE_DATAGRAM;
                for (size_t i = 0; equals && i < sizeof numbers / sizeof numbers[0]; i++)
                        if (strlen(numbers[i].name) == (size_t) (equals - word) &&
                            strncmp(word, numbers[i].name, (size_t) (equals - word)) == 0 &&
                            number_parse(equals + 1, UINT64_MAX, numbers[i].value) < 0)
                                return -EBADMSG;
        }
        *ret_socket = socket;
        return 0;
}

int report_counter(char *line, struct xcp_dict_s_t_entry *ret_entry) {
        const char *name = take_word(&line);
        uint64_t value;

        if (!name || number_parse(take_word(&line), UINT64_MAX, &value) < 0)
                return -EBADMSG;
        *ret_entry = (struct xcp_dict_s_t_entry) { .key = name, .value = value };
        return 0;
}

int report_state(char *text, enum xcp_pvcalls_state *ret_state, const char **ret_reason) {
        const char *word;

        text[strcspn(text, "\n")] = '\0';
        word = take_word(&text);
        if (!word || xcp_pvcalls_state_from_string(word, ret_state) < 0)
                return -EBADMSG;
        for (char *p = text; *p; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
        *ret_reason = text;
        return 0;
}

int report_denied(char *text, struct report_denied *ret_denied) {
        struct report_denied denied = { .rule = -1, .count = 1 };
        const char *call;
        char *word;

        text[strcspn(text, "\n")] = '\0';
        call = take_word(&text);
        if (!call || (strcmp(call, "connect") != 0 && strcmp(call, "bind") != 0))
                return -EBADMSG;
        denied.call = *call == 'c' ? XCP_PVCALLS_CALL_CONNECT : XCP_PVCALLS_CALL_BIND;
        if (take_address(&text, &denied.address, &denied.port) < 0)
                return -EBADMSG;
        denied.family = family_of(denied.address);
        while ((word = take_word(&text))) {
                uint64_t number;

                if (strcmp(word, "rule=-1") == 0)
                        continue;
                if (strncmp(word, "rule=", 5) == 0 && number_parse(word + 5, INT32_MAX, &number) == 0)
                        denied.rule = (int32_t) number;
                else if (strncmp(word, "count=", 6) == 0 && number_parse(word + 6, UINT32_MAX, &number) == 0)
                        denied.count = (uint32_t) number;
                else if (strncmp(word, "rule=", 5) == 0 || strncmp(word, "count=", 6) == 0)
                        return -EBADMSG;
        }
        *ret_denied = denied;
        return 0;
}
