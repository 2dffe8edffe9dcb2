/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Credentials for registries: users and passwords in a file as Docker's config.json (containers-auth.json(5) is the same, with paths):
 *
 *         {"auths": {"registry.example": {"auth": "BASE64 OF USER:PASSWORD"}, "registry.example/team": {"username": ..., "password": ...}}}
 *
 * The file is whoever's who runs the service. It is read here, in the program that needs it, so that a password is on no command line and in no
 * environment, and in nothing that is told or logged.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>
#include <openssl/evp.h>

#include "fetch.h"
#include "json-text.h"

#define FILE_MAX (1024u * 1024u)
#define DOCKER_HUB "registry-1.docker.io"
#define DOCKER_HUB_KEY "index.docker.io"        /* what its file calls it */

static bool begins(const char *text, size_t n, const char *with) {
        return n >= strlen(with) && strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, size_t n, const char *with) {
        return n >= strlen(with) && strncmp(text + n - strlen(with), with, strlen(with)) == 0;
}

/* How well a key is of this repository: 0 if not at all; the longer, the better. */
static size_t match(const char *key, const struct oci_reference *reference) {
        const char *host = reference->host, *path;
        size_t n, n_host, n_path;

        if (begins(key, strlen(key), "https://"))
                key += 8;
        else if (begins(key, strlen(key), "http://"))
                key += 7;
        for (n = strlen(key); ends(key, n, "/") || ends(key, n, "/v1") || ends(key, n, "/v2");)
                n -= ends(key, n, "/") ? 1 : 3;
        if (strcmp(host, DOCKER_HUB) == 0 && begins(key, n, DOCKER_HUB_KEY))
                host = DOCKER_HUB_KEY;
        n_host = strlen(host);
        if (!begins(key, n, host) || (n > n_host && key[n_host] != '/'))
                return 0;
        if (n == n_host)
                return n;
        path = key + n_host + 1;
        n_path = n - n_host - 1;
        return strncmp(reference->repository, path, n_path) == 0 && strchr("/", reference->repository[n_path]) ? n : 0;
}

static bool take(struct download *download, const char *user, size_t n_user, const char *password, size_t n_password) {
        if (n_user == 0 || n_user >= sizeof download->user || n_password >= sizeof download->password || memchr(user, '\0', n_user) ||
            memchr(password, '\0', n_password))
                return false;
        memcpy(download->user, user, n_user);
        memcpy(download->password, password, n_password);
        download->user[n_user] = download->password[n_password] = '\0';
        return true;
}

/* USER:PASSWORD in base64. */
static bool take_encoded(struct download *download, const char *text) {
        size_t n_text = strlen(text);
        unsigned char *plain = n_text < FILE_MAX ? malloc(n_text + 1) : NULL;
        const char *colon;
        bool taken = false;
        int n;

        if (!plain)
                return false;
        n = EVP_DecodeBlock(plain, (const unsigned char *) text, (int) n_text);
        for (size_t i = n_text; n > 0 && i > 0 && text[i - 1] == '='; i--)
                n--;                    /* what is only padding has been decoded as well */
        colon = n > 0 ? memchr(plain, ':', (size_t) n) : NULL;
        if (colon) {
                size_t n_user = (size_t) (colon - (const char *) plain);

                taken = take(download, (const char *) plain, n_user, colon + 1, (size_t) n - n_user - 1);
        }
        free(plain);
        return taken;
}

static int take_entry(struct download *download, const char *path, const char *key, struct json_object *entry) {
        const char *encoded = json_text(entry, "auth"), *user = json_text(entry, "username"), *password = json_text(entry, "password");
        bool taken;

        if (*json_text(entry, "identitytoken"))
                return fail(FAILURE_UNSUPPORTED, "an identity token for %.200s in %.200s instead of a user and password", key, path);
        if (!*encoded && !*user)
                return 0;               /* a helper has them, of which nothing is known here */
        taken = *encoded ? take_encoded(download, encoded) : take(download, user, strlen(user), password, strlen(password));
        return taken ? 0 : fail(FAILURE_OTHER, "%.200s has no user and password that can be read for %.200s", path, key);
}

static int choose(struct download *download, const char *path, const struct oci_reference *reference, struct json_object *json) {
        struct json_object *auths = NULL, *best = NULL;
        const char *best_key = NULL;
        size_t best_match = 0;

        if (!json_object_is_type(json, json_type_object))
                return fail(FAILURE_OTHER, "%.200s is no JSON with credentials", path);
        if (!json_object_object_get_ex(json, "auths", &auths) || !json_object_is_type(auths, json_type_object))
                return 0;
        json_object_object_foreach(auths, key, entry) {
                size_t matches = match(key, reference);

                if (matches <= best_match)
                        continue;
                best_match = matches;
                best = entry;
                best_key = key;
        }
        return best ? take_entry(download, path, best_key, best) : 0;
}

int credentials_find(const char *path, const struct oci_reference *reference, struct download *download) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;
        char *text = malloc(FILE_MAX + 1);
        struct json_object *json;
        size_t size = 0;
        ssize_t n = -1;

        while (fd >= 0 && text && size < FILE_MAX && (n = read(fd, text + size, FILE_MAX - size)) > 0)
                size += (size_t) n;
        if (fd < 0 || !text || n < 0) {
                r = fail(FAILURE_OTHER, "could not read the credentials in %.200s: %s", path, strerror(errno));
        } else {
                text[size] = '\0';
                json = json_tokener_parse(text);
                r = choose(download, path, reference, json);
                json_object_put(json);
        }
        free(text);
        if (fd >= 0)
                close(fd);
        return r;
}
