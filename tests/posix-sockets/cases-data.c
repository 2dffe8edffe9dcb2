/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be done with the bytes: urgent ones, very many, all flags, vectors, from a file. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"

#define HUGE_SIZE (64u << 20)
#define FILE_SIZE (3u << 20)

void case_urgent(struct case_context *context) {
        int fd = peer_connect(context, 'e'), one = 1;

        tell(context, "send(MSG_OOB)", send(fd, "!", 1, MSG_OOB));
        tell(context, "recv(MSG_OOB)", recv(fd, &one, 1, MSG_OOB | MSG_DONTWAIT));
        tell(context, "setsockopt(SO_OOBINLINE)", setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)));
        close(fd);
}

void case_huge_write(struct case_context *context) {
        int fd = peer_connect(context, 'h');
        char *data = calloc(1, HUGE_SIZE), text[32] = "";

        if (!data)
                return (void) tell(context, "calloc()", -1);
        tell(context, "write() of 64 MiB", write(fd, data, HUGE_SIZE));
        shutdown(fd, SHUT_WR);
        read_all(fd, text, sizeof(text) - 1);
        tell_text(context, "the peer's count", "%s", text);
        close(fd);
        free(data);
}

void case_full_buffer(struct case_context *context) {
        int fd = peer_connect(context, 's');
        char data[65536] = {};
        bool some = false;
        int error;

        fcntl(fd, F_SETFL, O_NONBLOCK);
        do {            /* buffers may grow a few times */
                while (write(fd, data, sizeof(data)) > 0)
                        some = true;
                error = errno;
        } while (wait_events(fd, POLLOUT, 100));
        tell_text(context, "write() until nothing more goes", "%s, %s", some ? "some" : "none", strerrorname_np(error));
        tell(context, "close()", close(fd));
}

void case_flags(struct case_context *context) {
        int fd = peer_connect(context, 'e'), waiting = -1;
        char text[16] = "";

        tell(context, "recv(MSG_DONTWAIT) of nothing", recv(fd, text, 1, MSG_DONTWAIT));
        tell(context, "send(MSG_NOSIGNAL)", send(fd, "hello world", 11, MSG_NOSIGNAL));
        tell(context, "recv(MSG_WAITALL)", recv(fd, text, 6, MSG_WAITALL));
        wait_events(fd, POLLIN, CASE_WAIT_MS);
        tell(context, "recv(MSG_PEEK)", recv(fd, text, 2, MSG_PEEK));
        tell_text(context, "what it saw", "%.2s", text);
        tell(context, "ioctl(FIONREAD)", ioctl(fd, FIONREAD, &waiting));
        tell(context, "bytes to read", waiting);
        tell(context, "recv() of the rest", recv(fd, text, 5, MSG_WAITALL));
        tell_text(context, "what it got", "%.5s", text);
        tell(context, "send() of nothing", send(fd, text, 0, 0));
        tell(context, "recv() into nothing", recv(fd, text, 0, MSG_DONTWAIT));
        tell(context, "sendto() an address", sendto(fd, "x", 1, 0, (const struct sockaddr *) &context->peer, sizeof(context->peer)));
        close(fd);
}

void case_vectors(struct case_context *context) {
        char first[4] = "", second[8] = "";
        struct iovec out[] = { { (void *) "abc", 3 }, { (void *) "defgh", 5 } };
        struct iovec in[] = { { first, 3 }, { second, 5 } };
        struct msghdr message = { .msg_iov = out, .msg_iovlen = 2 };
        int fd = peer_connect(context, 'e');

        tell(context, "writev()", writev(fd, out, 2));
        while (ioctl(fd, FIONREAD, &message.msg_flags) == 0 && message.msg_flags < 8)
                wait_events(fd, POLLIN, 1);
        tell(context, "readv()", readv(fd, in, 2));
        tell_text(context, "what it got", "%s %s", first, second);
        message.msg_flags = 0;
        tell(context, "sendmsg()", sendmsg(fd, &message, 0));
        message.msg_iov = in;
        tell(context, "recvmsg()", recvmsg(fd, &message, MSG_WAITALL));
        tell(context, "its flags", message.msg_flags);
        close(fd);
}

void case_sendfile(struct case_context *context) {
        int fd = peer_connect(context, 'h'), file = memfd_create("posix-sockets", MFD_CLOEXEC);
        char text[32] = "";
        off_t offset = 0;
        ssize_t n = 0;

        if (file < 0 || ftruncate(file, FILE_SIZE) < 0)
                return (void) tell(context, "a file", -1);
        while (offset < (off_t) FILE_SIZE && (n = sendfile(fd, file, &offset, FILE_SIZE)) > 0)
                ;
        tell_text(context, "sendfile()", "%s", n < 0 ? strerrorname_np(errno) : "to the end");
        tell(context, "bytes it sent", offset);
        shutdown(fd, SHUT_WR);
        read_all(fd, text, sizeof(text) - 1);
        tell_text(context, "the peer's count", "%s", text);
        close(file);
        close(fd);
}
