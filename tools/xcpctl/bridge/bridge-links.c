/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bridge-links.h"

#include <string.h>

static void link_free(void *userdata) {
        struct bridge_link *link = userdata;

        g_free(link->path);
        g_free(link->state);
        g_free(link->reason);
        g_free(link->uuid);
        g_variant_unref(link->properties);
        g_free(link);
}

static char *text_of(GVariant *properties, const char *name) {
        char *text = NULL;

        return g_variant_lookup(properties, name, "s", &text) ? text : g_strdup("");
}

static struct bridge_link *link_new(const char *path, GVariant *properties) {
        struct bridge_link *link = g_new0(struct bridge_link, 1);

        link->path = g_strdup(path);
        link->state = text_of(properties, "State");
        link->reason = text_of(properties, "StateReason");
        link->uuid = text_of(properties, "DomainUuid");
        link->properties = g_variant_ref(properties);
        g_variant_lookup(properties, "Domain", "u", &link->domain);
        g_variant_lookup(properties, "Epoch", "t", &link->epoch);
        return link;
}

static int compare_links(const void *a, const void *b) {
        const struct bridge_link *x = *(struct bridge_link *const *) a, *y = *(struct bridge_link *const *) b;

        return x->domain < y->domain ? -1 : x->domain > y->domain;
}

GPtrArray *bridge_links(struct context *context, GError **error) {
        g_autoptr(GVariant) objects = client_objects(context, CLIENT_BRIDGE, error);
        g_autoptr(GPtrArray) links = g_ptr_array_new_with_free_func(link_free);

        if (!objects)
                return NULL;
        for (gsize i = 0; i < g_variant_n_children(objects); i++) {
                g_autoptr(GVariant) interfaces = NULL, properties = NULL;
                const char *path;

                g_variant_get_child(objects, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                properties = g_variant_lookup_value(interfaces, LINK_INTERFACE, G_VARIANT_TYPE_VARDICT);
                if (properties)
                        g_ptr_array_add(links, link_new(path, properties));
        }
        g_ptr_array_sort(links, compare_links);
        return g_steal_pointer(&links);
}

GVariant *bridge_link_counters(struct context *context, const struct bridge_link *link) {
        g_autoptr(GVariant) answer = client_call_briefly(context, CLIENT_BRIDGE, link->path, LINK_INTERFACE, "GetCounters", NULL);

        return answer && g_variant_is_of_type(answer, G_VARIANT_TYPE("(a{st})")) ? g_variant_get_child_value(answer, 0) : NULL;
}
