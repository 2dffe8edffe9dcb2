/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pvcalls-domains.h"

static void domain_free(void *userdata) {
        struct pvcalls_domain *domain = userdata;

        g_free(domain->path);
        g_variant_unref(domain->properties);
        g_free(domain);
}

static int compare_domains(const void *a, const void *b) {
        const struct pvcalls_domain *x = *(struct pvcalls_domain *const *) a, *y = *(struct pvcalls_domain *const *) b;

        return x->id < y->id ? -1 : x->id > y->id;
}

GPtrArray *pvcalls_domains(struct context *context, GError **error) {
        g_autoptr(GVariant) objects = client_objects(context, CLIENT_PVCALLS, error);
        g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func(domain_free);

        if (!objects)
                return NULL;
        for (gsize i = 0; i < g_variant_n_children(objects); i++) {
                g_autoptr(GVariant) interfaces = NULL, properties = NULL;
                struct pvcalls_domain *domain;
                const char *path;

                g_variant_get_child(objects, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                properties = g_variant_lookup_value(interfaces, ATTACHED_INTERFACE, G_VARIANT_TYPE_VARDICT);
                if (!properties)
                        continue;
                domain = g_new0(struct pvcalls_domain, 1);
                domain->path = g_strdup(path);
                g_variant_lookup(properties, "Domain", "u", &domain->id);
                domain->properties = g_steal_pointer(&properties);
                g_ptr_array_add(domains, domain);
        }
        g_ptr_array_sort(domains, compare_domains);
        return g_steal_pointer(&domains);
}

char *pvcalls_domain_text(const struct pvcalls_domain *domain, const char *name) {
        char *text = NULL;

        return g_variant_lookup(domain->properties, name, "s", &text) ? text : g_strdup("");
}

GVariant *pvcalls_domain_counters(struct context *context, const struct pvcalls_domain *domain) {
        g_autoptr(GVariant) answer = client_call_briefly(context, CLIENT_PVCALLS, domain->path, ATTACHED_INTERFACE, "GetCounters", NULL);

        return answer && g_variant_is_of_type(answer, G_VARIANT_TYPE("(a{st})")) ? g_variant_get_child_value(answer, 0) : NULL;
}
