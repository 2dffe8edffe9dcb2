/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "records.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "rules.h"

const struct database_schema records_schema = {
        (const char *const[]) {
                "CREATE TABLE domain (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, backend INTEGER NOT NULL, namespace TEXT NOT NULL,"
                "        made_nodes INTEGER NOT NULL, phase INTEGER NOT NULL, sockets INTEGER NOT NULL, sockets_per_second INTEGER NOT NULL,"
                "        bytes_per_second INTEGER, max_page_order INTEGER NOT NULL);"
                "CREATE TABLE rule (domain INTEGER NOT NULL REFERENCES domain ON DELETE CASCADE, position INTEGER NOT NULL,"
                "        action TEXT NOT NULL, call TEXT NOT NULL, family TEXT NOT NULL, type TEXT NOT NULL, prefix TEXT,"
                "        port_first INTEGER NOT NULL, port_last INTEGER NOT NULL, to_address TEXT, to_port INTEGER NOT NULL,"
                "        per_second INTEGER NOT NULL, PRIMARY KEY (domain, position)) WITHOUT ROWID;",
                "ALTER TABLE domain ADD COLUMN backend_uuid TEXT NOT NULL DEFAULT '';",
        },
        2,
};

static int add_rules(const struct domain *domain) {
        struct database *db = domain->pvcalls->db;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < domain->n_policy; i++) {
                const struct xcp_pvcalls_rule *rule = &domain->policy[i];

                /* 0 is no rate, and -1 no port. */
                r = database_run(db, "INSERT INTO rule (domain, position, action, call, family, type, prefix, port_first, port_last,"
                                     " to_address, to_port, per_second) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                 "iisssssiisix", (int) domain->id, (int) i, xcp_policy_action_to_string(rule->action),
                                 xcp_pvcalls_call_to_string(rule->call), xcp_address_family_to_string(rule->family),
                                 xcp_pvcalls_socket_type_to_string(rule->type), rule->prefix, (int) rule->port_first, (int) rule->port_last,
                                 rule->to_address, rule->has_to_port ? (int) rule->to_port : -1,
                                 rule->has_per_second ? (int64_t) rule->per_second : 0);
        }
        return r;
}

int records_add(const struct domain *domain) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = domain->pvcalls->db;
        int r;

        r = database_begin(db, &transaction);
        if (r >= 0)
                r = database_run(db, "INSERT INTO domain (id, uuid, backend, backend_uuid, namespace, made_nodes, phase, sockets, sockets_per_second,"
                                     " max_page_order) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0)",
                                 "isissii", (int) domain->id, domain->uuid, (int) domain->backend_id, domain->backend_uuid,
                                 domain->network_namespace, (int) domain->made_nodes, (int) domain->phase);
        if (r >= 0)
                r = records_set_limits(domain);
        if (r >= 0)
                r = add_rules(domain);
        return r < 0 ? r : database_commit(&transaction);
}

int records_set_phase(const struct domain *domain) {
        return database_run(domain->pvcalls->db, "UPDATE domain SET phase = ? WHERE id = ?", "ii", (int) domain->phase, (int) domain->id);
}

int records_set_policy(const struct domain *domain) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = domain->pvcalls->db;
        int r;

        r = database_begin(db, &transaction);
        if (r >= 0)
                r = database_run(db, "DELETE FROM rule WHERE domain = ?", "i", (int) domain->id);
        if (r >= 0)
                r = add_rules(domain);
        return r < 0 ? r : database_commit(&transaction);
}

int records_set_limits(const struct domain *domain) {
        const struct xcp_pvcalls_limits *limits = &domain->limits;

        return database_run(domain->pvcalls->db, "UPDATE domain SET sockets = ?, sockets_per_second = ?, bytes_per_second = ?,"
                                                 " max_page_order = ? WHERE id = ?",
                            "xxxxi", (int64_t) limits->sockets, (int64_t) limits->sockets_per_second,
                            limits->has_bytes_per_second ? (int64_t) limits->bytes_per_second : 0, (int64_t) limits->max_page_order,
                            (int) domain->id);
}

int records_set_backend(const struct domain *domain) {
        return database_run(domain->pvcalls->db, "UPDATE domain SET backend = ? WHERE id = ?", "ii", (int) domain->backend_id,
                            (int) domain->id);
}

int records_remove(const struct domain *domain) {
        return database_run(domain->pvcalls->db, "DELETE FROM domain WHERE id = ?", "i", (int) domain->id);
}

/* Values that no version of this program has written are -EUCLEAN. */
static int read_rule(struct idl_arena *arena, struct database_rows *rows, struct xcp_pvcalls_rule *rule) {
        int64_t to_port = database_integer(rows, 7), per_second = database_integer(rows, 8);

        if (xcp_policy_action_from_string(database_text(rows, 0), &rule->action) < 0 ||
            xcp_pvcalls_call_from_string(database_text(rows, 1), &rule->call) < 0 ||
            xcp_address_family_from_string(database_text(rows, 2), &rule->family) < 0 ||
            xcp_pvcalls_socket_type_from_string(database_text(rows, 9), &rule->type) < 0)
                return -EUCLEAN;
        if (database_text(rows, 3) && !(rule->prefix = idl_arena_strdup(arena, database_text(rows, 3))))
                return -ENOMEM;
        if (database_text(rows, 6) && !(rule->to_address = idl_arena_strdup(arena, database_text(rows, 6))))
                return -ENOMEM;
        rule->port_first = (uint16_t) database_integer(rows, 4);
        rule->port_last = (uint16_t) database_integer(rows, 5);
        rule->has_to_port = to_port >= 0;
        rule->to_port = rule->has_to_port ? (uint16_t) to_port : 0;
        rule->has_per_second = per_second > 0;
        rule->per_second = (uint32_t) per_second;
        return 0;
}

static int load_rules(struct domain *domain) {
        AUTO_ROWS struct database_rows *rows = NULL;
        AUTO(idl_arena_done) struct idl_arena arena = IDL_ARENA_NULL;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        struct xcp_pvcalls_rule *rules = idl_arena_alloc(&arena, RULES_MAX, sizeof *rules);
        size_t n = 0;
        int r;

        if (!rules)
                return -ENOMEM;
        r = database_query(domain->pvcalls->db, &rows,
                           "SELECT action, call, family, prefix, port_first, port_last, to_address, to_port, per_second, type FROM rule"
                           " WHERE domain = ? ORDER BY position", "i", (int) domain->id);
        if (r < 0)
                return r;
        while ((r = database_next(rows)) > 0) {
                r = n < RULES_MAX ? read_rule(&arena, rows, &rules[n++]) : -EUCLEAN;
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : domain_set_policy(domain, rules, n, &error);
}

static int load_domain(struct pvcalls *pvcalls, struct database_rows *rows) {
        struct domain *domain;
        int r;

        r = domain_new(&domain, pvcalls, (uint32_t) database_integer(rows, 0), (uint32_t) database_integer(rows, 2),
                       database_text(rows, 3) ?: "");
        if (r < 0)
                return r;
        snprintf(domain->uuid, sizeof domain->uuid, "%s", database_text(rows, 1) ?: "");
        snprintf(domain->backend_uuid, sizeof domain->backend_uuid, "%s", database_text(rows, 10) ?: "");
        domain->made_nodes = database_integer(rows, 4) != 0;
        domain->phase = (enum domain_phase) database_integer(rows, 5);
        domain->limits = (struct xcp_pvcalls_limits) {
                .sockets = (uint32_t) database_integer(rows, 6),
                .sockets_per_second = (uint32_t) database_integer(rows, 7),
                .has_bytes_per_second = database_integer(rows, 8) > 0,
                .bytes_per_second = (uint64_t) database_integer(rows, 8),
                .max_page_order = (uint32_t) database_integer(rows, 9),
        };
        return load_rules(domain);
}

int records_load(struct pvcalls *pvcalls) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(pvcalls->db, &rows, "SELECT id, uuid, backend, namespace, made_nodes, phase, sockets, sockets_per_second,"
                                               " bytes_per_second, max_page_order, backend_uuid FROM domain ORDER BY id", NULL);
        if (r < 0)
                return r;
        while ((r = database_next(rows)) > 0) {
                r = load_domain(pvcalls, rows);
                if (r < 0)
                        return r;
        }
        return r;
}
