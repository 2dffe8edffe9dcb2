/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "toy-xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "layout.h"

#define NODES_MAX 64u
#define NAME_SIZE 96u

/* One of each is all there is, so handles are only something to point to. */
static char handle;

static struct {
        struct {
                uint8_t *pages;         /* NULL: free */
                int n;
                uint32_t first_ref;
        } shares[TOY_SHARES_MAX];
        bool ports[TOY_PORTS_MAX];
        uint32_t pending[64];
        unsigned n_pending, pages_left, ports_left;
        uint32_t next_ref;
        struct { char path[NAME_SIZE], value[NAME_SIZE]; } nodes[NODES_MAX];
        bool fired;
        int events, store;
} xen = { .events = -1, .store = -1 };

static void demand(bool holds) {
        if (!holds)
                abort();
}

void toy_xen_init(void) {
        for (unsigned i = 0; i < TOY_SHARES_MAX; i++)
                free(xen.shares[i].pages);
        if (xen.events >= 0)
                close(xen.events);
        if (xen.store >= 0)
                close(xen.store);
        memset(&xen, 0, sizeof xen);
        xen.events = xen.store = -1;
        xen.next_ref = 8;
        xen.pages_left = xen.ports_left = UINT32_MAX;
}

/* The store */

static char *node_find(const char *path, bool make) {
        for (unsigned i = 0; i < NODES_MAX; i++)
                if (strcmp(xen.nodes[i].path, path) == 0)
                        return xen.nodes[i].value;
        for (unsigned i = 0; make && i < NODES_MAX; i++)
                if (xen.nodes[i].path[0] == '\0') {
                        demand(strlen(path) < NAME_SIZE);
                        strcpy(xen.nodes[i].path, path);
                        return xen.nodes[i].value;
                }
        return NULL;
}

static void fire(void) {
        xen.fired = true;
        if (xen.store >= 0)
                (void) eventfd_write(xen.store, 1);
}

void toy_xen_write(const char *path, const char *value) {
        char *node = node_find(path, true);

        demand(node && (!value || strlen(value) < NAME_SIZE));
        strcpy(node, value ?: "");      /* no node here is empty */
        fire();
}

void toy_xen_write_number(const char *path, uint32_t value) {
        char text[12];

        snprintf(text, sizeof text, "%u", value);
        toy_xen_write(path, text);
}

uint32_t toy_xen_read(const char *path) {
        const char *node = node_find(path, false);

        return node ? (uint32_t) strtoul(node, NULL, 10) : 0;
}

struct xs_handle *xs_open(unsigned long flags) {
        xen.store = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        demand(xen.store >= 0);
        return (struct xs_handle *) &handle;
}

void xs_close(struct xs_handle *h) {
        close(xen.store);
        xen.store = -1;
}

int xs_fileno(struct xs_handle *h) {
        return xen.store;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len) {
        const char *node = node_find(path, false);

        return node && node[0] ? strdup(node) : NULL;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned len) {
        char *node = node_find(path, true);

        demand(node && len < NAME_SIZE);
        memcpy(node, data, len);
        node[len] = '\0';
        return true;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token) {
        fire();
        return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token) {
        return true;
}

char **xs_check_watch(struct xs_handle *h) {
        eventfd_t count;

        if (!xen.fired)
                return NULL;
        (void) eventfd_read(xen.store, &count);
        xen.fired = false;
        return calloc(1, sizeof(char *));
}

/* Grants */

xengntshr_handle *xengntshr_open(xentoollog_logger *logger, unsigned flags) {
        return (xengntshr_handle *) &handle;
}

int xengntshr_close(xengntshr_handle *h) {
        return 0;
}

void *xengntshr_share_pages(xengntshr_handle *h, uint32_t domid, int count, uint32_t *refs, int writable) {
        unsigned i = 0;

        while (i < TOY_SHARES_MAX && xen.shares[i].pages)
                i++;
        if (i == TOY_SHARES_MAX || (unsigned) count > xen.pages_left) {
                errno = ENOSPC;
                return NULL;
        }
        xen.shares[i].pages = aligned_alloc(PVCALLS_PAGE_SIZE, (size_t) count * PVCALLS_PAGE_SIZE);
        demand(xen.shares[i].pages);
        memset(xen.shares[i].pages, 0, (size_t) count * PVCALLS_PAGE_SIZE);
        xen.shares[i].n = count;
        xen.shares[i].first_ref = xen.next_ref;
        for (int j = 0; j < count; j++)
                refs[j] = xen.next_ref++;
        xen.pages_left -= (unsigned) count;
        return xen.shares[i].pages;
}

int xengntshr_unshare(xengntshr_handle *h, void *start_address, uint32_t count) {
        unsigned i = 0;

        while (i < TOY_SHARES_MAX && xen.shares[i].pages != start_address)
                i++;
        demand(start_address && i < TOY_SHARES_MAX && xen.shares[i].n == (int) count);
        free(xen.shares[i].pages);
        xen.shares[i].pages = NULL;
        xen.pages_left += count;
        return 0;
}

void *toy_xen_page(uint32_t ref) {
        for (unsigned i = 0; i < TOY_SHARES_MAX; i++)
                if (xen.shares[i].pages && ref - xen.shares[i].first_ref < (uint32_t) xen.shares[i].n)
                        return xen.shares[i].pages + (size_t) (ref - xen.shares[i].first_ref) * PVCALLS_PAGE_SIZE;
        return NULL;
}

unsigned toy_xen_pages(void) {
        unsigned n = 0;

        for (unsigned i = 0; i < TOY_SHARES_MAX; i++)
                if (xen.shares[i].pages)
                        n += (unsigned) xen.shares[i].n;
        return n;
}

void toy_xen_limit(unsigned pages, unsigned ports) {
        xen.pages_left = pages;
        xen.ports_left = ports;
}

/* Event channels */

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned flags) {
        xen.events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        demand(xen.events >= 0);
        return (xenevtchn_handle *) &handle;
}

int xenevtchn_close(xenevtchn_handle *h) {
        close(xen.events);
        xen.events = -1;
        return 0;
}

int xenevtchn_fd(xenevtchn_handle *h) {
        return xen.events;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t domid) {
        uint32_t port = 1;

        while (port < TOY_PORTS_MAX && xen.ports[port])
                port++;
        if (port == TOY_PORTS_MAX || xen.ports_left == 0) {
                errno = ENOSPC;
                return -1;
        }
        xen.ports[port] = true;
        xen.ports_left--;
        return (xenevtchn_port_or_error_t) port;
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port) {
        demand(port < TOY_PORTS_MAX && xen.ports[port]);
        xen.ports[port] = false;
        xen.ports_left++;
        return 0;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port) {
        demand(port < TOY_PORTS_MAX && xen.ports[port]);
        return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h) {
        eventfd_t count;

        if (xen.n_pending == 0) {
                (void) eventfd_read(xen.events, &count);
                errno = EAGAIN;
                return -1;
        }
        return (xenevtchn_port_or_error_t) xen.pending[--xen.n_pending];
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port) {
        return 0;
}

void toy_xen_event(uint32_t port) {
        if (xen.n_pending == sizeof xen.pending / sizeof xen.pending[0])
                return;
        xen.pending[xen.n_pending++] = port & INT32_MAX;
        if (xen.events >= 0)
                (void) eventfd_write(xen.events, 1);
}

unsigned toy_xen_ports(void) {
        unsigned n = 0;

        for (unsigned i = 0; i < TOY_PORTS_MAX; i++)
                n += xen.ports[i];
        return n;
}

xentoollog_logger_stdiostream *xtl_createlogger_stdiostream(FILE *file, xentoollog_level min_level, unsigned flags) {
        return (xentoollog_logger_stdiostream *) &handle;
}

void xtl_logger_destroy(struct xentoollog_logger *logger) {
}
