/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "objects.h"

#include <string.h>

#include "bridge-links.h"
#include "pvcalls-domains.h"

#define STORAGE_MANAGER "org.xen.xcp.storage1.Manager"
#define XENOPSD_MANAGER "org.xen.xcp.xenopsd1.Manager"
#define DIGEST_PREFIX "sha256:"

/* Kinds of which there are lists, and how people call them. */
static const struct kind {
        enum parameter_kind kind;
        const char *name;
        const char *interface;
        const char *service;
        const char *lookup;             /* the manager's method that finds one by its UUID */
} kinds[] = {
        { PARAMETER_VM, "VM", "org.xen.xcp.xenopsd1.VM", CLIENT_XENOPSD, "LookupByUuid" },
        { PARAMETER_DISK, "disk", "org.xen.xcp.xenopsd1.Disk", CLIENT_XENOPSD, NULL },
        { PARAMETER_NIC, "network interface", "org.xen.xcp.xenopsd1.NetworkInterface", CLIENT_XENOPSD, NULL },
        { PARAMETER_SR, "SR", "org.xen.xcp.storage1.SR", CLIENT_STORAGE, "LookupSR" },
        { PARAMETER_VDI, "VDI", "org.xen.xcp.storage1.VDI", CLIENT_STORAGE, "LookupVDI" },
        { PARAMETER_IMAGE, "image", "org.xen.xcp.images1.Image", CLIENT_IMAGES, NULL },
        { PARAMETER_TASK, "task", CLIENT_TASK, NULL, NULL },
        { PARAMETER_LINK, "link", LINK_INTERFACE, CLIENT_BRIDGE, NULL },
        { PARAMETER_ATTACHED, "attached domain", ATTACHED_INTERFACE, CLIENT_PVCALLS, NULL },
        { PARAMETER_SERVICE, "service", NULL, NULL, NULL },
};

static const struct kind *kind_of(enum parameter_kind kind) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (kinds[i].kind == kind)
                        return &kinds[i];
        return NULL;
}

const char *objects_interface(enum parameter_kind kind) {
        const struct kind *found = kind_of(kind);

        return found ? found->interface : NULL;
}

static GVariant *call_manager(struct context *context, const char *service, const char *method, GVariant *arguments, GError **error) {
        g_autofree char *root = client_root(service);
        const char *manager = strcmp(service, CLIENT_STORAGE) == 0 ? STORAGE_MANAGER : XENOPSD_MANAGER;

        return client_call(context, service, root, manager, method, arguments, NULL, NULL, error);
}

/* Adds what a method lists as structures that begin with a path, a UUID and a name. */
static bool add_listed(GVariant *results, GPtrArray *candidates, GError **error) {
        g_autoptr(GVariant) list = NULL;

        if (!results)
                return false;
        if (!g_str_has_prefix(g_variant_get_type_string(results), "(a(oss"))
                return context_fail(error, CONTEXT_ERROR_FAILED, "the service lists objects as %s", g_variant_get_type_string(results));
        list = g_variant_get_child_value(results, 0);
        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(list, i);
                const char *path, *uuid, *name;

                g_variant_get_child(row, 0, "&o", &path);
                g_variant_get_child(row, 1, "&s", &uuid);
                g_variant_get_child(row, 2, "&s", &name);
                candidates_add(candidates, path, uuid, name);
        }
        return true;
}

static bool add_vdis(struct context *context, GPtrArray *candidates, GError **error) {
        g_autoptr(GVariant) listed = call_manager(context, CLIENT_STORAGE, "ListSRs", NULL, error);
        g_autoptr(GPtrArray) srs = candidates_new();

        if (!add_listed(listed, srs, error))
                return false;
        for (unsigned i = 0; i < srs->len; i++) {
                const struct candidate *sr = srs->pdata[i];
                g_autoptr(GVariant) vdis = client_call(context, CLIENT_STORAGE, sr->path, objects_interface(PARAMETER_SR), "ListVDIs", NULL,
                                                       NULL, NULL, error);

                if (!add_listed(vdis, candidates, error))
                        return false;
        }
        return true;
}

/* Objects of a service that have an interface, below a path. */
static bool add_managed(struct context *context, const char *service, const char *interface, const char *below, GPtrArray *candidates,
                        GError **error) {
        g_autoptr(GVariant) objects = client_objects(context, service, error);

        if (!objects)
                return false;
        for (gsize i = 0; i < g_variant_n_children(objects); i++) {
                g_autoptr(GVariant) interfaces = NULL, properties = NULL;
                const char *path, *name = "";

                g_variant_get_child(objects, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                properties = g_variant_lookup_value(interfaces, interface, G_VARIANT_TYPE_VARDICT);
                if (!properties || (below && (!g_str_has_prefix(path, below) || path[strlen(below)] != '/')))
                        continue;
                g_variant_lookup(properties, "Name", "&s", &name);
                candidates_add(candidates, path, "", name);
        }
        return true;
}

static bool add_tasks(struct context *context, GPtrArray *candidates, GError **error) {
        g_auto(GStrv) services = client_services(context, false, error);

        for (char **service = services; service && *service; service++) {
                g_autoptr(GPtrArray) tasks = candidates_new();

                if (!add_managed(context, *service, CLIENT_TASK, NULL, tasks, NULL))
                        continue;               /* a service without objects */
                for (unsigned i = 0; i < tasks->len; i++) {
                        const struct candidate *task = tasks->pdata[i];
                        g_autofree char *name = g_strdup_printf("%s/%s", client_short_name(*service), strrchr(task->path, '/') + 1);

                        candidates_add(candidates, task->path, "", name);
                }
        }
        return services != NULL;
}

static bool add_services(struct context *context, GPtrArray *candidates, GError **error) {
        g_auto(GStrv) services = client_services(context, true, error);

        for (char **service = services; service && *service; service++)
                candidates_add(candidates, "/", "", client_short_name(*service));
        return services != NULL;
}

/* A link is called by the id of its domain. */
static bool add_links(struct context *context, GPtrArray *candidates, GError **error) {
        g_autoptr(GPtrArray) links = bridge_links(context, error);

        for (unsigned i = 0; links && i < links->len; i++) {
                const struct bridge_link *link = links->pdata[i];
                g_autofree char *name = g_strdup_printf("%u", link->domain);

                candidates_add(candidates, link->path, link->uuid, name);
        }
        return links != NULL;
}

/* An image is called by its name, if it has one, and its digest stands for a UUID. */
static bool add_images(struct context *context, GPtrArray *candidates, GError **error) {
        g_autofree char *root = client_root(CLIENT_IMAGES);
        g_autoptr(GVariant) results = client_call(context, CLIENT_IMAGES, root, "org.xen.xcp.images1.Manager", "ListImages", NULL, NULL, NULL, error);
        const char *path, *name, *digest;
        GVariantIter *iter;

        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(a(osstts))")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "ListImages() answered with %s", g_variant_get_type_string(results));
        g_variant_get(results, "(a(osstts))", &iter);
        while (g_variant_iter_next(iter, "(&o&s&stt&s)", &path, &name, &digest, NULL, NULL, NULL)) {
                const char *hex = g_str_has_prefix(digest, DIGEST_PREFIX) ? digest + strlen(DIGEST_PREFIX) : digest;

                candidates_add(candidates, path, hex, *name ? name : hex);
        }
        g_variant_iter_free(iter);
        return true;
}

/* An attached domain is called by its id. */
static bool add_attached(struct context *context, GPtrArray *candidates, GError **error) {
        g_autoptr(GPtrArray) domains = pvcalls_domains(context, error);

        for (unsigned i = 0; domains && i < domains->len; i++) {
                const struct pvcalls_domain *domain = domains->pdata[i];
                g_autofree char *name = g_strdup_printf("%u", domain->id);

                candidates_add(candidates, domain->path, "", name);
        }
        return domains != NULL;
}

static bool add_all(struct context *context, enum parameter_kind kind, const char *container, GPtrArray *candidates, GError **error) {
        g_autoptr(GVariant) listed = NULL;

        switch (kind) {
        case PARAMETER_VM:
                listed = call_manager(context, CLIENT_XENOPSD, "ListVms", NULL, error);
                return add_listed(listed, candidates, error);
        case PARAMETER_SR:
                listed = call_manager(context, CLIENT_STORAGE, "ListSRs", NULL, error);
                return add_listed(listed, candidates, error);
        case PARAMETER_IMAGE:
                return add_images(context, candidates, error);
        case PARAMETER_VDI:
                return add_vdis(context, candidates, error);
        case PARAMETER_DISK:
        case PARAMETER_NIC:
                return add_managed(context, CLIENT_XENOPSD, objects_interface(kind), container, candidates, error);
        case PARAMETER_TASK:
                return add_tasks(context, candidates, error);
        case PARAMETER_LINK:
                return add_links(context, candidates, error);
        case PARAMETER_ATTACHED:
                return add_attached(context, candidates, error);
        case PARAMETER_SERVICE:
                return add_services(context, candidates, error);
        default:
                return true;
        }
}

GPtrArray *objects_list(struct context *context, enum parameter_kind kind, const char *container, GError **error) {
        g_autoptr(GPtrArray) candidates = candidates_new();

        return add_all(context, kind, container, candidates, error) ? g_steal_pointer(&candidates) : NULL;
}

/* By a whole UUID a service finds what it is of without a list. */
static char *find_by_uuid(struct context *context, const struct kind *kind, const char *uuid, GError **error) {
        g_autoptr(GVariant) found = call_manager(context, kind->service, kind->lookup, g_variant_new("(s)", uuid), error);
        char *path = NULL;

        if (found && g_variant_is_of_type(found, G_VARIANT_TYPE("(o)")))
                g_variant_get(found, "(o)", &path);
        else if (found)
                context_fail(error, CONTEXT_ERROR_FAILED, "%s answers with %s", kind->lookup, g_variant_get_type_string(found));
        return path;
}

static char *path_of(const char *root, const char *rest, GError **error) {
        g_autofree char *path = rest && *rest ? g_strconcat(root, "/", rest, NULL) : g_strdup(root);

        if (g_variant_is_object_path(path))
                return g_steal_pointer(&path);
        context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no object path", path);
        return NULL;
}

/* KIND/NAME, SERVICE or SERVICE/REST. */
static char *find_any(struct context *context, const char *text, GError **error) {
        const char *slash = strchr(text, '/');
        g_autofree char *first = slash ? g_strndup(text, (gsize) (slash - text)) : g_strdup(text);
        g_autofree char *service = NULL, *root = NULL;

        for (size_t i = 0; slash && i < G_N_ELEMENTS(kinds); i++)
                if (kinds[i].lookup && g_ascii_strcasecmp(kinds[i].name, first) == 0)
                        return objects_find(context, kinds[i].kind, NULL, slash + 1, error);
        service = client_service_name(first);
        root = client_root(service);
        return path_of(root, slash ? slash + 1 : NULL, error);
}

static char *find_task(const char *text, GError **error) {
        const char *slash = strchr(text, '/'), *number = strrchr(text, '/');
        g_autofree char *service = NULL, *root = NULL, *rest = NULL;

        if (!slash) {
                context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no task: write SERVICE/NUMBER, as xcpctl task list does, or its path", text);
                return NULL;
        }
        service = g_strdup_printf(CLIENT_PREFIX "%.*s", (int) (slash - text), text);
        root = client_root(service);
        rest = g_strconcat("task", number, NULL);
        return path_of(root, rest, error);
}

/* What people write who mean a file. */
static bool is_file(const char *text) {
        return g_str_has_prefix(text, "path=") || (*text == '/' && !g_str_has_prefix(text, "/org/"));
}

char *objects_find(struct context *context, enum parameter_kind kind, const char *container, const char *text, GError **error) {
        const struct kind *found = kind_of(kind);
        const struct candidate *chosen;
        g_autoptr(GPtrArray) candidates = NULL;

        if (kind == PARAMETER_VDI && is_file(text)) {
                context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is a file, and no VDI: write --disk path=FILE, or --path FILE where there is no --disk", text);
                return NULL;
        }
        if (*text == '/')
                return path_of(text, NULL, error);
        if (kind == PARAMETER_OBJECT)
                return find_any(context, text, error);
        if (kind == PARAMETER_TASK)
                return find_task(text, error);
        if (found->lookup && choice_is_uuid(text))
                return find_by_uuid(context, found, text, error);
        if (kind == PARAMETER_IMAGE && g_str_has_prefix(text, DIGEST_PREFIX))
                text += strlen(DIGEST_PREFIX);
        candidates = objects_list(context, kind, container, error);
        chosen = candidates ? choice_make(candidates, found->name, text, error) : NULL;
        if (candidates && !chosen && kind == PARAMETER_VDI && strchr(text, ',') && strchr(text, '='))
                g_prefix_error(error, "what --disk takes behind a comma are options here, as in --name data: ");
        return chosen ? g_strdup(chosen->path) : NULL;
}

char *objects_id(const char *path) {
        const char *slash = strrchr(path, '/');
        char *id = g_strdup(slash ? slash + 1 : path);

        g_strdelimit(id, "_", '-');
        if (choice_is_uuid(id))
                return id;
        g_free(id);
        return g_strdup(client_short_path(path));
}
