/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl policy: what the bridge lets pass. On files by the bridge's own library, without a bus; else by asking the bridge that runs. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bridge-policy.h"
#include "contract.h"
#include "operation.h"
#include "paths.h"
#include "record.h"

#define MANAGER "org.xen.xcp.bridge1.Manager"
#define FILES "--policy"

static void free_policy(struct bridge_policy **policy) {
        bridge_policy_free(*policy);
}

/* Directories that are not there have no files, which is for those of the system: what somebody names has to be there. */
static bool exist(const char *const *paths, GError **error) {
        for (; *paths; paths++)
                if (access(*paths, F_OK) < 0)
                        return context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", *paths, g_strerror(errno));
        return true;
}

static bool load(const char *const *paths, struct bridge_policy **ret_policy, GError **error) {
        struct bridge_policy_error problem = { .line = 0 };
        int r = bridge_policy_load(paths, ret_policy, &problem);

        if (r >= 0)
                return true;
        if (problem.line > 0)
                return context_fail(error, CONTEXT_ERROR_FAILED, "%s:%u:%u: %s", problem.file, problem.line, problem.column, problem.text);
        return context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", problem.file, problem.text);
}

static char *place_of(const struct bridge_rule *rule) {
        return rule ? g_strdup_printf("%s:%u", bridge_rule_file(rule), bridge_rule_line(rule)) : g_strdup("");
}

static struct json_object *text_json(const char *text) {
        g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

        return valid ? json_object_new_string(valid) : NULL;
}

/* What was asked has the answer no, which is an exit status and no message. */
static bool answer_no(GError **error, const char *text) {
        return context_fail(error, CONTEXT_ERROR_NO, "%s", text);
}

/* Lint */

struct lint {
        struct context *context;
        struct json_object *json;       /* what is printed at the end; NULL: lines are printed at once */
        GError *error;
};

static void tell_lint(void *userdata, enum bridge_severity severity, const struct bridge_rule *rule, const char *text) {
        const char *word = severity == BRIDGE_WARNING ? "warning" : "note";
        g_autofree char *line = NULL, *quoted = NULL;
        struct lint *lint = userdata;
        struct json_object *object;

        if (lint->json) {
                object = json_object_new_object();
                json_object_object_add(object, "file", text_json(bridge_rule_file(rule)));
                json_object_object_add(object, "line", json_object_new_int64(bridge_rule_line(rule)));
                json_object_object_add(object, "severity", text_json(word));
                json_object_object_add(object, "message", text_json(text));
                json_object_object_add(object, "text", text_json(bridge_rule_text(rule)));
                json_object_array_add(lint->json, object);
                return;
        }
        line = g_strdup_printf("%s:%u: %s: %s", bridge_rule_file(rule), bridge_rule_line(rule), word, text);
        quoted = g_strdup_printf("        %s", bridge_rule_text(rule));
        if (!lint->error && context_print_line(lint->context, line, &lint->error))
                context_print_line(lint->context, quoted, &lint->error);
}

static bool run_lint(struct context *context, const struct arguments *arguments, GError **error) {
        const char *const *named = arguments_all(arguments, "FILE");
        struct lint lint = { .context = context };
        __attribute__((cleanup(free_policy))) struct bridge_policy *policy = NULL;
        unsigned n_warnings;

        if (!exist(named, error) || !load(*named ? named : paths_policies(), &policy, error))
                return false;
        lint.json = context->json ? json_object_new_array() : NULL;
        n_warnings = bridge_policy_lint(policy, tell_lint, &lint);
        if (lint.json)
                context_print_json(context, lint.json, false, &lint.error);
        if (lint.error) {
                g_propagate_error(error, lint.error);
                return false;
        }
        return n_warnings == 0 || answer_no(error, "there are warnings");
}

/* Check and explain */

/* What a message is, from its record: strings live as long as that does. */
struct asked {
        GVariant *message;
        struct bridge_query query;
        const char *name;
};

static const char *key(GVariant *message, const char *name) {
        const char *text = NULL;

        if (!g_variant_lookup(message, name, "&s", &text))
                g_variant_lookup(message, name, "&o", &text);
        return text;
}

/* As the bridge does for CheckPolicy(). */
static bool make_query(struct context *context, GVariant *message, struct asked *asked, GError **error) {
        const char *owns = key(message, "owns"), *kind = key(message, "kind");
        const char *field, *value, *wrong;
        bool is_signal = g_strcmp0(kind, "Signal") == 0;

        if (g_strcmp0(kind, "Any") == 0)
                return context_fail(error, CONTEXT_ERROR_USAGE, "--kind: a message is a MethodCall or a Signal");
        asked->name = owns ? owns : key(message, "destination");
        asked->query = (struct bridge_query) {
                .domain = {
                        .uuid = arguments_get(context->arguments, "--domain-uuid"),
                        .name = arguments_get(context->arguments, "--domain-name"),
                        .type = arguments_get(context->arguments, "--domain-type"),
                },
                .direction = g_strcmp0(key(message, "direction"), "Out") == 0 ? BRIDGE_OUT : BRIDGE_IN,
                .kind = owns ? BRIDGE_OWN : is_signal ? BRIDGE_SIGNAL : BRIDGE_CALL,
                .names = &asked->name,
                .n_names = asked->name ? 1 : 0,
                .path = key(message, "path"),
                .interface = key(message, "interface"),
                .member = key(message, "member"),
        };
        g_variant_lookup(message, "domain", "u", &asked->query.domain.id);
        field = bridge_query_fault(&asked->query, &value, &wrong);
        return !field || context_fail(error, CONTEXT_ERROR_USAGE, "--%s: '%s' %s", field, value, wrong);
}

/* What was asked, and what is said to it. */
struct verdict {
        bool allowed;
        char *rule;                     /* FILE:LINE, or "" */
        char *text;                     /* the line; NULL if it is not known */
};

static void verdict_done(struct verdict *verdict) {
        g_free(verdict->rule);
        g_free(verdict->text);
}

static void verdict_take(struct verdict *verdict, const struct bridge_decision *decision) {
        verdict->allowed = decision->allowed;
        verdict->rule = place_of(decision->rule);
        verdict->text = decision->rule ? g_strdup(bridge_rule_text(decision->rule)) : NULL;
}

static struct json_object *verdict_json(const struct verdict *verdict) {
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "action", text_json(verdict->allowed ? "Allow" : "Deny"));
        json_object_object_add(object, "rule", text_json(verdict->rule));
        json_object_object_add(object, "text", text_json(verdict->text));
        return object;
}

static bool verdict_print(struct context *context, const struct verdict *verdict, GError **error) {
        g_autofree char *line = g_strdup_printf("%s: %s%s%s", verdict->allowed ? "Allow" : "Deny",
                                                *verdict->rule ? verdict->rule : "no rule matches", verdict->text ? ": " : "",
                                                verdict->text ? verdict->text : "");

        return context_print_line(context, line, error);
}

/* The line that a bridge named, if the file can be read here: with a bus of another machine, it may not be there. */
static char *line_at(const char *place) {
        const char *colon = strrchr(place, ':');
        g_autofree char *file = colon ? g_strndup(place, (gsize) (colon - place)) : NULL, *content = NULL;
        g_auto(GStrv) lines = NULL;
        guint64 number = 0;

        if (!file || !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT32, &number, NULL) ||
            !g_file_get_contents(file, &content, NULL, NULL))
                return NULL;
        lines = g_strsplit(content, "\n", -1);
        return number <= g_strv_length(lines) ? g_strdup(g_strstrip(lines[number - 1])) : NULL;
}

static bool ask_bridge(struct context *context, GVariant *message, struct verdict *ret_verdict, GError **error) {
        g_autoptr(GVariant) answer = client_call(context, CLIENT_BRIDGE, CLIENT_BRIDGE_ROOT, MANAGER, "CheckPolicy",
                                                 g_variant_new("(@a{sv})", message), NULL, NULL, error);
        const char *action;

        if (!answer)
                return false;
        if (!g_variant_is_of_type(answer, G_VARIANT_TYPE("(ss)")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "CheckPolicy() answers with %s", g_variant_get_type_string(answer));
        g_variant_get(answer, "(&ss)", &action, &ret_verdict->rule);
        ret_verdict->allowed = strcmp(action, "Allow") == 0;
        ret_verdict->text = line_at(ret_verdict->rule);
        return true;
}

/* What explain tells of the rules that were asked before the one that decides. */
struct explanation {
        struct table *table;
        struct json_object *json;
};

static void tell_rule(void *userdata, const struct bridge_rule *rule, const char *why) {
        g_autofree char *place = place_of(rule);
        struct explanation *explanation = userdata;
        struct json_object *object = json_object_new_object();

        table_add(explanation->table, (const char *const[]) { place, why ? "no" : "yes", why ? why : "-", bridge_rule_text(rule), NULL });
        json_object_object_add(object, "rule", text_json(place));
        json_object_object_add(object, "matches", json_object_new_boolean(!why));
        json_object_object_add(object, "why", text_json(why));
        json_object_object_add(object, "text", text_json(bridge_rule_text(rule)));
        json_object_array_add(explanation->json, object);
}

/* Whole, however wide the terminal is: what is cut off could be the reason. */
static bool print_rules(struct context *context, const struct table *table, GError **error) {
        const struct table_style style = { .header = context->header, .bold = context->colours };
        g_autofree char *text = table_text(table, &style);

        return context_print(context, text, error);
}

static bool show_verdict(struct context *context, const struct verdict *verdict, const struct explanation *explanation, GError **error) {
        struct json_object *json;

        if (context->json) {
                json = verdict_json(verdict);
                if (explanation)
                        json_object_object_add(json, "rules", json_object_get(explanation->json));
                return context_print_json(context, json, false, error);
        }
        return (!explanation || print_rules(context, explanation->table, error)) && verdict_print(context, verdict, error);
}

static bool decide_on_files(struct context *context, GVariant *message, bool explain, struct verdict *ret_verdict, GError **error) {
        const char *const *files = arguments_all(context->arguments, FILES);
        __attribute__((cleanup(free_policy))) struct bridge_policy *policy = NULL;
        struct explanation explanation = { NULL };
        struct bridge_decision decision;
        struct asked asked;
        bool good;

        if (!make_query(context, message, &asked, error) || !exist(files, error) || !load(files, &policy, error))
                return false;
        explanation.table = table_new((const char *const[]) { "RULE", "MATCHES", "WHY NOT", "TEXT", NULL });
        explanation.json = json_object_new_array();
        bridge_policy_explain(policy, &asked.query, tell_rule, &explanation, &decision);
        verdict_take(ret_verdict, &decision);
        good = show_verdict(context, ret_verdict, explain ? &explanation : NULL, error);
        table_free(explanation.table);
        json_object_put(explanation.json);
        return good;
}

static bool decide(struct context *context, bool explain, struct verdict *ret_verdict, GError **error) {
        g_autoptr(GVariant) message = record_of_arguments(context, "BridgeMessage", error);

        if (!message)
                return false;
        if (*arguments_all(context->arguments, FILES))
                return decide_on_files(context, message, explain, ret_verdict, error);
        for (const char *const *option = (const char *const[]) { "--domain-uuid", "--domain-name", "--domain-type", NULL }; *option; option++)
                if (arguments_has(context->arguments, *option))
                        return context_fail(error, CONTEXT_ERROR_USAGE, "%s goes with " FILES ": the bridge that runs knows its domains", *option);
        return ask_bridge(context, message, ret_verdict, error) && show_verdict(context, ret_verdict, NULL, error);
}

static bool run_check(struct context *context, const struct arguments *arguments, GError **error) {
        struct verdict verdict = { .rule = NULL };
        bool good = decide(context, false, &verdict, error), allowed = verdict.allowed;

        verdict_done(&verdict);
        return good && (allowed || answer_no(error, "it is denied"));
}

static bool run_explain(struct context *context, const struct arguments *arguments, GError **error) {
        struct verdict verdict = { .rule = NULL };
        bool good = decide(context, true, &verdict, error);

        verdict_done(&verdict);
        return good;
}

#define MESSAGE_PARAMETERS                                                                                                                    \
        { "DOMAIN", PARAMETER_NUMBER, "The id of the other domain.", .type = "u", .key = "domain" },                                          \
        { "DIRECTION", PARAMETER_WORD, "In: from the other domain to this one.", .type = "[Direction]", .key = "direction" },                 \
        PARAMETER_KEYS_OF("BridgeMessage"),                                                                                                   \
        { FILES, PARAMETER_FILE, "Ask these files, or the files *.policy of these directories, and no bridge.", .flags = PARAMETER_MANY },     \
        { "--domain-uuid", PARAMETER_TEXT, "With " FILES ": the other domain's UUID." },                                                      \
        { "--domain-name", PARAMETER_TEXT, "With " FILES ": its name." },                                                                     \
        { "--domain-type", PARAMETER_TEXT, "With " FILES ": its type, pv, pvh or hvm." }, {}
#define MESSAGE_DETAILS                                                                                                                       \
        "--destination is the well-known name that the message is for; of a signal, the one that its sender owns; without it, one who owns "  \
        "none. With --owns, DIRECTION does not matter. What is left out is a field that the message does not have. "

const struct command policy_commands[] = {
        {
                .name = "policy lint",
                .summary = "Read the bridge's policy, and tell of mistakes in it.",
                .details = "Needs no bus. The exit status is 0 if there is nothing but notes, 4 if there are warnings, and 1 if it cannot be "
                           "read, as for a bridge.",
                .parameters = (const struct parameter[]) {
                        { "FILE", PARAMETER_FILE,
                          "A file, or a directory, of which files *.policy are read; together they are one policy, in this order. Without "
                          "one, what a bridge reads that is not told otherwise.",
                          .flags = PARAMETER_OPTIONAL | PARAMETER_MANY },
                        {},
                },
                .run = run_lint,
        },
        {
                .name = "policy check",
                .summary = "Ask what the policy says to a message, without one being sent, and which rule says so.",
                .details = MESSAGE_DETAILS "The bridge of the bus is asked, or with " FILES " nobody. The exit status is 0 if it is allowed, 4 if it "
                           "is denied, and 1 if there is no answer. Rates are not looked at.",
                .parameters = (const struct parameter[]) { MESSAGE_PARAMETERS },
                .run = run_check,
        },
        {
                .name = "policy explain",
                .summary = "The same, and of each rule before that one, why it does not match.",
                .details = MESSAGE_DETAILS "Rules before the one that decides are told of with " FILES " only. The exit status is 0 if there is an "
                           "answer, whichever it is.",
                .parameters = (const struct parameter[]) { MESSAGE_PARAMETERS },
                .run = run_explain,
        },
        {
                .name = "policy reload",
                .summary = "Have the bridge read its policy again; no link goes down.",
                .details = "When this has ended, the new one holds for everything that passes. If anything in it is wrong, the one in force stays, and "
                           "the line and the column are told.",
                .parameters = (const struct parameter[]) { {} },
                OPERATION(MANAGER, "ReloadPolicy"),
        },
        {},
};
