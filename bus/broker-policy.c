/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker-policy.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

#define XMIT "btssssuutt"
#define BATCH "bta(btbs)a(" XMIT ")a(" XMIT ")"
#define POLICY "a(u(" BATCH "))a(buu(" BATCH "))a(ss)bs"

#define UID_EVERYONE UINT32_MAX

/* Which rules lift which: the same order as in daemon-config.c. */
enum priority {
        PRIORITY_PREAMBLE = 1,
        PRIORITY_EVERYONE,
        PRIORITY_GUARD,
        PRIORITY_GRANT,
};

enum message_type {             /* D-Bus specification, "Message Format" */
        TYPE_CALL = 1,
        TYPE_SIGNAL = 4,
};

static const char driver[] = "org.freedesktop.DBus";

/* Whose rules a batch holds. */
struct subject {
        enum subject_kind kind;
        uint32_t id;
};

static bool is_for(const struct grant *grant, const struct subject *subject) {
        switch (grant->subject) {
        case SUBJECT_EVERYONE: return subject->kind != SUBJECT_GROUP;   /* a group's batch comes on top of a user's, which has them */
        case SUBJECT_OWNER:
        case SUBJECT_USER: return subject->kind == SUBJECT_USER && grant->id == subject->id;
        case SUBJECT_GROUP: return subject->kind == SUBJECT_GROUP && grant->id == subject->id;
        case SUBJECT_NOBODY: break;
        }
        return false;
}

static enum priority priority_of(const struct grant *grant) {
        return grant->subject == SUBJECT_EVERYONE ? PRIORITY_EVERYONE : PRIORITY_GRANT;
}

static int append_xmit(sd_bus_message *m, bool verdict, enum priority priority, const char *name, const char *path, const char *interface,
                       const char *member, enum message_type type) {
        return sd_bus_message_append(m, "(" XMIT ")", verdict, (uint64_t) priority, name ?: "", path ?: "", interface ?: "", member ?: "",
                                     (uint32_t) type, UINT32_C(0), UINT64_C(0), UINT64_MAX);
}

static int append_own(const struct policy *policy, const struct subject *subject, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(btbs)");
        for (size_t i = 0; r >= 0 && i < policy->n_grants; i++) {
                const struct grant *grant = &policy->grants[i];

                if (grant->kind == GRANT_OWN && is_for(grant, subject))
                        r = sd_bus_message_append(m, "(btbs)", true, (uint64_t) priority_of(grant), grant->below, grant->name);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_grants(const struct policy *policy, const struct subject *subject, enum grant_kind kind, sd_bus_message *m) {
        enum message_type type = kind == GRANT_CALL ? TYPE_CALL : TYPE_SIGNAL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < policy->n_grants; i++) {
                const struct grant *grant = &policy->grants[i];

                if (grant->kind == kind && is_for(grant, subject))
                        r = append_xmit(m, true, priority_of(grant), grant->name, grant->path, grant->interface, grant->member, type);
        }
        return r;
}

static int append_send_preamble(sd_bus_message *m) {
        static const char *const open[] = { "org.freedesktop.DBus", "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Peer",
                                            "org.freedesktop.DBus.Properties" };
        static const char *const closed[] = { "org.freedesktop.DBus.Debug.Stats", "org.freedesktop.DBus.Monitoring",
                                              "org.freedesktop.systemd1.Activator" };
        int r;

        r = append_xmit(m, true, PRIORITY_PREAMBLE, NULL, NULL, NULL, NULL, TYPE_SIGNAL);
        for (size_t i = 0; r >= 0 && i < sizeof open / sizeof open[0]; i++)
                r = append_xmit(m, true, PRIORITY_PREAMBLE, driver, NULL, open[i], NULL, TYPE_CALL);
        for (size_t i = 0; r >= 0 && i < sizeof closed / sizeof closed[0]; i++)
                r = append_xmit(m, false, PRIORITY_GUARD, driver, NULL, closed[i], NULL, TYPE_CALL);
        if (r >= 0)
                r = append_xmit(m, false, PRIORITY_GUARD, driver, NULL, driver, "ReloadConfig", TYPE_CALL);
        if (r >= 0)
                r = append_xmit(m, false, PRIORITY_GUARD, driver, NULL, driver, "UpdateActivationEnvironment", TYPE_CALL);
        return r;
}

static int append_send(const struct policy *policy, const struct subject *subject, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(" XMIT ")");
        if (r >= 0 && subject->kind != SUBJECT_GROUP)
                r = append_send_preamble(m);
        if (r >= 0)
                r = append_grants(policy, subject, GRANT_CALL, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_receive(const struct policy *policy, const struct subject *subject, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(" XMIT ")");
        if (r >= 0 && subject->kind != SUBJECT_GROUP) {
                r = append_xmit(m, true, PRIORITY_PREAMBLE, NULL, NULL, NULL, NULL, TYPE_CALL);
                if (r >= 0)
                        r = append_xmit(m, true, PRIORITY_PREAMBLE, driver, NULL, NULL, NULL, TYPE_SIGNAL);
        }
        if (r >= 0)
                r = append_grants(policy, subject, GRANT_HEAR, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_batch(const struct policy *policy, const struct subject *subject, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'r', BATCH);
        if (r >= 0)
                r = sd_bus_message_append(m, "bt", true, (uint64_t) PRIORITY_PREAMBLE);
        if (r >= 0)
                r = append_own(policy, subject, m);
        if (r >= 0)
                r = append_send(policy, subject, m);
        if (r >= 0)
                r = append_receive(policy, subject, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Whether an earlier grant is to the same user or group, so that the batch is there already. */
static bool is_repeated(const struct policy *policy, size_t i, enum subject_kind kind) {
        const struct subject subject = { kind, policy->grants[i].id };

        for (size_t j = 0; j < i; j++)
                if (policy->grants[j].subject != SUBJECT_EVERYONE && is_for(&policy->grants[j], &subject))
                        return true;
        return false;
}

static int append_user(const struct policy *policy, const struct subject *subject, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "u(" BATCH ")");
        if (r >= 0)
                r = sd_bus_message_append(m, "u", subject->id);
        if (r >= 0)
                r = append_batch(policy, subject, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_users(const struct policy *policy, sd_bus_message *m) {
        const struct subject everyone = { SUBJECT_EVERYONE, UID_EVERYONE };
        int r;

        r = sd_bus_message_open_container(m, 'a', "(u(" BATCH "))");
        if (r >= 0)
                r = append_user(policy, &everyone, m);
        for (size_t i = 0; r >= 0 && i < policy->n_grants; i++) {
                const struct grant *grant = &policy->grants[i];
                const struct subject user = { SUBJECT_USER, grant->id };

                if ((grant->subject == SUBJECT_USER || grant->subject == SUBJECT_OWNER) && !is_repeated(policy, i, SUBJECT_USER))
                        r = append_user(policy, &user, m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_group(const struct policy *policy, const struct subject *subject, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "buu(" BATCH ")");
        if (r >= 0)
                r = sd_bus_message_append(m, "buu", true, subject->id, subject->id);
        if (r >= 0)
                r = append_batch(policy, subject, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_groups(const struct policy *policy, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(buu(" BATCH "))");
        for (size_t i = 0; r >= 0 && i < policy->n_grants; i++) {
                const struct subject group = { SUBJECT_GROUP, policy->grants[i].id };

                if (policy->grants[i].subject == SUBJECT_GROUP && !is_repeated(policy, i, SUBJECT_GROUP))
                        r = append_group(policy, &group, m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int broker_policy_append(const struct policy *policy, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'v', "(" POLICY ")");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', POLICY);
        if (r >= 0)
                r = append_users(policy, m);
        if (r >= 0)
                r = append_groups(policy, m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(ss)bs", 0, false, "xcp");
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
