/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest of one program, for tests of the VM manager on real Xen: it boots in no time as a PVH guest of a few pages, and does what tiny.S does
 * on QEMU. It says "tiny", echoes what is typed on its console, and a letter has it do something:
 *
 *         o  power off     r  reboot     p  crash     i  not to do what the toolstack asks for any more
 *         l  when it is to suspend, to take notice and say n, and no more     d  to stay deaf to such a wish     s  to suspend
 *
 * It powers off, reboots and is saved when the toolstack asks for it in xenstore. No interrupt ever comes: it polls for events.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u
#define DOMID_SELF 0x7ff0u

/* xen.h, sched.h, event_channel.h, memory.h, hvm/hvm_op.h, hvm/params.h */
enum { HYPERCALL_MEMORY = 12, HYPERCALL_SCHED = 29, HYPERCALL_EVTCHN = 32, HYPERCALL_HVM = 34 };
enum { SCHED_SHUTDOWN = 2, SCHED_POLL = 3, EVTCHN_SEND = 4, MEMORY_ADD_TO_PHYSMAP = 7, HVM_SET_PARAM = 0, HVM_GET_PARAM = 1 };
enum { PARAM_CALLBACK_IRQ = 0, PARAM_STORE_PFN = 1, PARAM_STORE_EVTCHN = 2, PARAM_CONSOLE_PFN = 17, PARAM_CONSOLE_EVTCHN = 18 };
enum { SHUTDOWN_POWEROFF = 0, SHUTDOWN_REBOOT = 1, SHUTDOWN_SUSPEND = 2, SHUTDOWN_CRASH = 3 };

/* io/console.h */
struct console_ring {
        char in[1024];
        char out[2048];
        uint32_t in_consumed, in_produced, out_consumed, out_produced;
};

/* io/xs_wire.h */
enum { STORE_READ = 2, STORE_WATCH = 4, STORE_WRITE = 11, STORE_WATCH_EVENT = 15 };

struct store_ring {
        char request[1024];
        char response[1024];
        uint32_t request_consumed, request_produced, response_consumed, response_produced;
};

struct store_header {
        uint32_t type, request, transaction, size;
};

static char hypercall_page[PAGE_SIZE] __attribute__((aligned(4096)));
static volatile uint32_t shared_info[PAGE_SIZE / 4] __attribute__((aligned(4096)));
static volatile struct console_ring *console;
static volatile struct store_ring *store;
static uint32_t console_port, store_port;
static bool is_stubborn, is_late, is_deaf, has_to_look;

#define PENDING (2048 / 4)              /* of the shared page of a 32-bit guest, in words */

__asm__(".pushsection .note.Xen, \"a\", @note\n"
        ".long 4, 4, 18\n"              /* XEN_ELFNOTE_PHYS32_ENTRY */
        ".asciz \"Xen\"\n"
        ".long _start\n"
        ".popsection\n"
        ".pushsection .bss\n"
        ".balign 16\n"
        ".skip 16384\n"
        "stack_end:\n"
        ".popsection\n"
        ".globl _start\n"
        "_start:\n"
        "cli\n"
        "mov $stack_end, %esp\n"
        "call tiny\n");

/* Xen */

static void cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d) {
        __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(0));
}

static long hypercall(unsigned number, uint32_t first, void *second) {
        char *entry = hypercall_page + number * 32;
        uint32_t result, b = first, c = (uint32_t) second;

        __asm__ volatile("call *%[entry]" : "=a"(result), "+b"(b), "+c"(c) : [entry] "r"(entry) : "memory", "edx", "cc");
        return (long) result;
}

/* The page by which Xen is called: its leaves begin at one of some places, the third says how to have it. */
static void open_hypercalls(void) {
        uint32_t base = 0x40000000, a, b, c, d;

        for (;; base += 0x100) {
                cpuid(base, &a, &b, &c, &d);
                if (b == 0x566e6558 && c == 0x65584d4d && d == 0x4d4d566e)      /* XenVMMXenVMM */
                        break;
        }
        cpuid(base + 2, &a, &b, &c, &d);
        __asm__ volatile("wrmsr" : : "c"(b), "a"((uint32_t) hypercall_page), "d"(0) : "memory");
}

static uint32_t get_param(uint32_t index) {
        struct { uint16_t domid, pad; uint32_t index; uint64_t value; } argument = { DOMID_SELF, 0, index, 0 };

        hypercall(HYPERCALL_HVM, HVM_GET_PARAM, &argument);
        return (uint32_t) argument.value;
}

static void set_param(uint32_t index, uint64_t value) {
        struct { uint16_t domid, pad; uint32_t index; uint64_t value; } argument = { DOMID_SELF, 0, index, value };

        hypercall(HYPERCALL_HVM, HVM_SET_PARAM, &argument);
}

static void notify(uint32_t port) {
        hypercall(HYPERCALL_EVTCHN, EVTCHN_SEND, &port);
}

static void end(uint32_t reason) {
        hypercall(HYPERCALL_SCHED, SCHED_SHUTDOWN, &reason);
}

/* Until something of console or xenstore happens. */
static void wait(void) {
        uint32_t ports[] = { console_port, store_port };
        struct { uint32_t *ports; uint32_t n; uint64_t timeout; } argument = { ports, 2, 0 };

        hypercall(HYPERCALL_SCHED, SCHED_POLL, &argument);
        for (unsigned i = 0; i < 2; i++)
                __sync_fetch_and_and(shared_info + PENDING + ports[i] / 32, ~(1u << ports[i] % 32));
}

/* The console */

static void say(char c) {
        while (console->out_produced - console->out_consumed >= sizeof console->out)
                wait();
        console->out[console->out_produced % sizeof console->out] = c;
        __sync_synchronize();
        console->out_produced++;
        notify(console_port);
}

static void begin(void);

/* And to be elsewhere afterwards, or here after all. */
static void suspend(void) {
        end(SHUTDOWN_SUSPEND);
        begin();
}

static void on_key(char key) {
        say(key);
        if (key == 'o')
                end(SHUTDOWN_POWEROFF);
        else if (key == 'r')
                end(SHUTDOWN_REBOOT);
        else if (key == 'p')
                end(SHUTDOWN_CRASH);
        else if (key == 'i')
                is_stubborn = true;
        else if (key == 'l' || key == 'd') {
                is_late = key == 'l';
                is_deaf = key == 'd';
        } else if (key == 's')
                suspend();
}

static bool hear(void) {
        char key;

        if (console->in_consumed == console->in_produced)
                return false;
        __sync_synchronize();
        key = console->in[console->in_consumed % sizeof console->in];
        console->in_consumed++;
        notify(console_port);
        on_key(key);
        return true;
}

/* Xenstore */

static void put(const void *data, uint32_t size) {
        const char *p = data;

        for (; size > 0; size--) {
                while (store->request_produced - store->request_consumed >= sizeof store->request)
                        wait();
                store->request[store->request_produced % sizeof store->request] = *p++;
                __sync_synchronize();
                store->request_produced++;
        }
}

static void get(void *data, uint32_t size) {
        char *p = data;

        for (; size > 0; size--) {
                while (store->response_consumed == store->response_produced) {
                        notify(store_port);
                        wait();
                }
                __sync_synchronize();
                *p++ = store->response[store->response_consumed % sizeof store->response];
                store->response_consumed++;
        }
        notify(store_port);
}

/* A message, of which so much is of interest; returns its type. */
static uint32_t get_message(char *text, uint32_t max) {
        struct store_header header;
        char rest;

        get(&header, sizeof header);
        for (uint32_t i = 0; i < header.size; i++)
                get(i < max ? text + i : &rest, 1);
        for (uint32_t i = header.size; i < max; i++)
                text[i] = '\0';
        has_to_look |= header.type == STORE_WATCH_EVENT;
        return header.type;
}

static void ask(uint32_t type, const char *text, uint32_t size, char *answer, uint32_t max) {
        struct store_header header = { type, 0, 0, size };
        uint32_t got;

        put(&header, sizeof header);
        put(text, size);
        notify(store_port);
        do
                got = get_message(answer, max);
        while (got == STORE_WATCH_EVENT);
}

/* What the toolstack wants: the first letter tells, the second of suspend is not that of a reset. */
static void look(void) {
        static const char path[] = "control/shutdown";
        char wish[8], done[4];

        has_to_look = false;
        ask(STORE_READ, path, sizeof path, wish, sizeof wish);
        if (is_stubborn || (is_deaf && wish[0] == 's') || (wish[0] != 'p' && wish[0] != 'h' && wish[0] != 'r' && wish[0] != 's'))
                return;
        ask(STORE_WRITE, path, sizeof path, done, sizeof done);
        if (wish[0] == 's' && !is_late)
                suspend();
        else if (wish[0] == 's')
                say('n');
        else
                end(wish[0] == 'r' ? SHUTDOWN_REBOOT : SHUTDOWN_POWEROFF);
}

/* All of it */

static void begin(void) {
        static const char watch[] = "control/shutdown\0w";
        struct { uint16_t domid, size; uint32_t space, index, frame; } map = { DOMID_SELF, 0, 0, 0, (uint32_t) shared_info / PAGE_SIZE };
        char done[4];

        hypercall(HYPERCALL_MEMORY, MEMORY_ADD_TO_PHYSMAP, &map);
        set_param(PARAM_CALLBACK_IRQ, UINT64_C(2) << 56 | 0xf3);        /* a vector: it says that this is a guest with drivers */
        console = (void *) (get_param(PARAM_CONSOLE_PFN) * PAGE_SIZE);
        console_port = get_param(PARAM_CONSOLE_EVTCHN);
        store = (void *) (get_param(PARAM_STORE_PFN) * PAGE_SIZE);
        store_port = get_param(PARAM_STORE_EVTCHN);
        ask(STORE_WATCH, watch, sizeof watch, done, sizeof done);
}

__attribute__((noreturn, used)) void tiny(void);

void tiny(void) {
        char text[8];

        open_hypercalls();
        begin();
        for (const char *p = "tiny\r\n"; *p; p++)
                say(*p);
        for (;;) {
                if (has_to_look)
                        look();
                else if (store->response_consumed != store->response_produced)
                        (void) get_message(text, sizeof text);
                else if (!hear())
                        wait();
        }
}
