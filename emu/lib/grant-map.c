/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mapping foreign pages; see grant-map.h. */

#include "grant-map.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "grant-pages.h"

union map_request {
        struct emu_map map;
        uint8_t room[sizeof(struct emu_map) + EMU_MAP_PAGES_MAX * sizeof(struct emu_map_page)];
};

union map_reply {
        struct emu_mapped mapped;
        uint8_t room[sizeof(struct emu_mapped) + EMU_MAP_PAGES_MAX * sizeof(struct emu_mapped_page)];
};

/* Which page the daemon refused; if it does not say, the first, for no particular reason. */
static struct grant_refusal find_refusal(const union map_reply *reply, size_t n_pages) {
        for (size_t i = 0; i < n_pages && i < reply->mapped.n_pages; i++)
                if (reply->mapped.pages[i].status != GNTST_okay)
                        return (struct grant_refusal) { .page = i, .status = reply->mapped.pages[i].status };
        return (struct grant_refusal) { .status = GNTST_general_error };
}

/* Maps what fits in one request at address, which is reserved. */
static int map_some(struct xengntdev_handle *handle, const struct emu_map_page *pages, size_t n_pages, int prot, void *address,
                    uint32_t *ret_id, struct grant_refusal *ret_refusal) {
        union map_request request = { .map = { .flags = prot & PROT_WRITE ? 0 : EMU_GRANT_READONLY, .count = n_pages } };
        union map_reply reply;
        int fds[EMU_FDS_MAX], r;

        memcpy(request.map.pages, pages, n_pages * sizeof *pages);
        memset(&reply.mapped, 0, sizeof reply.mapped); /* nothing is written there if the daemon is gone */
        r = connection_call(&handle->connection, EMU_GRANT_MAP, &request, sizeof request.map + n_pages * sizeof *pages, &reply,
                            sizeof reply, fds, EMU_FDS_MAX);
        if (r == -EINVAL)
                *ret_refusal = find_refusal(&reply, n_pages);
        if (r == -EMFILE && reply.mapped.mapping != 0) /* mapped, but the descriptors did not fit into this process */
                grant_handle_release(handle, EMU_GRANT_UNMAP, &reply.mapped.mapping, 1, true);
        if (r < 0)
                return r;

        r = reply.mapped.n_pages == n_pages ? pages_place(address, reply.mapped.pages, n_pages, prot, fds, EMU_FDS_MAX) : -EPROTO;
        for (size_t i = 0; i < EMU_FDS_MAX && fds[i] >= 0; i++)
                close(fds[i]);
        if (r < 0) {
                grant_handle_release(handle, EMU_GRANT_UNMAP, &reply.mapped.mapping, 1, true);
                return r;
        }

        *ret_id = reply.mapped.mapping;
        return 0;
}

int grant_map(struct xengntdev_handle *handle, const struct emu_map_page *pages, size_t n_pages, int prot, void **ret_address,
              uint32_t *ret_ids, struct grant_refusal *ret_refusal) {
        size_t n_ids = 0;
        void *address;
        int r = 0;

        *ret_refusal = (struct grant_refusal) {};
        address = pages_reserve(n_pages);
        if (address == MAP_FAILED)
                return -errno;

        for (size_t done = 0, n; done < n_pages; done += n) {
                n = n_pages - done < EMU_MAP_PAGES_MAX ? n_pages - done : EMU_MAP_PAGES_MAX;
                r = map_some(handle, pages + done, n, prot, (char *) address + done * EMU_PAGE_SIZE, &ret_ids[n_ids], ret_refusal);
                if (r < 0) {
                        ret_refusal->page += done;
                        break;
                }
                n_ids++;
        }

        if (r < 0) {
                munmap(address, n_pages * EMU_PAGE_SIZE);
                grant_handle_release(handle, EMU_GRANT_UNMAP, ret_ids, n_ids, true);
                return r;
        }
        *ret_address = address;
        return 0;
}
