/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl pvcalls: domains whose sockets are in other domains, what they may do, and what they have open. */

#include <string.h>

#include "objects.h"
#include "operation.h"
#include "property.h"
#include "pvcalls-domains.h"
#include "pvcalls-rules.h"
#include "pvcalls-top.h"
#include "quantity.h"
#include "result.h"
#include "value.h"

#define MANAGER "org.xen.xcp.pvcalls1.Manager"

static struct table *table_of(const char *const *titles, const size_t *right, size_t n_right) {
        struct table *table = table_new(titles);

        for (size_t i = 0; i < n_right; i++)
                table_align_right(table, right[i]);
        return table;
}

/* List */

static void add_domain(struct table *table, const struct pvcalls_domain *domain) {
        g_autofree char *id = g_strdup_printf("%u", domain->id), *state = pvcalls_domain_text(domain, "State");
        g_autofree char *namespace = pvcalls_domain_text(domain, "NetworkNamespace"), *reason = pvcalls_domain_text(domain, "StateReason");
        g_autoptr(GVariant) policy = g_variant_lookup_value(domain->properties, "Policy", G_VARIANT_TYPE("aa{sv}"));
        g_autoptr(GVariant) features = g_variant_lookup_value(domain->properties, "Features", G_VARIANT_TYPE_STRING_ARRAY);
        g_autofree char *listed = features ? value_text(features, NULL, "Features") : g_strdup(""), *rules = NULL, *backend = NULL;
        guint32 backend_id = 0;

        g_variant_lookup(domain->properties, "BackendDomain", "u", &backend_id);
        backend = g_strdup_printf("%u", backend_id);
        rules = g_strdup_printf("%zu", policy ? g_variant_n_children(policy) : 0);
        table_add(table, (const char *const[]) { id, state, backend, *namespace ? namespace : "-", rules, *listed ? listed : "-",
                                                 *reason ? reason : "-", NULL });
}

static bool run_list(struct context *context, const struct arguments *arguments, GError **error) {
        g_autoptr(GPtrArray) domains = pvcalls_domains(context, error);
        struct json_object *json = json_object_new_array();
        struct table *table = table_of((const char *const[]) { "DOMAIN", "STATE", "BACKEND", "NAMESPACE", "RULES", "FEATURES", "REASON", NULL },
                                       (const size_t[]) { 0, 2, 4 }, 3);

        for (unsigned i = 0; domains && i < domains->len; i++) {
                const struct pvcalls_domain *domain = domains->pdata[i];

                json_object_array_add(json, property_json(ATTACHED_INTERFACE, domain->properties));
                add_domain(table, domain);
        }
        return context_print_list(context, table, json, domains != NULL, error);
}

/* Policies and limits on the command line */

/* What --policy and --rule say, in this order; *ret_rules stays NULL if there is neither. */
static bool rules_of(const struct arguments *arguments, GVariant **ret_rules, GError **error) {
        const char *path = arguments_get(arguments, "--policy");
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *content = NULL;
        gsize n;

        if (path && !g_file_get_contents(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &content, &n, error))
                return false;
        if (content && strlen(content) != n)
                return context_fail(error, CONTEXT_ERROR_USAGE, "%.64s: a policy is text, and this is none", path);
        g_string_append(text, content ?: "");
        if (text->len > 0 && text->str[text->len - 1] != '\n')
                g_string_append_c(text, '\n');
        for (const char *const *rule = arguments_all(arguments, "--rule"); rule && *rule; rule++)
                g_string_append_printf(text, "%s\n", *rule);
        if (!path && !arguments_has(arguments, "--rule"))
                return true;
        *ret_rules = pvcalls_rules_parse(text->str, error);
        return *ret_rules;
}

static bool add_limit(GVariantDict *limits, const char *text, GError **error) {
        static const struct {
                const char *name, *key;
                bool is_size;
        } known[] = { { "sockets", "sockets", false }, { "sockets-per-second", "sockets_per_second", false },
                      { "bytes-per-second", "bytes_per_second", true }, { "max-page-order", "max_page_order", false } };
        const char *equals = strchr(text, '=');
        g_autoptr(GError) problem = NULL;
        guint64 value;

        for (size_t i = 0; equals && i < G_N_ELEMENTS(known); i++) {
                if (strlen(known[i].name) != (size_t) (equals - text) || !g_str_has_prefix(text, known[i].name))
                        continue;
                if (known[i].is_size && quantity_parse_size(equals + 1, &value, &problem))
                        g_variant_dict_insert(limits, known[i].key, "t", value);
                else if (!known[i].is_size && quantity_parse_number(equals + 1, G_MAXUINT32, &value, &problem))
                        g_variant_dict_insert(limits, known[i].key, "u", (guint32) value);
                return !problem || context_fail(error, CONTEXT_ERROR_USAGE, "--limit %s: %s", known[i].name, problem->message);
        }
        return context_fail(error, CONTEXT_ERROR_USAGE,
                            "'%.64s' is no limit: write sockets=N, sockets-per-second=N, bytes-per-second=SIZE or max-page-order=N", text);
}

/* What --limit says, on top of what there is; *ret_limits stays NULL if it is not given. */
static bool limits_of(const struct arguments *arguments, GVariant *before, GVariant **ret_limits, GError **error) {
        g_auto(GVariantDict) limits = {};

        if (!arguments_has(arguments, "--limit"))
                return true;
        g_variant_dict_init(&limits, before);
        for (const char *const *limit = arguments_all(arguments, "--limit"); *limit; limit++)
                if (!add_limit(&limits, *limit, error))
                        return false;
        *ret_limits = g_variant_ref_sink(g_variant_dict_end(&limits));
        return true;
}

/* Attach */

static void add_number(GVariantDict *options, const struct arguments *arguments, const char *option, const char *key) {
        guint64 number = 0;

        if (!arguments_has(arguments, option))
                return;
        quantity_parse_number(arguments_get(arguments, option), G_MAXUINT32, &number, NULL);
        g_variant_dict_insert(options, key, "u", (guint32) number);
}

/* Who attaches a domain for the first time has no program in it yet. */
static bool explain_timeout(const struct arguments *arguments, GError **error) {
        if (error && *error && strstr((*error)->message, "Error.TimedOut") && !arguments_has(arguments, "--frontend-timeout")) {
                g_autofree char *message = (*error)->message;

                (*error)->message = g_strdup_printf("%s\nWith --frontend-timeout 0, it may come later, as that of xcp-pvcalls-run does.", message);
        }
        return false;
}

static bool run_attach(struct context *context, const struct arguments *arguments, GError **error) {
        g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
        g_autoptr(GVariant) rules = NULL, limits = NULL;
        const char *namespace = arguments_get(arguments, "--network-namespace"), *patience = arguments_get(arguments, "--frontend-timeout");
        guint64 domain = 0, wait_ms = 0;

        if (!rules_of(arguments, &rules, error) || !limits_of(arguments, NULL, &limits, error))
                return false;
        if (rules)
                g_variant_dict_insert_value(&options, "policy", rules);
        if (limits)
                g_variant_dict_insert_value(&options, "limits", limits);
        if (namespace)
                g_variant_dict_insert(&options, "network_namespace", "s", namespace);
        add_number(&options, arguments, "--backend-domain", "backend_domain");
        if (patience) {
                quantity_parse_duration(patience, &wait_ms, NULL);
                g_variant_dict_insert(&options, "wait_ms", "u", (guint32) MIN(wait_ms, G_MAXUINT32));
        }
        quantity_parse_number(arguments_get(arguments, "DOMAIN"), G_MAXUINT32, &domain, NULL);
        return operation_call(context, arguments, g_variant_new("(u@a{sv})", (guint32) domain, g_variant_dict_end(&options)), NULL, error) ||
               explain_timeout(arguments, error);
}

/* Policy */

static bool show_policy(struct context *context, const char *path, GError **error) {
        g_autoptr(GVariant) properties = client_properties(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, error), policy = NULL;
        g_autoptr(GVariant) limits = NULL;
        struct json_object *json;
        bool good = true;

        if (!properties)
                return false;
        policy = g_variant_lookup_value(properties, "Policy", G_VARIANT_TYPE("aa{sv}"));
        limits = g_variant_lookup_value(properties, "Limits", G_VARIANT_TYPE_VARDICT);
        if (context->json) {
                json = json_object_new_object();
                json_object_object_add(json, "Policy", policy ? value_json(policy, "a[PvcallsRule]") : NULL);
                json_object_object_add(json, "Limits", limits ? value_json(limits, "[PvcallsLimits]") : NULL);
                return context_print_json(context, json, false, error);
        }
        if (!policy || g_variant_n_children(policy) == 0)        /* said so that --policy takes it as well */
                return context_print_line(context, "# Nothing is allowed.", error);
        for (gsize i = 0; good && i < g_variant_n_children(policy); i++) {
                g_autoptr(GVariant) rule = g_variant_get_child_value(policy, i);
                g_autofree char *line = pvcalls_rule_format(rule);

                good = context_print_line(context, line, error);
        }
        return good;
}

static bool set_limits(struct context *context, const char *path, const struct arguments *arguments, GError **error) {
        g_autoptr(GVariant) before = client_property(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, "Limits", error), limits = NULL;

        return before && limits_of(arguments, before, &limits, error) &&
               (!limits || client_set_property(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, "Limits", limits, error));
}

static bool run_policy(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_ATTACHED, NULL, arguments_get(arguments, "DOMAIN"), error);
        g_autoptr(GVariant) rules = NULL;
        bool clear = arguments_has(arguments, "--deny-all");

        if (!path || !rules_of(arguments, &rules, error))
                return false;
        if (clear && rules)
                return context_fail(error, CONTEXT_ERROR_USAGE, "--deny-all goes with no rules");
        if (clear)
                rules = g_variant_ref_sink(g_variant_new("aa{sv}", NULL));
        if (!rules && !arguments_has(arguments, "--limit"))
                return show_policy(context, path, error);
        if (rules && !client_set_property(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, "Policy", rules, error))
                return false;
        return set_limits(context, path, arguments, error);
}

/* An argument that may be left out, and what is wrong with it. */
static bool number_within(const struct arguments *arguments, const char *name, guint64 max, guint64 *ret_number, GError **error) {
        const char *text = arguments_get(arguments, name);
        g_autoptr(GError) problem = NULL;

        return !text || quantity_parse_number(text, max, ret_number, &problem) ||
               context_fail(error, CONTEXT_ERROR_USAGE, "%s: %s", name, problem->message);
}

/* What a policy has said to an address, with the rule in words. */
static char *verdict_format(struct context *context, const char *path, const char *action, gint32 rule) {
        g_autoptr(GVariant) policy = rule < 0 ? NULL : client_property(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, "Policy", NULL);
        g_autoptr(GVariant) words = NULL;
        g_autofree char *text = NULL;

        if (rule < 0)
                return g_strdup_printf("%s: no rule allows it", action);
        if (!policy || !g_variant_is_of_type(policy, G_VARIANT_TYPE("aa{sv}")) || (gsize) rule >= g_variant_n_children(policy))
                return g_strdup_printf("%s: rule %d says so", action, rule);        /* it was replaced meanwhile */
        words = g_variant_get_child_value(policy, (gsize) rule);
        text = pvcalls_rule_format(words);
        return g_strdup_printf("%s: rule %d says so: %s", action, rule, text);
}

static bool run_check(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_ATTACHED, NULL, arguments_get(arguments, "DOMAIN"), error), *line = NULL;
        const char *address = arguments_get(arguments, "ADDRESS"), *action;
        const char *family = strchr(address, ':') ? "Inet6" : *address == '/' || *address == '@' ? "Unix" : "Inet";
        g_autoptr(GVariant) answer = NULL;
        guint64 port = 0;
        gint32 rule;

        if (!path || !number_within(arguments, "PORT", G_MAXUINT16, &port, error))
                return false;
        answer = client_call(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, "CheckPolicy",
                             g_variant_new("(sssq)", arguments_get(arguments, "CALL"), family, address, (guint16) port), NULL, NULL, error);
        if (!answer)
                return false;
        if (!g_variant_is_of_type(answer, G_VARIANT_TYPE("(si)")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "CheckPolicy() answers with %s", g_variant_get_type_string(answer));
        g_variant_get(answer, "(&si)", &action, &rule);
        line = verdict_format(context, path, action, rule);
        if (!(context->json ? context_print_json(context, json_object_new_string(action), false, error)
                            : context_print_line(context, line, error)))
                return false;
        return strcmp(action, "Allow") == 0 || context_fail(error, CONTEXT_ERROR_NO, "it is denied");
}

/* Sockets */

static guint64 number_of(GVariant *socket, const char *key) {
        guint64 value = 0;

        g_variant_lookup(socket, key, "t", &value);
        return value;
}

static char *address_of(GVariant *socket, const char *address_key, const char *port_key) {
        const char *address = "";
        guint16 port = 0;

        g_variant_lookup(socket, address_key, "&s", &address);
        g_variant_lookup(socket, port_key, "q", &port);
        if (!*address)
                return g_strdup("-");
        if (*address == '/' || *address == '@')
                return g_strdup(address);
        return g_strdup_printf(strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
}

static void add_socket(struct table *table, guint32 domain, GVariant *socket) {
        g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, number_of(socket, "id")), *domain_text = g_strdup_printf("%u", domain);
        g_autofree char *local = address_of(socket, "local_address", "local_port");
        g_autofree char *remote = address_of(socket, "remote_address", "remote_port");
        g_autofree char *received = quantity_format_size(number_of(socket, "received_bytes"));
        g_autofree char *sent = quantity_format_size(number_of(socket, "sent_bytes"));
        g_autofree char *queued = quantity_format_size(number_of(socket, "queued_bytes"));
        g_autofree char *age = quantity_format_duration(number_of(socket, "age_ms") * 1000);
        const char *state = "";

        g_variant_lookup(socket, "state", "&s", &state);
        table_add(table, (const char *const[]) { domain_text, id, state, local, remote, received, sent, queued, age, NULL });
}

static bool add_sockets(struct context *context, const struct pvcalls_domain *domain, struct table *table, struct json_object *json,
                        GError **error) {
        g_autoptr(GVariant) answer = client_call(context, CLIENT_PVCALLS, domain->path, ATTACHED_INTERFACE, "ListSockets", NULL, NULL, NULL,
                                                 error);
        g_autoptr(GVariant) sockets = NULL;

        if (!answer)
                return false;
        if (!g_variant_is_of_type(answer, G_VARIANT_TYPE("(aa{sv})")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "ListSockets() answers with %s", g_variant_get_type_string(answer));
        sockets = g_variant_get_child_value(answer, 0);
        for (gsize i = 0; i < g_variant_n_children(sockets); i++) {
                g_autoptr(GVariant) socket = g_variant_get_child_value(sockets, i);
                struct json_object *object = value_json(socket, "[PvcallsSocket]");

                json_object_object_add(object, "domain", json_object_new_int64(domain->id));
                json_object_array_add(json, object);
                add_socket(table, domain->id, socket);
        }
        return true;
}

static bool run_sockets(struct context *context, const struct arguments *arguments, GError **error) {
        const char *only = arguments_get(arguments, "DOMAIN");
        g_autofree char *path = only ? objects_find(context, PARAMETER_ATTACHED, NULL, only, error) : NULL;
        g_autoptr(GPtrArray) domains = !only || path ? pvcalls_domains(context, error) : NULL;
        struct json_object *json = json_object_new_array();
        struct table *table = table_of((const char *const[]) { "DOMAIN", "SOCKET", "STATE", "LOCAL", "REMOTE", "RECEIVED", "SENT", "QUEUED",
                                                               "AGE", NULL },
                                       (const size_t[]) { 0, 1, 5, 6, 7, 8 }, 6);
        bool good = domains != NULL;

        for (unsigned i = 0; good && i < domains->len; i++) {
                const struct pvcalls_domain *domain = domains->pdata[i];

                if (!path || strcmp(domain->path, path) == 0)
                        good = add_sockets(context, domain, table, json, path ? error : NULL) || !path; /* one of all may just have gone */
        }
        return context_print_list(context, table, json, good, error);
}

static bool run_kill(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_ATTACHED, NULL, arguments_get(arguments, "DOMAIN"), error), *line = NULL;
        g_autoptr(GVariant) answer = NULL;
        const char *which = arguments_get(arguments, "SOCKET");
        bool all = strcmp(which, "all") == 0;
        guint64 id = 0;
        guint32 n = 1;

        if (!path || (!all && !number_within(arguments, "SOCKET", G_MAXUINT64, &id, error)))
                return false;
        answer = client_call(context, CLIENT_PVCALLS, path, ATTACHED_INTERFACE, all ? "CloseAllSockets" : "CloseSocket",
                             all ? NULL : g_variant_new("(t)", id), NULL, NULL, error);
        if (answer && all && g_variant_is_of_type(answer, G_VARIANT_TYPE("(u)")))
                g_variant_get(answer, "(u)", &n);
        if (!answer || !all)
                return answer;
        line = g_strdup_printf("%u", n);
        return context->json ? context_print_json(context, json_object_new_int64(n), false, error) : context_print_line(context, line, error);
}

#define ATTACHED_PARAMETER { "DOMAIN", PARAMETER_ATTACHED, "The domain's id." }
#define JUST_ATTACHED .parameters = (const struct parameter[]) { ATTACHED_PARAMETER, {} }
#define POLICY_PARAMETERS                                                                                                                     \
        { "--policy", PARAMETER_FILE, "A file of rules, one a line; - is standard input." },                                                  \
        { "--rule", PARAMETER_TEXT, "A rule, behind those of --policy.", .flags = PARAMETER_MANY },                                           \
        { "--limit", PARAMETER_TEXT,                                                                                                          \
          "sockets=N, sockets-per-second=N, bytes-per-second=SIZE or max-page-order=N.", .flags = PARAMETER_MANY }
#define RULE_DETAILS                                                                                                                          \
        "A rule is: allow or deny; then, as far as it is to matter, connect or bind; inet, inet6 or unix, with an address or a prefix such "  \
        "as 10.0.0.0/8, or a path; stream or datagram; port FIRST-LAST; to ADDRESS port FIRST, which takes the place of what was asked for; "    \
        "rate PER-SECOND. The first that matches decides, and what none matches is denied."

const struct command pvcalls_commands[] = {
        {
                .name = "pvcalls list",
                .summary = "List the domains whose sockets are in other domains.",
                .details = "BACKEND is the domain that the sockets are in; FEATURES are what both sides can do beyond version 1.",
                .parameters = (const struct parameter[]) { {} },
                .run = run_list,
        },
        {
                .name = "pvcalls attach",
                .summary = "Give a domain a PV Calls device, and wait for its frontend.",
                .details = "Without rules, it may do nothing. " RULE_DETAILS,
                .parameters = (const struct parameter[]) {
                        { "DOMAIN", PARAMETER_NUMBER, "The domain's id." },
                        POLICY_PARAMETERS,
                        { "--network-namespace", PARAMETER_TEXT, "The network namespace for its sockets, as ip netns has it." },
                        { "--backend-domain", PARAMETER_NUMBER, "The domain for its sockets, if not this one: 0." },
                        { "--frontend-timeout", PARAMETER_DURATION,
                          "How long its frontend may take, 30s if not given; 0 does not wait, as for one that comes with a program." },
                        {},
                },
                .interface = MANAGER,
                .method = "Attach",
                .run = run_attach,
        },
        {
                .name = "pvcalls detach",
                .summary = "Close a domain's sockets, and take the device away.",
                JUST_ATTACHED,
                OPERATION(ATTACHED_INTERFACE, "Detach"),
        },
        {
                .name = "pvcalls policy",
                .summary = "Show or replace what a domain may do; sockets that it does not allow any more are closed.",
                .details = "Without an option, the rules are printed, as --policy takes them. " RULE_DETAILS,
                .parameters = (const struct parameter[]) {
                        ATTACHED_PARAMETER,
                        POLICY_PARAMETERS,
                        { "--deny-all", PARAMETER_FLAG, "No rules at all." },
                        {},
                },
                .run = run_policy,
        },
        {
                .name = "pvcalls check",
                .summary = "Show what a domain's policy says to an address, without anything happening.",
                .details = "The exit status is 4 if it is denied.",
                .parameters = (const struct parameter[]) {
                        ATTACHED_PARAMETER,
                        { "CALL", PARAMETER_WORD, "Connect or Bind.", .type = "[PvcallsCall]" },
                        { "ADDRESS", PARAMETER_TEXT, "An IPv4 or IPv6 address, or a path." },
                        { "PORT", PARAMETER_NUMBER, "The port.", .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = run_check,
        },
        {
                .name = "pvcalls sockets",
                .summary = "List the sockets of a domain, or of all.",
                .parameters = (const struct parameter[]) { { "DOMAIN", PARAMETER_ATTACHED, "Only this one's.", .flags = PARAMETER_OPTIONAL }, {} },
                .run = run_sockets,
        },
        {
                .name = "pvcalls kill",
                .summary = "Close a socket, or all of a domain, as if the network had failed.",
                .details = "Of all, it prints how many there were.",
                .parameters = (const struct parameter[]) { ATTACHED_PARAMETER, { "SOCKET", PARAMETER_TEXT, "Its number, or all." }, {} },
                .run = run_kill,
        },
        {
                .name = "pvcalls top",
                .summary = "Show what passes through the sockets of each domain, each second, until ^C.",
                .details = "Numbers are for each second, but for SOCKETS, which are those of the moment. If standard output is no terminal, with "
                           "--once, and as JSON, there is one table, with all that was counted since each domain was attached.",
                .parameters = (const struct parameter[]) { { "--once", PARAMETER_FLAG, "Print one table, and end." }, {} },
                .run = pvcalls_top_run,
        },
        {},
};
