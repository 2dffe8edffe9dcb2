/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "json-add.h"
#include "nbd-uri.h"

#define RECONNECT_S 1                   /* until a socket whose other end is gone is tried again */
#define NBD_WAIT_S 60                   /* that requests wait for an NBD server that is gone to be there again, before they fail */

const enum xcp_data_path_kind *source_kinds(const struct qemu_options *options, const struct xcp_disk_spec *disk, bool is_served) {
        static const enum xcp_data_path_kind any[] = { XCP_DATA_PATH_KIND_FILE, XCP_DATA_PATH_KIND_BLOCK_DEVICE, XCP_DATA_PATH_KIND_NBD, 0 };
        static const enum xcp_data_path_kind unserved[] = { XCP_DATA_PATH_KIND_FILE, XCP_DATA_PATH_KIND_BLOCK_DEVICE, 0 };
        static const enum xcp_data_path_kind nbd[] = { XCP_DATA_PATH_KIND_NBD, 0 }, vhost_user[] = { XCP_DATA_PATH_KIND_VHOST_USER, 0 };

        if (options->data_path == QEMU_VHOST_USER && disk->kind == XCP_DISK_KIND_DISK)
                return vhost_user;
        if (!is_served)
                return unserved;
        return options->data_path == QEMU_NBD ? nbd : any;
}

bool source_is_socket(const struct xcp_data_path *path) {
        return path && path->kind == XCP_DATA_PATH_KIND_VHOST_USER;
}

static const char *parameter(const struct xcp_data_path *path, const char *key) {
        for (size_t i = 0; i < path->n_parameters; i++)
                if (strcmp(path->parameters[i].key, key) == 0)
                        return path->parameters[i].value;
        return NULL;
}

bool source_stands_by(const struct xcp_data_path *path) {
        const char *standby = parameter(path, "standby");

        return standby && strcmp(standby, "yes") == 0;
}

int source_check(const struct xcp_data_path *path, struct idl_error *error) {
        struct nbd_uri uri = {};
        int r;

        if (!path)
                return 0;
        if (path->kind != XCP_DATA_PATH_KIND_NBD)
                return path->path ? 0 : idl_error_set_invalid_argument(error, "data path", "", "has to have a path");
        r = path->uri ? nbd_uri_parse(&uri, path->uri) : -EINVAL;
        nbd_uri_done(&uri);
        return r == -EINVAL ? idl_error_set_invalid_argument(error, "data path", path->uri ?: "",
                                                             "has to be nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH")
                            : r;
}

/* Names of nodes have 31 bytes, and those of disks up to 32. */
void source_node(const char *disk, char *ret_id) {
        uint64_t sum = UINT64_C(0xcbf29ce484222325);

        for (const char *p = disk; *p; p++)
                sum = (sum ^ (unsigned char) *p) * UINT64_C(0x100000001b3);
        snprintf(ret_id, QEMU_ID_SIZE, "node-%016" PRIx64, sum);
}

void source_chardev(const char *disk, char *ret_id) {
        snprintf(ret_id, QEMU_ID_SIZE, "vhost-%.32s", disk);
}

/* Block nodes */

static void add_part(struct json_object *node, const struct xcp_data_path *path) {
        const char *offset = parameter(path, "offset"), *size = parameter(path, "size");

        if (offset)
                add_number(node, "offset", strtoull(offset, NULL, 10));
        if (size)
                add_number(node, "size", strtoull(size, NULL, 10));
}

static int describe_nbd(struct json_object *file, const char *text) {
        struct json_object *server = json_object_new_object();
        struct nbd_uri uri = {};
        int r;

        r = server ? nbd_uri_parse(&uri, text) : -ENOMEM;
        if (r < 0) {
                json_object_put(server);
                return r;
        }
        add_string(file, "driver", "nbd");
        add_string(server, "type", uri.path ? "unix" : "inet");
        if (uri.path)
                add_string(server, "path", uri.path);
        else {
                add_string(server, "host", uri.host);
                add_string(server, "port", uri.port);
        }
        json_object_object_add(file, "server", server);
        add_string(file, "export", uri.export);
        add_number(file, "reconnect-delay", NBD_WAIT_S);
        nbd_uri_done(&uri);
        return 0;
}

static int describe_file(struct json_object *file, const struct xcp_data_path *path) {
        if (path->kind == XCP_DATA_PATH_KIND_NBD)
                return describe_nbd(file, path->uri);
        add_string(file, "driver", path->kind == XCP_DATA_PATH_KIND_BLOCK_DEVICE ? "host_device" : "file");
        add_string(file, "filename", path->path);
        return 0;
}

static struct json_object *describe_image(const struct hypervisor_disk *disk, const char *name) {
        const struct xcp_data_path *path = disk->path;
        struct json_object *node = json_object_new_object(), *file = json_object_new_object();
        const char *format = path->kind == XCP_DATA_PATH_KIND_NBD ? NULL : parameter(path, "format");   /* an export is a disk, not an image */
        bool qcow2 = format && strcmp(format, "qcow2") == 0;

        if (!node || !file || describe_file(file, path) < 0) {
                json_object_put(node);
                json_object_put(file);
                return NULL;
        }
        add_string(file, "discard", "unmap");
        if (name)
                add_string(node, "node-name", name);
        add_string(node, "driver", qcow2 ? "qcow2" : "raw");
        add_bool(node, "read-only", path->mode == XCP_DISK_MODE_READ_ONLY);
        add_string(node, "discard", "unmap");
        if (!qcow2 && path->kind != XCP_DATA_PATH_KIND_NBD)
                add_part(node, path);
        json_object_object_add(node, "file", file);
        return node;
}

bool source_has_limits(const struct xcp_disk_spec *disk) {
        return disk->has_rate_limit || disk->has_iops_limit;
}

void source_limits(const char *disk, char *ret_id) {
        snprintf(ret_id, QEMU_ID_SIZE, "limits-%.32s", disk);
}

struct json_object *source_describe_limits(const struct xcp_disk_spec *disk) {
        struct json_object *object = json_object_new_object(), *limits = json_object_new_object();
        char id[QEMU_ID_SIZE];

        if (!object || !limits) {
                json_object_put(object);
                json_object_put(limits);
                return NULL;
        }
        source_limits(disk->name, id);
        add_string(object, "qom-type", "throttle-group");
        add_string(object, "id", id);
        if (disk->has_rate_limit)
                add_number(limits, "bps-total", disk->rate_limit);
        if (disk->has_iops_limit)
                add_number(limits, "iops-total", disk->iops_limit);
        json_object_object_add(object, "limits", limits);
        return object;
}

/* With limits, above the image is a node that requests wait in. */
struct json_object *source_describe_node(const struct hypervisor_disk *disk) {
        struct json_object *node, *image;
        char name[QEMU_ID_SIZE], limits[QEMU_ID_SIZE];

        source_node(disk->spec->name, name);
        if (!source_has_limits(disk->spec))
                return describe_image(disk, name);
        node = json_object_new_object();
        image = describe_image(disk, NULL);
        if (!node || !image) {
                json_object_put(node);
                json_object_put(image);
                return NULL;
        }
        source_limits(disk->spec->name, limits);
        add_string(node, "node-name", name);
        add_string(node, "driver", "throttle");
        add_string(node, "throttle-group", limits);
        add_bool(node, "read-only", disk->path->mode == XCP_DISK_MODE_READ_ONLY);
        add_string(node, "discard", "unmap");
        json_object_object_add(node, "file", image);
        return node;
}

/* Sockets */

struct json_object *source_describe_chardev(const struct hypervisor_disk *disk) {
        struct json_object *arguments = json_object_new_object(), *backend = json_object_new_object(), *data = json_object_new_object(),
                           *address = json_object_new_object(), *socket = json_object_new_object();
        char id[QEMU_ID_SIZE];

        if (!arguments || !backend || !data || !address || !socket) {
                json_object_put(arguments);
                json_object_put(backend);
                json_object_put(data);
                json_object_put(address);
                json_object_put(socket);
                return NULL;
        }
        source_chardev(disk->spec->name, id);
        add_string(arguments, "id", id);
        json_object_object_add(arguments, "backend", backend);
        add_string(backend, "type", "socket");
        json_object_object_add(backend, "data", data);
        json_object_object_add(data, "addr", address);
        add_string(address, "type", "unix");
        json_object_object_add(address, "data", socket);
        add_string(socket, "path", disk->path->path);
        add_bool(data, "server", false);
        add_number(data, "reconnect", RECONNECT_S);
        return arguments;
}

char *source_print_chardev(const struct hypervisor_disk *disk) {
        char id[QEMU_ID_SIZE], *text = NULL, *to;
        const char *path = disk->path->path;
        AUTO_FREE char *quoted = malloc(2 * strlen(path) + 1);

        if (!quoted)
                return NULL;
        to = quoted;
        for (const char *p = path; *p; p++) {   /* a comma ends a value, and two are one */
                if (*p == ',')
                        *to++ = ',';
                *to++ = *p;
        }
        *to = '\0';
        source_chardev(disk->spec->name, id);
        return asprintf(&text, "socket,id=%s,path=%s,reconnect=%d", id, quoted, RECONNECT_S) < 0 ? NULL : text;
}
