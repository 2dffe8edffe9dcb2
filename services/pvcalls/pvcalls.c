/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-pvcalls: the controller of PV Calls. It starts with what its database knows, and finds the backends of its predecessor again. */

#include "pvcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "domain.h"
#include "records.h"

/* In the build tree, the program of the build tree. XCP_PVCALLS_BACKEND is for those who try another. */
static const char *find_backend(void) {
        static const char build_root[] = PVCALLS_BUILD_ROOT "/";
        const char *other = getenv("XCP_PVCALLS_BACKEND");
        char path[PATH_MAX] = "";
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        if (other && *other == '/')
                return other;
        if (n > 0 && strncmp(path, build_root, sizeof build_root - 1) == 0)
                return PVCALLS_BUILD_ROOT "/pvcalls/backend/xcp-pvcalls-backend";
        return PVCALLS_LIBEXEC "/xcp-pvcalls-backend";
}

static void on_changed(uint32_t id, void *userdata) {
        struct pvcalls *pvcalls = userdata;

        for (struct domain *domain = pvcalls->domains, *next; domain; domain = next) {
                next = domain->next;
                if (id == UINT32_MAX || domain->id == id)
                        domain_look(domain);
        }
}

/* Without Xen the service is there, and says so. */
static int open_all(struct pvcalls *pvcalls) {
        if (nodes_open(&pvcalls->nodes, pvcalls->event, on_changed, pvcalls) < 0) {
                nodes_close(&pvcalls->nodes);
                diagnostics_problem(service_diagnostics(pvcalls->service), HEALTH_FAILING, "store",
                                    "The store of Xen cannot be reached, or does not know which domain this is");
        }
        pvcalls->state_fd = open(service_state_dir(pvcalls->service), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (pvcalls->state_fd < 0)
                return -errno;
        return remote_tasks_new(&pvcalls->remote_tasks, pvcalls->bus);
}

static int count_all(struct pvcalls *pvcalls) {
        const struct {
                const char *name;
                const uint64_t *value;
        } counters[] = { { "domains.attached", &pvcalls->n_attached },      { "domains.detached", &pvcalls->n_detached },
                         { "backends.died", &pvcalls->n_died },             { "backends.restarted", &pvcalls->n_restarted },
                         { "denied", &pvcalls->n_denied } };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sizeof counters / sizeof counters[0]; i++)
                r = diagnostics_count(service_diagnostics(pvcalls->service), counters[i].name, counters[i].value);
        return r;
}

static int pvcalls_start(struct service *service, void **ret_userdata) {
        struct pvcalls *pvcalls = calloc(1, sizeof *pvcalls);
        int r;

        if (!pvcalls)
                return -ENOMEM;
        *ret_userdata = pvcalls;        /* from here on, pvcalls_stop() frees what there is */
        *pvcalls = (struct pvcalls) {
                .service = service,
                .bus = service_bus(service),
                .event = service_event(service),
                .db = service_database(service),
                .state_fd = -1,
                .backend_program = find_backend(),
        };
        r = open_all(pvcalls);
        if (r >= 0)
                r = count_all(pvcalls);
        if (r >= 0)
                r = domain_export(pvcalls);
        if (r >= 0)
                r = manager_export(pvcalls);
        if (r >= 0 && pvcalls->nodes.xs)
                r = records_load(pvcalls);
        for (struct domain *domain = pvcalls->domains, *next; r >= 0 && domain; domain = next) {
                next = domain->next;
                r = domain_resume(domain);
        }
        return r;
}

/* Backends go on: the next start finds them. */
static void pvcalls_stop(void *userdata) {
        struct pvcalls *pvcalls = userdata;

        objects_free(pvcalls->objects); /* says nothing to anybody: the domains are still attached, only the service is not there */
        while (pvcalls->domains)
                domain_free(pvcalls->domains);
        remote_tasks_free(pvcalls->remote_tasks);
        nodes_close(&pvcalls->nodes);
        if (pvcalls->state_fd >= 0)
                close(pvcalls->state_fd);
        free(pvcalls);
}

static void pvcalls_dump(void *userdata, FILE *f) {
        static const char *const phases[] = { "attaching", "attached", "ending" };
        const struct pvcalls *pvcalls = userdata;

        for (const struct domain *domain = pvcalls->domains; domain; domain = domain->next)
                fprintf(f, "domain %u, backend in %u, %s, %s%s%s, %zu rules%s%s\n", domain->id, domain->backend_id, phases[domain->phase],
                        xcp_pvcalls_state_to_string(domain->state), *domain->reason ? ": " : "", domain->reason, domain->n_policy,
                        *domain->network_namespace ? ", network namespace " : "", domain->network_namespace);
}

static const char *const features[] = { "network-namespaces", "driver-domains", NULL };

int main(int argc, char **argv) {
        const struct service_kind kind = {
                .name = "pvcalls",
                .about = "Sockets of domains in other domains: which have them, and what they may do with them.",
                .features = features,
                .schema = records_schema,
                .start = pvcalls_start,
                .stop = pvcalls_stop,
                .dump = pvcalls_dump,
        };

        return service_main(&kind, argc, argv);
}
