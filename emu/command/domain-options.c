/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a new domain is wanted, and its making; see domain-options.h. */

#include "domain-options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "client.h"
#include "toolstack.h"

#define NAME_MAX_LENGTH 128             /* xenstored takes more; a list does not show more */

static void uuid_format(const uint8_t u[16], char ret_text[37]) {
        snprintf(ret_text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5],
                 u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void uuid_generate_text(char ret_text[37]) {
        uint8_t u[16];

        (void) !getrandom(u, sizeof u, 0);      /* 16 bytes never come short (getrandom(2)) */
        u[6] = (u[6] & 0x0f) | 0x40;            /* RFC 4122 §4.4: version 4 */
        u[8] = (u[8] & 0x3f) | 0x80;
        uuid_format(u, ret_text);
}

/* In its usual spelling. */
static bool uuid_parse_text(const char *text, uint8_t ret_uuid[16]) {
        char again[37];
        unsigned int u[16];

        if (sscanf(text, "%2x%2x%2x%2x-%2x%2x-%2x%2x-%2x%2x-%2x%2x%2x%2x%2x%2x", &u[0], &u[1], &u[2], &u[3], &u[4], &u[5], &u[6], &u[7],
                   &u[8], &u[9], &u[10], &u[11], &u[12], &u[13], &u[14], &u[15]) != 16)
                return false;
        for (int i = 0; i < 16; i++)
                ret_uuid[i] = u[i];

        /* What sscanf was generous about shows when it is written again. */
        uuid_format(ret_uuid, again);
        return strcasecmp(text, again) == 0;
}

static void report_creation(const struct context *context, int r, const char *text) {
        if (r == -ENOSPC)
                report("every domid is in use");
        else if (r == -ERANGE)
                report("a limit is beyond what Xen could do");
        else if (r == -EPERM)
                report("cannot isolate domains without root; use --no-isolate");
        else if (text[0])
                report("cannot create a domain: %s; %s/xenemud/log may say more", text, context->run_dir);
        else
                report("cannot create a domain: %s; %s/xenemud/log may say more", strerror(-r), context->run_dir);
}

int domain_create(const struct context *context, int control_fd, const char *name, const char *uuid, bool isolate,
                  const struct emu_limits *limits, uint32_t *ret_domid) {
        struct emu_domain_create create = { .flags = isolate ? EMU_DOMAIN_ISOLATED : 0, .limits = *limits };
        union {
                struct emu_domain_created created;
                struct emu_text text;
        } answer = {};
        char own_name[sizeof "dom4294967295"], own_uuid[37];
        struct emu_id id;
        int r;

        if (!uuid) {
                uuid_generate_text(own_uuid);
                uuid = own_uuid;
        }
        if (!uuid_parse_text(uuid, create.uuid)) {
                report("'%s' is not a uuid", uuid);
                return -EINVAL;
        }
        if (name && (name[0] == '\0' || strlen(name) > NAME_MAX_LENGTH || strpbrk(name, "/ \n") || (name[0] >= '0' && name[0] <= '9'))) {
                report("'%s' will not do as a name: 1 to %d characters, no slash, no blank, not beginning with a digit", name,
                       NAME_MAX_LENGTH);
                return -EINVAL;
        }

        r = emu_call(control_fd, EMU_DOMAIN_CREATE, &create, sizeof create, &answer, sizeof answer, NULL, 0);
        if (r < 0) {
                answer.text.text[sizeof answer.text.text - 1] = '\0';
                report_creation(context, r, answer.text.text);
                return r;
        }

        id.id = answer.created.domid;
        if (!name) {
                snprintf(own_name, sizeof own_name, "dom%u", id.id);
                name = own_name;
        }
        r = toolstack_introduce(context->run_dir, id.id, answer.created.xenstore_port, name, uuid);
        if (r < 0) {
                if (r == -EEXIST)
                        report("there is a domain named '%s' already", name);
                else
                        report("cannot introduce domain %u to the store: %s", id.id, strerror(-r));
                (void) emu_call(control_fd, EMU_DOMAIN_DESTROY, &id, sizeof id, NULL, 0, NULL, 0);
                return r;
        }

        *ret_domid = id.id;
        return 0;
}
