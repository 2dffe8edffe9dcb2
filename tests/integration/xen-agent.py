# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls libxengnttab and libxenevtchn for a test, inside a domain: a line of JSON in, [function, arguments...], a line of JSON out.

An answer is {"value": ...} or {"errno": "EINVAL"}. Addresses and handles stay here; the test knows them by number.
"""

import ctypes
import errno
import json
import os
import select
import sys

gnttab = ctypes.CDLL("libxengnttab.so.1", use_errno=True)
evtchn = ctypes.CDLL("libxenevtchn.so.1", use_errno=True)
libc = ctypes.CDLL(None, use_errno=True)

for function in (
    gnttab.xengnttab_open,
    gnttab.xengnttab_map_grant_refs,
    gnttab.xengnttab_map_grant_ref_notify,
    gnttab.xengntshr_open,
    gnttab.xengntshr_share_pages,
    gnttab.xengntshr_share_page_notify,
    evtchn.xenevtchn_open,
):
    function.restype = ctypes.c_void_p

PAGE = 4096
PROT_READ, PROT_WRITE = 1, 2
NONE = 2**32 - 1  # no byte to clear, no event to send

handles = {}  # number: (close function, pointer)
regions = {}  # number: (handle, address, pages)


class Refused(Exception):
    pass


def check(value):
    """The value of a library call, or its errno if it failed."""
    if value is None or value == -1:
        raise Refused(errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno())))
    return value


def remember(table, value):
    table[len(table) + 1] = value
    return len(table)


def pointer(handle):
    return ctypes.c_void_p(handles[handle][1])


def open_handle(kind):
    library, name = (evtchn, "xenevtchn") if kind == "evtchn" else (gnttab, f"xen{kind}")
    opened = check(getattr(library, f"{name}_open")(None, 0))
    return remember(handles, (getattr(library, f"{name}_close"), opened))


def close(handle):
    function, opened = handles[handle]
    return check(function(ctypes.c_void_p(opened)))


def share(handle, domid, pages, writable=True):
    """Returns [region, refs]."""
    refs = (ctypes.c_uint32 * pages)()
    address = check(gnttab.xengntshr_share_pages(pointer(handle), domid, pages, refs, int(writable)))
    return [remember(regions, (handle, address, pages)), list(refs)]


def share_notify(handle, domid, offset, port):
    ref = ctypes.c_uint32()
    address = check(gnttab.xengntshr_share_page_notify(pointer(handle), domid, ctypes.byref(ref), 1, offset, port))
    return [remember(regions, (handle, address, 1)), ref.value]


def unshare(region):
    handle, address, pages = regions[region]
    return check(gnttab.xengntshr_unshare(pointer(handle), ctypes.c_void_p(address), pages))


def map_refs(handle, domids, refs, writable=True):
    count = len(refs)
    array = ctypes.c_uint32 * count
    protection = PROT_READ | (PROT_WRITE if writable else 0)
    address = check(gnttab.xengnttab_map_grant_refs(pointer(handle), count, array(*domids), array(*refs), protection))
    return remember(regions, (handle, address, count))


def map_notify(handle, domid, ref, offset, port):
    address = gnttab.xengnttab_map_grant_ref_notify(pointer(handle), domid, ref, PROT_READ | PROT_WRITE, offset, port)
    return remember(regions, (handle, check(address), 1))


def unmap(region, pages=None):
    handle, address, count = regions[region]
    return check(gnttab.xengnttab_unmap(pointer(handle), ctypes.c_void_p(address), count if pages is None else pages))


def peek(region, offset, size=1):
    return ctypes.string_at(regions[region][1] + offset, size).decode("latin-1")


def poke(region, offset, text):
    data = text.encode("latin-1")
    ctypes.memmove(regions[region][1] + offset, data, len(data))


def make_writable(region):
    """What a grantee would try with a page it may only read."""
    _, address, pages = regions[region]
    return check(libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(pages * PAGE), PROT_READ | PROT_WRITE))


def dies_of_writing(region):
    """The number of the signal that a process gets which writes there anyway, 0 if none."""
    pid = os.fork()
    if pid == 0:
        poke(region, 0, "x")
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def alloc_unbound(handle, domid):
    return check(evtchn.xenevtchn_bind_unbound_port(pointer(handle), domid))


def bind_interdomain(handle, domid, port):
    return check(evtchn.xenevtchn_bind_interdomain(pointer(handle), domid, port))


def bind_virq(handle, virq):
    return check(evtchn.xenevtchn_bind_virq(pointer(handle), virq))


def unbind(handle, port):
    return check(evtchn.xenevtchn_unbind(pointer(handle), port))


def notify(handle, port):
    return check(evtchn.xenevtchn_notify(pointer(handle), port))


def unmask(handle, port):
    return check(evtchn.xenevtchn_unmask(pointer(handle), port))


def pending(handle, seconds):
    """The port of an event that comes within that time, 0 if none does."""
    if not select.select([evtchn.xenevtchn_fd(pointer(handle))], [], [], seconds)[0]:
        return 0
    return check(evtchn.xenevtchn_pending(pointer(handle)))


def pid():
    return os.getpid()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


FUNCTIONS = {
    f.__name__: f
    for f in (
        open_handle,
        close,
        share,
        share_notify,
        unshare,
        map_refs,
        map_notify,
        unmap,
        peek,
        poke,
        make_writable,
        dies_of_writing,
        alloc_unbound,
        bind_interdomain,
        bind_virq,
        unbind,
        notify,
        unmask,
        pending,
        pid,
        descriptors,
    )
}

for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = {"value": FUNCTIONS[name](*arguments)}
    except Refused as refused:
        answer = {"errno": str(refused)}
    print(json.dumps(answer), flush=True)
