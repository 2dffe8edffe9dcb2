// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux's PV Calls frontend with a way in: a module for the lab's guests.
 *
 * pvcalls-front.c has functions for every call and nobody in Linux who calls them. This module is that file, unchanged, and a device
 * /dev/pvcalls (pvcalls-drive.h) with which a program calls each of them. So what our backend is tested against is Linux's frontend
 * and not our reading of it.
 *
 * It is loaded when the backend is in state InitWait: the frontend reads the backend's nodes once, when its device is found.
 */
#include <linux/anon_inodes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/uio.h>

/* A module has one start, which is ours below and calls the frontend's. */
#undef module_init
#define module_init(start)

#include "pvcalls-front.c"

#include "pvcalls-drive.h"

static const struct file_operations drive_operations;

/* A socket that has what the frontend uses of it: a type, and a sock that carries a pointer. */
static struct socket *drive_socket_new(void)
{
	struct socket *sock;

	if (sock_create_lite(AF_INET, SOCK_STREAM, IPPROTO_IP, &sock) < 0)
		return NULL;
	return sock;
}

static void drive_socket_free(struct socket *sock)
{
	pvcalls_front_release(sock);
	if (sock->sk)
		sk_free(sock->sk);
	sock->sk = NULL;
	sock_release(sock);
}

static int drive_open(struct inode *inode, struct file *file)
{
	struct socket *sock = drive_socket_new();
	int r;

	if (!sock)
		return -ENOMEM;
	sock->sk = sk_alloc(&init_net, PF_INET, GFP_KERNEL, &pvcalls_proto, false);
	r = sock->sk ? pvcalls_front_socket(sock) : -ENOMEM;
	if (r < 0) {
		drive_socket_free(sock);
		return r;
	}
	file->private_data = sock;
	return 0;
}

static int drive_release(struct inode *inode, struct file *file)
{
	drive_socket_free(file->private_data);
	return 0;
}

static ssize_t drive_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct msghdr message = { .msg_iter = *to };

	return pvcalls_front_recvmsg(iocb->ki_filp->private_data, &message, iov_iter_count(to), 0);
}

static ssize_t drive_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct msghdr message = { .msg_iter = *from };

	return pvcalls_front_sendmsg(iocb->ki_filp->private_data, &message, iov_iter_count(from));
}

static __poll_t drive_poll(struct file *file, poll_table *wait)
{
	return pvcalls_front_poll(file, file->private_data, wait);
}

/* The frontend gives the new socket its sock, when there is a connection. */
static int drive_accept(struct socket *sock)
{
	struct socket *accepted = drive_socket_new();
	int r;

	if (!accepted)
		return -ENOMEM;
	r = pvcalls_front_accept(sock, accepted, 0);
	if (r == 0)
		r = anon_inode_getfd("[pvcalls]", &drive_operations, accepted, O_RDWR | O_CLOEXEC);
	if (r < 0)
		drive_socket_free(accepted);
	return r;
}

static long drive_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct socket *sock = file->private_data;
	struct sockaddr_in address = {};

	if (command == PVCALLS_DRIVE_CONNECT || command == PVCALLS_DRIVE_BIND) {
		if (copy_from_user(&address, (void __user *) argument, sizeof(address)))
			return -EFAULT;
	}
	switch (command) {
	case PVCALLS_DRIVE_CONNECT:
		return pvcalls_front_connect(sock, (struct sockaddr *) &address, sizeof(address), 0);
	case PVCALLS_DRIVE_BIND:
		return pvcalls_front_bind(sock, (struct sockaddr *) &address, sizeof(address));
	case PVCALLS_DRIVE_LISTEN:
		return pvcalls_front_listen(sock, argument);
	case PVCALLS_DRIVE_ACCEPT:
		return drive_accept(sock);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations drive_operations = {
	.owner = THIS_MODULE,
	.open = drive_open,
	.release = drive_release,
	.read_iter = drive_read,
	.write_iter = drive_write,
	.poll = drive_poll,
	.unlocked_ioctl = drive_ioctl,
};

static struct miscdevice drive_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pvcalls",
	.fops = &drive_operations,
};

int __init init_module(void)
{
	int r = misc_register(&drive_device);

	if (r < 0)
		return r;
	r = pvcalls_frontend_init();
	if (r < 0)
		misc_deregister(&drive_device);
	return r;
}

void __exit cleanup_module(void)
{
	xenbus_unregister_driver(&pvcalls_front_driver);
	misc_deregister(&drive_device);
}
