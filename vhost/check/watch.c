/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses for front-ends: the state that their messages make, and what may be said in it. */

#include "watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct watch_clause_text watch_clauses[_F_N] = {
        [F_1] = { "F-1", "MUST", "a request has version 1, and is no reply" },
        [F_2] = { "F-2", "MUST", "a payload's size, and the number of descriptors, are its request's" },
        [F_3] = { "F-3", "MUST", "a request of a protocol feature is sent only where that was negotiated" },
        [F_4] = { "F-4", "MUST", "features that are set were offered" },
        [F_5] = { "F-5", "MUST", "protocol features that are set were offered, and bit 30" },
        [F_6] = { "F-6", "MUST", "need_reply is set only with REPLY_ACK" },
        [F_7] = { "F-7", "MUST", "SET_OWNER comes before memory and rings" },
        [F_8] = { "F-8", "MUST", "rings are those that there are" },
        [F_9] = { "F-9", "MUST", "a ring's size is a power of two, up to 32768" },
        [F_10] = { "F-10", "MUST", "a ring that is given a kick has a size, a base and addresses" },
        [F_11] = { "F-11", "MUST", "a ring that is given a kick lies in memory" },
        [F_12] = { "F-12", "MUST", "a ring's size and base do not change before GET_VRING_BASE has stopped it" },
        [F_13] = { "F-13", "MUST", "SET_VRING_ENABLE is sent only with bit 30, and enables or disables" },
        [F_14] = { "F-14", "MUST", "a descriptor of a ring comes, or the flag that none does; other bits are zero" },
        [F_15] = { "F-15", "MUST", "regions do not overlap, and are no more than there are slots" },
        [F_16] = { "F-16", "MUST", "a region that is removed is there, and no ring that runs is in it" },
        [F_17] = { "F-17", "MUST", "GET_CONFIG and SET_CONFIG are of 1 to 256 bytes within the space, as many as the payload has" },
        [F_18] = { "F-18", "MUST", "the inflight region is given back as it was given, before a ring begins" },
        [F_19] = { "F-19", "MUST", "after a back-end died, the inflight region is its successor's" },
        [F_20] = { "F-20", "MUST", "a change of the configuration space is followed by GET_CONFIG" },
        [F_21] = { "F-21", "MUST", "INBAND_NOTIFICATIONS is set only with BACKEND_REQ and REPLY_ACK" },
};

void watch_note(struct watch *watch, enum watch_clause clause, bool good, const char *format, ...) {
        va_list args;

        if (watch->results[clause].verdict == WATCH_FAILED)
                return;                 /* the first reason is the one */
        watch->results[clause].verdict = good ? WATCH_PASSED : WATCH_FAILED;
        va_start(args, format);
        if (!good)
                vsnprintf(watch->results[clause].why, sizeof watch->results[clause].why, format, args);
        va_end(args);
}

void watch_begin(struct watch *watch) {
        watch->n_sessions++;
        watch->offered = watch->offered_protocol = watch->features = watch->protocol_features = 0;
        watch->is_owned = watch->gave_inflight = false;
        watch->n_queues = watch->n_slots = 0;
        watch->n_regions = 0;
        memset(watch->queues, 0, sizeof watch->queues);
}

void watch_cut_off(struct watch *watch) {
        watch->was_cut_off = watch->has_inflight;
}

static bool has_protocol(const struct watch *watch, enum vhost_protocol_feature feature) {
        return watch->protocol_features & VHOST_BIT(feature);
}

/* Memory */

static bool overlaps(const struct vhost_region *a, const struct vhost_region *b) {
        return (a->guest_address < b->guest_address + b->size && b->guest_address < a->guest_address + a->size) ||
               (a->user_address < b->user_address + b->size && b->user_address < a->user_address + a->size);
}

static void add_region(struct watch *watch, const struct vhost_region *region) {
        bool is_free = true;

        for (size_t i = 0; i < watch->n_regions; i++)
                is_free = is_free && !overlaps(&watch->regions[i], region);
        watch_note(watch, F_15, is_free, "a region at %#llx overlaps another", (unsigned long long) region->guest_address);
        watch_note(watch, F_15, watch->n_slots == 0 || watch->n_regions < watch->n_slots, "region %zu, of %llu slots", watch->n_regions + 1,
                   (unsigned long long) watch->n_slots);
        if (watch->n_regions < VHOST_SLOTS_MAX)
                watch->regions[watch->n_regions++] = *region;
}

static bool is_in(const struct vhost_region *region, uint64_t user_address, uint64_t size) {
        return user_address >= region->user_address && user_address - region->user_address < region->size &&
               size <= region->size - (user_address - region->user_address);
}

static bool is_memory(const struct watch *watch, uint64_t user_address, uint64_t size) {
        for (size_t i = 0; i < watch->n_regions; i++)
                if (is_in(&watch->regions[i], user_address, size))
                        return true;
        return false;
}

/* How long the three parts of a ring are: VIRTIO 1.2 §2.7 and §2.8. */
static void part_sizes(const struct watch *watch, const struct watch_queue *queue, uint64_t ret_sizes[3]) {
        bool is_packed = watch->features & VHOST_BIT(VHOST_F_PACKED);

        ret_sizes[0] = 16 * (uint64_t) queue->size;
        ret_sizes[1] = is_packed ? 4 : 4 + 2 * (uint64_t) queue->size;
        ret_sizes[2] = is_packed ? 4 : 4 + 8 * (uint64_t) queue->size;
}

static bool uses(const struct watch *watch, const struct watch_queue *queue, const struct vhost_region *region) {
        uint64_t sizes[3];

        part_sizes(watch, queue, sizes);
        return queue->has_kick && (is_in(region, queue->address.descriptor, sizes[0]) || is_in(region, queue->address.available, sizes[1]) ||
                                   is_in(region, queue->address.used, sizes[2]));
}

static void add_slot(struct watch *watch, const struct vhost_message *message) {
        add_region(watch, &message->payload.slot.region);
}

static void remove_slot(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_region *region = &message->payload.slot.region;

        for (size_t i = 0; i < watch->n_regions; i++) {
                const struct vhost_region *at = &watch->regions[i];

                if (at->guest_address != region->guest_address || at->user_address != region->user_address || at->size != region->size)
                        continue;
                for (size_t k = 0; k < VHOST_QUEUES_MAX; k++)
                        watch_note(watch, F_16, !uses(watch, &watch->queues[k], region), "ring %zu runs in it", k);
                watch->regions[i] = watch->regions[--watch->n_regions];
                return;
        }
        watch_note(watch, F_16, false, "there is none at %#llx", (unsigned long long) region->guest_address);
}

static void set_table(struct watch *watch, const struct vhost_message *message) {
        uint32_t n = message->payload.memory.n_regions;

        watch_note(watch, F_2, n <= VHOST_REGIONS_MAX && message->n_fds == n, "SET_MEM_TABLE of %u regions with %zu descriptors", n, message->n_fds);
        watch->n_regions = 0;
        for (uint32_t i = 0; i < n && i < VHOST_REGIONS_MAX; i++)
                add_region(watch, &message->payload.memory.regions[i]);
}

/* Rings */

/* The ring that a request names, or NULL if there is none of that number. */
static struct watch_queue *find_queue(struct watch *watch, uint64_t index) {
        bool is_there = index < VHOST_QUEUES_MAX && (watch->n_queues == 0 || index < watch->n_queues);

        watch_note(watch, F_8, is_there, "ring %llu of %llu", (unsigned long long) index, (unsigned long long) watch->n_queues);
        return is_there ? &watch->queues[index] : NULL;
}

static void set_size(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_vring_state *state = &message->payload.state;
        struct watch_queue *queue = find_queue(watch, state->index);

        watch_note(watch, F_9, state->num > 0 && state->num <= 32768 && (state->num & (state->num - 1)) == 0, "a size of %u", state->num);
        if (!queue)
                return;
        watch_note(watch, F_12, !queue->has_kick, "ring %u gets a size while it runs", state->index);
        queue->size = state->num;
        queue->has_size = true;
}

static void set_base(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_vring_state *state = &message->payload.state;
        struct watch_queue *queue = find_queue(watch, state->index);

        if (!queue)
                return;
        watch_note(watch, F_12, !queue->has_kick, "ring %u gets a base while it runs", state->index);
        queue->has_base = true;
}

static void set_address(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_vring_address *address = &message->payload.address;
        struct watch_queue *queue = find_queue(watch, address->index);

        if (!queue)
                return;
        queue->address = *address;
        queue->has_address = true;
}

/* SET_VRING_KICK, _CALL or _ERR. Returns the ring, or NULL. */
static struct watch_queue *take_event(struct watch *watch, const struct vhost_message *message) {
        uint64_t word = message->payload.u64;

        watch_note(watch, F_14, !(word & ~(uint64_t) VHOST_VRING_BITS), "reserved bits of %#llx", (unsigned long long) word);
        watch_note(watch, F_14, (message->n_fds == 0) == !!(word & VHOST_VRING_NO_FD), "%#llx with %zu descriptors", (unsigned long long) word,
                   message->n_fds);
        return find_queue(watch, word & VHOST_VRING_INDEX_MASK);
}

static void set_event(struct watch *watch, const struct vhost_message *message) {
        take_event(watch, message);
}

static void set_kick(struct watch *watch, const struct vhost_message *message) {
        unsigned index = (unsigned) (message->payload.u64 & VHOST_VRING_INDEX_MASK);
        struct watch_queue *queue = take_event(watch, message);
        uint64_t sizes[3];

        if (!queue)
                return;
        watch_note(watch, F_10, queue->has_size && queue->has_base && queue->has_address, "ring %u has no%s%s%s", index,
                   queue->has_size ? "" : " size", queue->has_base ? "" : " base", queue->has_address ? "" : " addresses");
        queue->has_kick = true;
        if (!queue->has_size || !queue->has_address)
                return;
        part_sizes(watch, queue, sizes);
        watch_note(watch, F_11, is_memory(watch, queue->address.descriptor, sizes[0]) && is_memory(watch, queue->address.available, sizes[1]) &&
                                        is_memory(watch, queue->address.used, sizes[2]),
                   "ring %u is not in memory that was lent", index);
}

static void enable(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_vring_state *state = &message->payload.state;
        find_queue(watch, state->index);
        watch_note(watch, F_13, watch->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES), "bit 30 was not set");
        watch_note(watch, F_13, state->num <= 1, "ring %u is given %u", state->index, state->num);
}

static void stop(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_vring_state *state = &message->payload.state;
        struct watch_queue *queue = find_queue(watch, state->index);

        if (queue)
                *queue = (struct watch_queue) { .address = queue->address, .has_address = queue->has_address };
}

/* Features, the configuration space, what is in flight */

static void set_features(struct watch *watch, const struct vhost_message *message) {
        uint64_t features = message->payload.u64;

        watch_note(watch, F_4, !(features & ~watch->offered), "%#llx were not offered", (unsigned long long) (features & ~watch->offered));
        watch->features = features;
}

static void set_protocol_features(struct watch *watch, const struct vhost_message *message) {
        const uint64_t features = message->payload.u64,
                       needed = VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK);

        if (features & VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS))
                watch_note(watch, F_21, (features & needed) == needed, "it is set with %#llx", (unsigned long long) features);
        watch_note(watch, F_5, watch->offered & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES), "bit 30 was not offered");
        watch_note(watch, F_5, !(features & ~watch->offered_protocol), "%#llx were not offered",
                   (unsigned long long) (features & ~watch->offered_protocol));
        watch->protocol_features = features;
}

static void config(struct watch *watch, const struct vhost_message *message) {
        uint32_t offset = message->payload.config.offset, size = message->payload.config.size;

        watch_note(watch, F_17, size > 0 && offset <= VHOST_CONFIG_MAX && size <= VHOST_CONFIG_MAX - offset, "%u bytes from %u on", size, offset);
        watch_note(watch, F_17, message->size == VHOST_CONFIG_HEADER + size, "%u bytes, in a payload of %u", size, message->size);
}

static void set_inflight(struct watch *watch, const struct vhost_message *message) {
        struct stat st = {};

        if (message->n_fds == 1)
                fstat(message->fds[0], &st);
        for (size_t i = 0; i < VHOST_QUEUES_MAX; i++)
                watch_note(watch, F_18, !watch->queues[i].has_kick, "ring %zu has begun", i);
        if (watch->gave_inflight)
                watch_note(watch, F_18, message->payload.inflight.mmap_size == watch->inflight_size &&
                                                message->payload.inflight.mmap_offset == watch->inflight_offset && st.st_ino == watch->inflight_inode &&
                                                st.st_dev == watch->inflight_device,
                           "it is another than was given");
        else if (watch->was_cut_off)
                watch_note(watch, F_19, st.st_ino == watch->inflight_inode && st.st_dev == watch->inflight_device, "it is another one");
        watch->gave_inflight = watch->was_cut_off = false;
}

static void forget_rings(struct watch *watch) {
        memset(watch->queues, 0, sizeof watch->queues);
}

/* A second one begins another session on the connection (L-2). */
static void own(struct watch *watch, const struct vhost_message *message) {
        if (watch->is_owned) {
                forget_rings(watch);
                watch->n_regions = 0;
        }
        watch->is_owned = true;
}

static void reset(struct watch *watch, const struct vhost_message *message) {
        if (message->request != VHOST_USER_SET_STATUS || message->payload.u64 == 0)
                forget_rings(watch);
}

/* What has to come after SET_OWNER. */
static bool is_of_session(uint32_t request) {
        switch (request) {
        case VHOST_USER_SET_MEM_TABLE:
        case VHOST_USER_ADD_MEM_REG:
        case VHOST_USER_SET_VRING_NUM:
        case VHOST_USER_SET_VRING_ADDR:
        case VHOST_USER_SET_VRING_BASE:
        case VHOST_USER_SET_VRING_KICK:
        case VHOST_USER_SET_VRING_ENABLE:
                return true;
        default:
                return false;
        }
}

/* What holds of all requests. Returns whether its payload can be looked at. */
static bool check_form(struct watch *watch, const struct vhost_message *message) {
        const struct vhost_request_kind *kind = vhost_request_kind(message->request);
        struct vhost_message plain = *message;

        watch_note(watch, F_1, (message->flags & (VHOST_FLAG_VERSION_MASK | VHOST_FLAG_REPLY)) == VHOST_FLAG_VERSION, "flags of %#x", message->flags);
        if (message->flags & VHOST_FLAG_NEED_REPLY)
                watch_note(watch, F_6, has_protocol(watch, VHOST_PROTOCOL_F_REPLY_ACK), "request %u", message->request);
        if (!kind)
                return false;           /* of a feature that this program does not know */
        plain.flags = VHOST_FLAG_VERSION;
        watch_note(watch, F_2, vhost_message_check(&plain, 0) == 0, "%s of %u bytes with %zu descriptors", kind->name, message->size, message->n_fds);
        if (kind->is_gated)
                watch_note(watch, F_3, has_protocol(watch, kind->feature), "%s", kind->name);
        if (is_of_session(message->request))
                watch_note(watch, F_7, watch->is_owned, "%s comes before it", kind->name);
        return vhost_message_check(&plain, 0) == 0;
}

static void (*const handlers[_VHOST_USER_N])(struct watch *watch, const struct vhost_message *message) = {
        [VHOST_USER_SET_FEATURES] = set_features,
        [VHOST_USER_SET_PROTOCOL_FEATURES] = set_protocol_features,
        [VHOST_USER_SET_OWNER] = own,
        [VHOST_USER_RESET_OWNER] = reset,
        [VHOST_USER_RESET_DEVICE] = reset,
        [VHOST_USER_SET_STATUS] = reset,
        [VHOST_USER_SET_MEM_TABLE] = set_table,
        [VHOST_USER_ADD_MEM_REG] = add_slot,
        [VHOST_USER_REM_MEM_REG] = remove_slot,
        [VHOST_USER_SET_VRING_NUM] = set_size,
        [VHOST_USER_SET_VRING_BASE] = set_base,
        [VHOST_USER_SET_VRING_ADDR] = set_address,
        [VHOST_USER_SET_VRING_KICK] = set_kick,
        [VHOST_USER_SET_VRING_CALL] = set_event,
        [VHOST_USER_SET_VRING_ERR] = set_event,
        [VHOST_USER_SET_VRING_ENABLE] = enable,
        [VHOST_USER_GET_VRING_BASE] = stop,
        [VHOST_USER_GET_CONFIG] = config,
        [VHOST_USER_SET_CONFIG] = config,
        [VHOST_USER_SET_INFLIGHT_FD] = set_inflight,
};

void watch_request(struct watch *watch, const struct vhost_message *message) {
        if (check_form(watch, message) && handlers[message->request])
                handlers[message->request](watch, message);
}

void watch_reply(struct watch *watch, const struct vhost_message *reply) {
        struct stat st;

        switch (reply->request) {
        case VHOST_USER_GET_FEATURES:
                watch->offered = reply->payload.u64;
                break;
        case VHOST_USER_GET_PROTOCOL_FEATURES:
                watch->offered_protocol = reply->payload.u64;
                break;
        case VHOST_USER_GET_QUEUE_NUM:
                watch->n_queues = reply->payload.u64;
                break;
        case VHOST_USER_GET_MAX_MEM_SLOTS:
                watch->n_slots = reply->payload.u64;
                break;
        case VHOST_USER_GET_INFLIGHT_FD:
                if (reply->n_fds != 1 || fstat(reply->fds[0], &st) < 0)
                        break;
                watch->has_inflight = watch->gave_inflight = true;
                watch->inflight_size = reply->payload.inflight.mmap_size;
                watch->inflight_offset = reply->payload.inflight.mmap_offset;
                watch->inflight_device = st.st_dev;
                watch->inflight_inode = st.st_ino;
                break;
        }
}
