/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A machine for tests; see test-machine.h. */

#include "test-machine.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

unsigned int count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned int n = 0;

        g_assert_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

void machine_init(struct machine *machine, const struct emu_limits *limits) {
        static const struct emu_limits standard = {};

        machine->n_fds = count_fds();
        domain_table_init(&machine->table, EMU_DOMID_FIRST_RESERVED);
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++) {
                const uint8_t uuid[16] = { (uint8_t) i };

                g_assert_cmpint(domain_new(&machine->table, uuid, 0, limits && i > 0 ? limits : &standard, &machine->domains[i]), ==, 0);
                g_assert_cmpuint(machine->domains[i]->domid, ==, i);
        }
}

void machine_done(struct machine *machine) {
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++) {
                struct domain *domain = machine->domains[i];

                g_assert_cmpuint(domain->n_handles, ==, 0);
                g_assert_cmpuint(domain->n_maptrack, ==, 0);
                g_assert_cmpuint(domain->n_shared_pages, ==, 0);
                g_assert_cmpuint(domain->n_mapped_by_others, ==, 0);
                domain_free(domain);
        }
        domain_table_done(&machine->table);
        g_assert_cmpuint(count_fds(), ==, machine->n_fds);
}

void machine_exhaust_fds(bool exhausted) {
        struct rlimit limit;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        limit.rlim_cur = exhausted ? 0 : limit.rlim_max;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

static struct channel_page *map_page(const int fds[EMU_PORT_FDS]) {
        void *page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[EMU_PORT_FD_PAGE], 0);

        g_assert_true(page != MAP_FAILED);
        return page;
}

void set_word(const struct port *port, uint32_t value) {
        struct channel_page *page;
        int fds[EMU_PORT_FDS];

        port_get_fds(port, fds);
        page = map_page(fds);
        atomic_store(&page->word[port->side], value);
        munmap(page, EMU_PAGE_SIZE);
}

uint64_t take_event(const struct port *port) {
        struct channel_page *page;
        int fds[EMU_PORT_FDS];
        uint64_t n = 0;

        port_get_fds(port, fds);
        page = map_page(fds);
        if (read(fds[EMU_PORT_FD_RECEIVE], &n, sizeof n) < 0)
                n = 0;
        g_assert_true(channel_deliver(&page->word[port->side]) == (n > 0));
        g_assert_cmpint(channel_unmask(&page->word[port->side], fds[EMU_PORT_FD_RECEIVE]), ==, 0);
        munmap(page, EMU_PAGE_SIZE);
        return n;
}
