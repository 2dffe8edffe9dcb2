/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Registries: from the name of an image to the one blob that is its disk (OCI distribution and image specifications 1.1).
 *
 * The manifest is fetched, through an index if there is one, and what is fetched by its digest is checked against it; the blob's digest
 * becomes the download's checksum. A token is asked for where the registry says: with the user and password that there are for it, or else as
 * anybody gets one. They are sent when they are asked for, to the registry or where it says, and not without encryption if the registry has some.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include <json-c/json.h>

#include "fetch.h"
#include "json-text.h"

#define ACCEPT                                                                                                                                 \
        "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "                                       \
        "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
#define JSON_DEPTH 16

static struct json_object *list_of(struct json_object *object, const char *key) {
        struct json_object *value;

        return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, key, &value) &&
                               json_object_is_type(value, json_type_array)
                       ? value
                       : NULL;
}

static struct json_object *parse(const char *text, size_t n) {
        struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
        struct json_object *object;

        if (!tokener)
                return NULL;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        object = json_tokener_parse_ex(tokener, text, (int) n + 1);
        if (json_tokener_get_error(tokener) != json_tokener_success) {
                json_object_put(object);
                object = NULL;
        }
        json_tokener_free(tokener);
        return object;
}

/* Tokens */

/* The value of one of the parameters of a challenge, realm="..."; false if it is not there. */
static bool parameter(const char *challenge, const char *name, char *ret_value, size_t size) {
        char start[32];
        const char *found, *end;

        snprintf(start, sizeof start, "%s=\"", name);
        found = strstr(challenge, start);
        if (!found)
                return false;
        found += strlen(start);
        end = strchr(found, '"');
        if (!end || (size_t) (end - found) >= size)
                return false;
        memcpy(ret_value, found, (size_t) (end - found));
        ret_value[end - found] = '\0';
        return true;
}

/* What may stand in a query, as it is or escaped. */
static void append_query(char *url, size_t size, const char *name, const char *value) {
        size_t n = strlen(url);

        n += (size_t) snprintf(url + n, size - n, "%c%s=", strchr(url, '?') ? '&' : '?', name);
        for (; *value && n + 4 < size; value++)
                n += (size_t) (strchr("&#+% ?\"<>", *value) || (unsigned char) *value < 0x21 ? snprintf(url + n, size - n, "%%%02X", (unsigned char) *value)
                                                                                            : snprintf(url + n, size - n, "%c", *value));
}

static int fail_credentials(const struct download *download, const struct oci_reference *oci) {
        return *download->user ? fail(FAILURE_UNREACHABLE, "the registry does not take the user and password that there are for %s", oci->host)
                               : fail(FAILURE_UNREACHABLE, "the registry asks for a user and password, and there are none for %s", oci->host);
}

/* Shows who asks, as the challenge wants it. */
static int answer_challenge(struct download *download, const struct oci_reference *oci, const char *challenge) {
        struct download asking = *download;
        char realm[1024], value[512], url[2048];
        struct response response;
        struct json_object *json;
        const char *token;

        if (strncasecmp(challenge, "Basic ", 6) == 0 && *download->user) {
                download->sends_password = true;
                return 0;
        }
        if (strncasecmp(challenge, "Bearer ", 7) != 0 || !parameter(challenge, "realm", realm, sizeof realm))
                return fail_credentials(download, oci);
        asking.sends_password = *download->user;
        if (asking.sends_password && !oci->plain_http && strncasecmp(realm, "https://", 8) != 0)
                return fail(FAILURE_UNREACHABLE, "the registry wants the password without encryption, at %.200s", realm);
        snprintf(url, sizeof url, "%s", realm);
        if (parameter(challenge, "service", value, sizeof value))
                append_query(url, sizeof url, "service", value);
        if (parameter(challenge, "scope", value, sizeof value))
                append_query(url, sizeof url, "scope", value);
        if (http_get(&asking, url, NULL, &response) < 0)
                return -1;
        json = parse(response.body, response.n_body);
        token = *json_text(json, "token") ? json_text(json, "token") : json_text(json, "access_token");
        if (response.status == 200 && *token && strlen(token) < sizeof download->token && strpbrk(token, "\r\n") == NULL)
                snprintf(download->token, sizeof download->token, "%s", token);
        json_object_put(json);
        response_done(&response);
        return *download->token ? 0 : fail_credentials(download, oci);
}

/* Manifests */

static int check_digest(const struct response *response, const char *reference) {
        char hex[DIGEST_TEXT_SIZE];

        if (strncmp(reference, "sha256:", 7) != 0)
                return 0;               /* a tag */
        checksum_data(response->body, response->n_body, hex);
        return strcmp(hex, reference + 7) == 0 ? 0 : fail(FAILURE_CORRUPT, "the manifest is of sha256:%s, not of %s", hex, reference);
}

/* A manifest or index, by tag or digest. Asks for a token at the first refusal; but what another server wants, the password is not sent for. */
static int get_manifest(struct download *download, const struct oci_reference *oci, const char *reference, struct json_object **ret_json) {
        struct response response;
        char url[1024];
        int r = 0;

        snprintf(url, sizeof url, "%s://%s/v2/%s/manifests/%s", oci->plain_http ? "http" : "https", oci->host, oci->repository, reference);
        if (http_get(download, url, ACCEPT, &response) < 0)
                return -1;
        if (response.status == 401 && !*download->token && !download->sends_password && !response.is_elsewhere) {
                r = answer_challenge(download, oci, response.challenge);
                response_done(&response);
                if (r < 0 || http_get(download, url, ACCEPT, &response) < 0)
                        return -1;
        }
        if (response.status == 401 && response.is_elsewhere)
                r = fail(FAILURE_UNREACHABLE, "the registry %s sends us to another server, which wants to know who asks", oci->host);
        else if (response.status == 404)
                r = fail(FAILURE_MISSING, "the registry has no %s of %s", reference, oci->repository);
        else if (response.status == 401 || response.status == 403)
                r = fail_credentials(download, oci);
        else if (response.status != 200)
                r = fail(FAILURE_OTHER, "the registry answered with status %ld", response.status);
        else
                r = check_digest(&response, reference);
        if (r == 0) {
                *ret_json = parse(response.body, response.n_body);
                if (!*ret_json)
                        r = fail(FAILURE_CORRUPT, "the manifest is no JSON");
        }
        response_done(&response);
        return r;
}

/* The registry's word for this machine's kind. */
static const char *architecture(void) {
        static struct utsname name;

        if (uname(&name) < 0)
                return "";
        return strcmp(name.machine, "x86_64") == 0 ? "amd64" : strcmp(name.machine, "aarch64") == 0 ? "arm64" : name.machine;
}

/* The manifest for this kind of machine that an index names, by its digest. */
static const char *choose_manifest(struct json_object *manifests) {
        for (size_t i = 0; i < json_object_array_length(manifests); i++) {
                struct json_object *one = json_object_array_get_idx(manifests, i), *platform = NULL;

                if (json_object_is_type(one, json_type_object))
                        json_object_object_get_ex(one, "platform", &platform);
                if (!platform || strcmp(json_text(platform, "architecture"), architecture()) == 0)
                        return json_text(one, "digest");
        }
        return NULL;
}

static int take_layer(struct download *download, const struct oci_reference *oci, struct json_object *layer) {
        const char *type = json_text(layer, "mediaType"), *digest = json_text(layer, "digest");
        struct json_object *size;

        download->is_archive = strstr(type, ".tar");
        if (!download->is_archive && strstr(type, "+gzip"))
                return fail(FAILURE_UNSUPPORTED, "an image whose layer is of type %.200s, which is no disk,", type);
        if (checksum_parse(digest, &download->checksum) < 0)
                return fail(FAILURE_CORRUPT, "the layer's digest is '%.80s'", digest);
        if (json_object_object_get_ex(layer, "size", &size) && json_object_get_int64(size) > 0)
                download->size = download->size_max = (uint64_t) json_object_get_int64(size);
        snprintf(download->url, sizeof download->url, "%s://%s/v2/%s/blobs/%s:%s", oci->plain_http ? "http" : "https", oci->host, oci->repository,
                 download->checksum.algorithm, download->checksum.hex);
        return 0;
}

static int take_manifest(struct download *download, const struct oci_reference *oci, struct json_object *manifest) {
        struct json_object *layers = list_of(manifest, "layers");

        if (!layers)
                return fail(FAILURE_CORRUPT, "the manifest has no layers");
        if (json_object_array_length(layers) != 1)
                return fail(FAILURE_UNSUPPORTED, "an image with %zu layers instead of one, its disk,", json_object_array_length(layers));
        return take_layer(download, oci, json_object_array_get_idx(layers, 0));
}

/* Tokens are good for some minutes, which a download may take longer than. */
static int renew(struct download *download, const char *challenge) {
        download->token[0] = '\0';
        download->sends_password = false;
        return answer_challenge(download, download->reference, challenge);
}

int oci_resolve(const struct oci_reference *reference, struct download *download) {
        struct json_object *json = NULL, *manifests;
        int r;

        download->reference = reference;
        download->renew = renew;
        r = get_manifest(download, reference, reference->reference, &json);
        if (r < 0)
                return r;
        manifests = list_of(json, "manifests");
        if (manifests) {
                const char *chosen = choose_manifest(manifests);
                struct json_object *manifest = NULL;
                struct checksum checksum;

                if (!chosen)
                        r = fail(FAILURE_MISSING, "the registry has none of %s for %s", reference->repository, architecture());
                else if (checksum_parse(chosen, &checksum) < 0 || strcmp(checksum.algorithm, "sha256") != 0)
                        r = fail(FAILURE_CORRUPT, "the manifest's digest is '%.80s'", chosen);
                else
                        r = get_manifest(download, reference, chosen, &manifest);
                json_object_put(json);
                json = manifest;
        }
        if (r == 0)
                r = take_manifest(download, reference, json);
        json_object_put(json);
        return r;
}
