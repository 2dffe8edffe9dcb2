/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl bridge, service domain: the links to other domains, who is at their ends, and where a service is. */

#include <string.h>

#include "bridge-links.h"
#include "bridge-top.h"
#include "objects.h"
#include "operation.h"
#include "property.h"
#include "quantity.h"
#include "result.h"
#include "value.h"

#define MANAGER "org.xen.xcp.bridge1.Manager"

/* Status */

static unsigned n_in_state(const GPtrArray *links, const char *state) {
        unsigned n = 0;

        for (unsigned i = 0; i < links->len; i++)
                n += strcmp(((const struct bridge_link *) links->pdata[i])->state, state) == 0;
        return n;
}

static void add_number(struct table *pairs, const char *name, unsigned number) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_uint32(number));

        result_pairs_add(pairs, name, value, NULL);
}

static bool print_status(struct context *context, GVariant *properties, const GPtrArray *links, GError **error) {
        unsigned up = n_in_state(links, "Up"), stalled = n_in_state(links, "Stalled");
        struct json_object *json;
        struct table *pairs;
        bool good;

        if (context->json) {
                json = property_json(MANAGER, properties);
                json_object_object_add(json, "Links", json_object_new_int64(links->len));
                json_object_object_add(json, "LinksUp", json_object_new_int64(up));
                json_object_object_add(json, "LinksStalled", json_object_new_int64(stalled));
                return context_print_json(context, json, false, error);
        }
        pairs = result_pairs_new();
        result_pairs_add_properties(pairs, MANAGER, properties);
        add_number(pairs, "Links", links->len);
        add_number(pairs, "LinksUp", up);
        add_number(pairs, "LinksStalled", stalled);
        good = result_pairs_print(context, pairs, error);
        table_free(pairs);
        return good;
}

static bool run_status(struct context *context, const struct arguments *arguments, GError **error) {
        g_autoptr(GVariant) properties = client_properties(context, CLIENT_BRIDGE, CLIENT_BRIDGE_ROOT, MANAGER, error);
        g_autoptr(GPtrArray) links = properties ? bridge_links(context, error) : NULL;

        return links && print_status(context, properties, links, error);
}

/* Links */

static void add_link(struct table *table, const struct bridge_link *link) {
        g_autofree char *domain = g_strdup_printf("%u", link->domain), *epoch = g_strdup_printf("%" G_GUINT64_FORMAT, link->epoch);
        g_autoptr(GVariant) names = g_variant_lookup_value(link->properties, "Names", G_VARIANT_TYPE_STRING_ARRAY);
        g_autofree char *listed = names ? value_text(names, NULL, "Names") : g_strdup("");

        table_add(table, (const char *const[]) { domain, link->state, link->uuid, epoch, *listed ? listed : "-",
                                                 *link->reason ? link->reason : "-", NULL });
}

static bool run_links(struct context *context, const struct arguments *arguments, GError **error) {
        g_autoptr(GPtrArray) links = bridge_links(context, error);
        struct json_object *json, *object;
        struct table *table;

        if (!links)
                return false;
        json = json_object_new_array();
        table = table_new((const char *const[]) { "DOMAIN", "STATE", "UUID", "EPOCH", "NAMES", "REASON", NULL });
        table_align_right(table, 0);
        table_align_right(table, 3);
        for (unsigned i = 0; i < links->len; i++) {
                const struct bridge_link *link = links->pdata[i];

                object = property_json(LINK_INTERFACE, link->properties);
                json_object_object_add(object, "link", json_object_new_string(link->path));
                json_object_array_add(json, object);
                add_link(table, link);
        }
        return context_print_list(context, table, json, true, error);
}

/* Peers */

#define PEERS_TYPE "(a(ssasut))"

static struct json_object *peer_json(guint32 domain, GVariant *peer) {
        struct json_object *object = value_json(peer, "[BridgePeer]");

        json_object_object_add(object, "domain", json_object_new_int64(domain));
        return object;
}

static void add_peer(struct table *table, const char *domain, GVariant *peer) {
        g_autoptr(GVariant) names = g_variant_get_child_value(peer, 2);
        g_autofree char *listed = value_text(names, NULL, NULL), *calls = NULL, *queued = NULL;
        const char *local, *remote;
        guint64 n_queued;
        guint32 n_calls;

        g_variant_get_child(peer, 0, "&s", &local);
        g_variant_get_child(peer, 1, "&s", &remote);
        g_variant_get_child(peer, 3, "u", &n_calls);
        g_variant_get_child(peer, 4, "t", &n_queued);
        calls = g_strdup_printf("%u", n_calls);
        queued = quantity_format_size(n_queued);
        table_add(table, (const char *const[]) { domain, local, remote, calls, queued, *listed ? listed : "-", NULL });
}

/* A link may go between the list and this question: then nobody is at its end. */
static void add_peers(struct context *context, const struct bridge_link *link, struct table *table, struct json_object *json) {
        g_autoptr(GVariant) answer = client_call_briefly(context, CLIENT_BRIDGE, link->path, LINK_INTERFACE, "ListPeers", NULL), peers = NULL;
        g_autofree char *domain = g_strdup_printf("%u", link->domain);

        if (!answer || !g_variant_is_of_type(answer, G_VARIANT_TYPE(PEERS_TYPE)))
                return;
        peers = g_variant_get_child_value(answer, 0);
        for (gsize i = 0; i < g_variant_n_children(peers); i++) {
                g_autoptr(GVariant) peer = g_variant_get_child_value(peers, i);

                json_object_array_add(json, peer_json(link->domain, peer));
                add_peer(table, domain, peer);
        }
}

static bool run_peers(struct context *context, const struct arguments *arguments, GError **error) {
        const char *only = arguments_get(arguments, "LINK");
        g_autofree char *path = only ? objects_find(context, PARAMETER_LINK, NULL, only, error) : NULL;
        g_autoptr(GPtrArray) links = !only || path ? bridge_links(context, error) : NULL;
        struct json_object *json;
        struct table *table;

        if (!links)
                return false;
        json = json_object_new_array();
        table = table_new((const char *const[]) { "DOMAIN", "HERE", "THERE", "CALLS", "QUEUED", "NAMES", NULL });
        table_align_right(table, 0);
        table_align_right(table, 3);
        table_align_right(table, 4);
        for (unsigned i = 0; i < links->len; i++) {
                const struct bridge_link *link = links->pdata[i];

                if (!path || strcmp(link->path, path) == 0)
                        add_peers(context, link, table, json);
        }
        return context_print_list(context, table, json, true, error);
}

/* Where somebody is */

static bool ask(struct context *context, const char *method, const char *name, const char *type, GVariant **ret_answer, GError **error) {
        g_autoptr(GVariant) answer = client_call(context, CLIENT_BRIDGE, CLIENT_BRIDGE_ROOT, MANAGER, method, g_variant_new("(s)", name), NULL,
                                                 NULL, error);

        if (!answer)
                return false;
        if (!g_variant_is_of_type(answer, G_VARIANT_TYPE(type)))
                return context_fail(error, CONTEXT_ERROR_FAILED, "%s() answers with %s", method, g_variant_get_type_string(answer));
        *ret_answer = g_steal_pointer(&answer);
        return true;
}

/* Of one that runs, all that the bridge knows of it; of one that does not, where it would be started. */
static bool run_domain(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *name = client_service_name(arguments_get(arguments, "SERVICE"));
        g_auto(GVariantDict) dictionary = G_VARIANT_DICT_INIT(NULL);
        g_autoptr(GVariant) service = NULL, connection = NULL, all = NULL;
        const char *uuid, *remote;
        gboolean running = TRUE;
        guint32 domain = 0;
        guint64 epoch;

        if (*name != ':') {
                if (!ask(context, "GetServiceDomain", name, "(ub)", &service, error))
                        return false;
                g_variant_get(service, "(ub)", &domain, &running);
        }
        if (running) {
                if (!ask(context, "GetConnectionDomain", name, "(usts)", &connection, error))
                        return false;
                g_variant_get(connection, "(u&st&s)", &domain, &uuid, &epoch, &remote);
                g_variant_dict_insert(&dictionary, "uuid", "s", uuid);
                g_variant_dict_insert(&dictionary, "epoch", "t", epoch);
                g_variant_dict_insert(&dictionary, "remote_name", "s", remote);
        }
        g_variant_dict_insert(&dictionary, "domain", "u", domain);
        g_variant_dict_insert(&dictionary, "running", "b", running);
        all = g_variant_ref_sink(g_variant_dict_end(&dictionary));
        return result_show_value(context, all, NULL, "domain", error);
}

const struct command bridge_commands[] = {
        {
                .name = "bridge status",
                .summary = "Show the domain that the bridge is in, and how many links it has.",
                .parameters = (const struct parameter[]) { {} },
                .run = run_status,
        },
        {
                .name = "bridge links",
                .summary = "List the links to other domains.",
                .details = "NAMES are those of this bus that are owned by somebody there; REASON is why a link is not Up.",
                .parameters = (const struct parameter[]) { {} },
                .run = run_links,
        },
        {
                .name = "bridge peers",
                .summary = "List who of other domains is on this bus.",
                .details = "HERE and THERE are unique names; CALLS, either way, are not answered yet, and QUEUED bytes wait.",
                .parameters = (const struct parameter[]) {
                        { "LINK", PARAMETER_LINK, "Only over this link: the id of its domain, its UUID or the beginning of that.",
                          .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = run_peers,
        },
        {
                .name = "bridge top",
                .summary = "Show what passes over the links, each second, until ^C.",
                .details = "Numbers are for each second, but for PEERS, WAITING calls, QUEUED bytes and the ROUND TRIP of a ping, which are of "
                           "the moment. The link that most passes over comes first. If standard output is no terminal, with --once, and as "
                           "JSON, there is one table, with all that was counted since each link came up.",
                .parameters = (const struct parameter[]) { { "--once", PARAMETER_FLAG, "Print one table, and end." }, {} },
                .run = bridge_top_run,
        },
        {
                .name = "bridge reconnect",
                .summary = "Take a link down, and set it up anew.",
                .details = "Calls over it that are not answered get an error.",
                .parameters = (const struct parameter[]) {
                        { "LINK", PARAMETER_LINK, "The id of its domain, its UUID or the beginning of that." },
                        {},
                },
                OPERATION(LINK_INTERFACE, "Reconnect"),
        },
        {
                .name = "service domain",
                .summary = "Show in which domain a service is, or would be started.",
                .parameters = (const struct parameter[]) {
                        { "SERVICE", PARAMETER_SERVICE, "Its name: storage, or in full org.xen.xcp.storage. Or a unique name: :1.5." },
                        {},
                },
                .run = run_domain,
        },
        {},
};
