/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pages that another Xen domain grants, as memory: what XEN_MMAP needs of whoever has Xen's libraries. This library has not; xen-grants.h has one.
 *
 * Regions of such pages are mapped when they come, or, where the front-end forbids that, page by page for each request: then what was mapped for one is a
 * set of loans, which goes back when the request is answered.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHOST_XEN_PAGE 4096u
#define VHOST_XEN_PAGES_MAX 32768u      /* of a region, or of a buffer, that is mapped at once: half of what Linux has a process map (gntdev's limit) */

struct vhost_xen {
        uint32_t domid;                 /* whose pages: a front-end that names another domain is refused, or this process would map any guest for anybody */
        void *userdata;

        /* Maps pages whose references follow each other, for reading or for both. Negative errno. On any thread, as is the next. */
        int (*map)(void *userdata, uint32_t first_ref, uint32_t n_pages, bool to_write, void **ret_pages);
        void (*unmap)(void *userdata, void *pages, uint32_t n_pages);
};

struct vhost_loan {
        void *pages;
        uint32_t n_pages;
};

/* Of one request, in a list of those of a ring. */
struct vhost_loans {
        struct vhost_loans *previous, *next;
        size_t n;
        struct vhost_loan at[];
};

/*
 * The pages of so many bytes from a guest's address on. -EINVAL: none, more than VHOST_XEN_PAGES_MAX, or past the last reference.
 * ret_start: where the first byte is.
 */
int vhost_xen_map(const struct vhost_xen *xen, uint64_t guest_address, uint64_t size, bool to_write, struct vhost_loan *ret_loan, void **ret_start);

/* Maps, and adds to loans (NULL: there are none yet), which are the caller's, and stay as they are if it fails. */
int vhost_loans_add(struct vhost_loans **loans, const struct vhost_xen *xen, uint64_t guest_address, uint64_t size, bool to_write, void **ret_start);

/* Unmaps them all. NULL: there are none. Returns NULL. They are in no list. */
struct vhost_loans *vhost_loans_return(struct vhost_loans *loans, const struct vhost_xen *xen);

/* The list of a ring's, whose head is list, so that what was lent for a request that is never answered goes back, too. */
void vhost_loans_link(struct vhost_loans **list, struct vhost_loans *loans);
void vhost_loans_unlink(struct vhost_loans **list, struct vhost_loans *loans);
