/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The vhost-user protocol as numbers and layouts; docs/interop/vhost-user.rst of QEMU is where they come from, and names its sections.
 *
 * Everything is in the machine's own byte order, as both ends are on one machine.
 */

#include <stddef.h>
#include <stdint.h>

#define VHOST_HEADER_SIZE 12u           /* request, flags, size: "Header" */
#define VHOST_FDS_MAX 8u                /* descriptors with one message: as many as a memory table has regions */
#define VHOST_REGIONS_MAX 8u            /* of one SET_MEM_TABLE: "Memory regions description" */
#define VHOST_CONFIG_MAX 256u           /* bytes of a configuration space: "Virtio device config space" */
#define VHOST_QUEUES_MAX 256u           /* a ring's index has 8 bits in SET_VRING_KICK and its kin */

enum {                                  /* the header's flags */
        VHOST_FLAG_VERSION_MASK = 3,
        VHOST_FLAG_VERSION = 1,
        VHOST_FLAG_REPLY = 1 << 2,
        VHOST_FLAG_NEED_REPLY = 1 << 3,
};

/* "Front-end message types" */
enum vhost_request {
        VHOST_USER_GET_FEATURES = 1,
        VHOST_USER_SET_FEATURES = 2,
        VHOST_USER_SET_OWNER = 3,
        VHOST_USER_RESET_OWNER = 4,
        VHOST_USER_SET_MEM_TABLE = 5,
        VHOST_USER_SET_LOG_BASE = 6,
        VHOST_USER_SET_LOG_FD = 7,
        VHOST_USER_SET_VRING_NUM = 8,
        VHOST_USER_SET_VRING_ADDR = 9,
        VHOST_USER_SET_VRING_BASE = 10,
        VHOST_USER_GET_VRING_BASE = 11,
        VHOST_USER_SET_VRING_KICK = 12,
        VHOST_USER_SET_VRING_CALL = 13,
        VHOST_USER_SET_VRING_ERR = 14,
        VHOST_USER_GET_PROTOCOL_FEATURES = 15,
        VHOST_USER_SET_PROTOCOL_FEATURES = 16,
        VHOST_USER_GET_QUEUE_NUM = 17,
        VHOST_USER_SET_VRING_ENABLE = 18,
        VHOST_USER_SET_BACKEND_REQ_FD = 21,
        VHOST_USER_GET_CONFIG = 24,
        VHOST_USER_SET_CONFIG = 25,
        VHOST_USER_GET_INFLIGHT_FD = 31,
        VHOST_USER_SET_INFLIGHT_FD = 32,
        VHOST_USER_RESET_DEVICE = 34,
        VHOST_USER_VRING_KICK = 35,
        VHOST_USER_GET_MAX_MEM_SLOTS = 36,
        VHOST_USER_ADD_MEM_REG = 37,
        VHOST_USER_REM_MEM_REG = 38,
        VHOST_USER_SET_STATUS = 39,
        VHOST_USER_GET_STATUS = 40,
        VHOST_USER_SET_DEVICE_STATE_FD = 42,
        VHOST_USER_CHECK_DEVICE_STATE = 43,
        _VHOST_USER_N,
};

/* "Back-end message types" */
enum vhost_backend_request {
        VHOST_BACKEND_CONFIG_CHANGE = 2,
        VHOST_BACKEND_VRING_CALL = 4,
        VHOST_BACKEND_VRING_ERR = 5,
};

/* "Protocol features": bits */
enum vhost_protocol_feature {
        VHOST_PROTOCOL_F_MQ = 0,
        VHOST_PROTOCOL_F_LOG_SHMFD = 1,
        VHOST_PROTOCOL_F_REPLY_ACK = 3,
        VHOST_PROTOCOL_F_BACKEND_REQ = 5,
        VHOST_PROTOCOL_F_CONFIG = 9,
        VHOST_PROTOCOL_F_INFLIGHT_SHMFD = 12,
        VHOST_PROTOCOL_F_RESET_DEVICE = 13,
        VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
        VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
        VHOST_PROTOCOL_F_STATUS = 16,
        VHOST_PROTOCOL_F_XEN_MMAP = 17,
        VHOST_PROTOCOL_F_DEVICE_STATE = 19,
};

/* Feature bits of the transport, beside those of the device: "Communication", "Migration", and VIRTIO 1.2 §6 */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#define VHOST_F_INDIRECT 28             /* VIRTIO_F_INDIRECT_DESC */
#define VHOST_F_EVENT_IDX 29            /* VIRTIO_F_EVENT_IDX */
#define VHOST_F_VERSION_1 32            /* VIRTIO_F_VERSION_1 */
#define VHOST_F_PACKED 34               /* VIRTIO_F_RING_PACKED */

#define VHOST_BIT(n) (UINT64_C(1) << (n))

/* In SET_VRING_KICK, _CALL and _ERR: which ring, and that no descriptor comes with it. */
#define VHOST_VRING_INDEX_MASK 0xffu
#define VHOST_VRING_NO_FD 0x100u
#define VHOST_VRING_BITS 0x1ffu         /* all others are reserved */

#define VHOST_VRING_F_LOG 1u            /* in SET_VRING_ADDR: what is written to the used ring is logged too */

#define VHOST_CONFIG_F_MIGRATION 1u     /* in SET_CONFIG: everything may be set, as it comes from the source of a migration */

/* "A vring state description" */
struct vhost_vring_state {
        uint32_t index;
        uint32_t num;
};

/* "A vring address description" */
struct vhost_vring_address {
        uint32_t index;
        uint32_t flags;
        uint64_t descriptor;            /* front-end's virtual addresses */
        uint64_t used;
        uint64_t available;
        uint64_t log;                   /* guest's physical address of the used ring, for the log */
};

/* "Memory region description" */
struct vhost_region {
        uint64_t guest_address;
        uint64_t size;
        uint64_t user_address;
        uint64_t mmap_offset;
};

/* The same with XEN_MMAP, which adds to each region how it is mapped, and whose it is */
struct vhost_xen_region {
        struct vhost_region at;
        uint32_t flags;                 /* none: the descriptor's, as ever */
        uint32_t domid;
};

#define VHOST_XEN_FOREIGN 1u            /* "Bit 0": guest frames */
#define VHOST_XEN_GRANT 2u              /* "Bit 1": grant references, in the guest addresses */
/* "Bit 8": only what is used is mapped, and while it is. rust-vmm, whose front-end was the first, has bit 3; the text and it may both be meant. */
#define VHOST_XEN_ON_USE (UINT32_C(1) << 8)
#define VHOST_XEN_ON_USE_OLD (UINT32_C(1) << 3)

/* Where Linux (drivers/xen/grant-dma-ops.c) has granted pages, of whose addresses the page numbers are their references. */
#define VHOST_XEN_GRANT_ADDRESS (UINT64_C(1) << 63)

union vhost_payload {
        uint64_t u64;
        struct vhost_vring_state state;
        struct vhost_vring_address address;
        struct {
                uint32_t n_regions;
                uint32_t padding;
                struct vhost_region regions[VHOST_REGIONS_MAX];
        } memory;
        struct {                        /* "Single memory region description" */
                uint64_t padding;
                struct vhost_region region;
        } slot;
        struct {                        /* these two with XEN_MMAP */
                uint32_t n_regions;
                uint32_t padding;
                struct vhost_xen_region regions[VHOST_REGIONS_MAX];
        } xen_memory;
        struct {
                uint64_t padding;
                struct vhost_xen_region region;
        } xen_slot;
        struct {                        /* "Log description" */
                uint64_t size;
                uint64_t offset;
        } log;
        struct {
                uint32_t offset;
                uint32_t size;
                uint32_t flags;
                uint8_t bytes[VHOST_CONFIG_MAX];
        } config;
        struct {                        /* "Device state transfer parameters" */
                uint32_t direction;     /* 0: from the back-end, to be saved; 1: to it, to be loaded */
                uint32_t phase;         /* 0: stopped, and there is no other */
        } state_transfer;
        struct {                        /* "Inflight description": 20 bytes, or 24 with what QEMU's compiler puts behind them */
                uint64_t mmap_size;
                uint64_t mmap_offset;
                uint16_t n_queues;
                uint16_t queue_size;
        } inflight;
        uint8_t bytes[12 + VHOST_CONFIG_MAX];
};

#define VHOST_PAYLOAD_MAX ((uint32_t) sizeof(union vhost_payload))
#define VHOST_CONFIG_HEADER 12u         /* of a configuration space's payload, before the bytes */
#define VHOST_INFLIGHT_SIZE 20u
#define VHOST_STATE_NO_FD 0x100u        /* in the reply to SET_DEVICE_STATE_FD: the front-end's descriptor is the one */

_Static_assert(sizeof(struct vhost_vring_state) == 8 && sizeof(struct vhost_region) == 32 && sizeof(struct vhost_xen_region) == 40, "as in the protocol");
_Static_assert(sizeof(struct vhost_vring_address) == 40 && offsetof(struct vhost_vring_address, descriptor) == 8 &&
                       offsetof(struct vhost_vring_address, used) == 16 && offsetof(struct vhost_vring_address, available) == 24 &&
                       offsetof(struct vhost_vring_address, log) == 32,
               "as in the protocol");
_Static_assert(offsetof(union vhost_payload, memory.regions) == 8 && offsetof(union vhost_payload, slot.region) == 8 &&
                       offsetof(union vhost_payload, xen_memory.regions) == 8 && offsetof(union vhost_payload, xen_slot.region) == 8,
               "as in the protocol");
_Static_assert(offsetof(union vhost_payload, log.offset) == 8 && offsetof(union vhost_payload, config.bytes) == VHOST_CONFIG_HEADER &&
                       offsetof(union vhost_payload, state_transfer.phase) == 4 && offsetof(union vhost_payload, inflight.n_queues) == 16 &&
                       offsetof(union vhost_payload, inflight.queue_size) == VHOST_INFLIGHT_SIZE - 2,
               "as in the protocol");
