/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon-config.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>

#include "cleanup.h"

static const char head[] =
        "<?xml version=\"1.0\"?>\n"
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<!-- Made by xcp-bus-run from the policy files, at every start and reload. Changes here are lost. -->\n"
        "<busconfig>\n"
        "  <type>xcp</type>\n"
        "  <listen>systemd:</listen>\n"
        "  <auth>EXTERNAL</auth>\n";

/*
 * What every bus needs before anything is granted. dbus-daemon takes the last rule that matches, users' after groups' after these, so
 * that grants come after what they lift. broker-policy.c has the same for dbus-broker.
 */
static const char preamble[] =
        "  <policy context=\"default\">\n"
        "    <!-- Whoever reaches the socket may connect and talk to the bus itself. -->\n"
        "    <allow user=\"*\"/>\n"
        "    <deny own=\"*\"/>\n"
        "    <deny send_type=\"method_call\"/>\n"
        "    <allow send_type=\"signal\"/>\n"
        "    <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
        "    <allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
        "    <allow receive_type=\"method_call\"/>\n"
        "    <allow receive_type=\"method_return\"/>\n"
        "    <allow receive_type=\"error\"/>\n"
        "    <deny receive_type=\"signal\"/>\n"
        "    <allow receive_sender=\"org.freedesktop.DBus\" receive_type=\"signal\"/>\n"
        "    <allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus\"/>\n"
        "    <allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus.Introspectable\"/>\n"
        "    <allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus.Peer\"/>\n"
        "    <allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus.Properties\"/>\n"
        "  </policy>\n";

/* After the grants to everyone, so that none of them opens these. */
static const char guard[] =
        "  <policy context=\"default\">\n"
        "    <deny send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus\" send_member=\"ReloadConfig\"/>\n"
        "    <deny send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus\""
        " send_member=\"UpdateActivationEnvironment\"/>\n"
        "    <deny send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus.Debug.Stats\"/>\n"
        "    <deny send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus.Monitoring\"/>\n"
        "    <deny send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.systemd1.Activator\"/>\n"
        "  </policy>\n";

static void write_escaped(FILE *f, const char *text) {
        for (; *text; text++)
                switch (*text) {
                case '&': fputs("&amp;", f); break;
                case '<': fputs("&lt;", f); break;
                case '>': fputs("&gt;", f); break;
                case '"': fputs("&quot;", f); break;
                default: fputc(*text, f);
                }
}

static void write_attribute(FILE *f, const char *side, const char *name, const char *value) {
        if (!value)
                return;
        fprintf(f, " %s%s=\"", side, name);
        write_escaped(f, value);
        fputc('"', f);
}

static void write_rule(FILE *f, const struct grant *grant) {
        bool call = grant->kind == GRANT_CALL;
        const char *side = call ? "send_" : "receive_";

        fputs("    <allow", f);
        if (grant->kind == GRANT_OWN) {
                write_attribute(f, "", grant->below ? "own_prefix" : "own", grant->name);
        } else {
                write_attribute(f, side, "type", call ? "method_call" : "signal");
                write_attribute(f, side, call ? "destination" : "sender", grant->name);
                write_attribute(f, side, "path", grant->path);
                write_attribute(f, side, "interface", grant->interface);
                write_attribute(f, side, "member", grant->member);
        }
        fputs("/>\n", f);
}

static void write_grant(FILE *f, const struct grant *grant) {
        if (grant->subject == SUBJECT_GROUP && !getgrgid(grant->id))    /* it takes no number that has no name */
                return;
        if (grant->subject == SUBJECT_EVERYONE)
                fputs("  <policy context=\"default\">\n", f);
        else
                fprintf(f, "  <policy %s=\"%u\">\n", grant->subject == SUBJECT_GROUP ? "group" : "user", grant->id);
        write_rule(f, grant);
        fputs("  </policy>\n", f);
}

static void write_limits(FILE *f, const struct policy *policy) {
        for (int i = 0; i < _LIMIT_N; i++)
                for (int j = 0; j < 2 && limit_kinds[i].daemon[j]; j++)
                        fprintf(f, "  <limit name=\"%s\">%llu</limit>\n", limit_kinds[i].daemon[j], (unsigned long long) policy->limits[i]);
}

static void write_all(FILE *f, const struct policy *policy, const char *const *service_dirs) {
        fputs(head, f);
        for (; *service_dirs; service_dirs++) {
                fputs("  <servicedir>", f);
                write_escaped(f, *service_dirs);
                fputs("</servicedir>\n", f);
        }
        write_limits(f, policy);

        fputs(preamble, f);
        for (size_t i = 0; i < policy->n_grants; i++)
                if (policy->grants[i].subject == SUBJECT_EVERYONE)
                        write_grant(f, &policy->grants[i]);
        fputs(guard, f);
        for (size_t i = 0; i < policy->n_grants; i++)
                if (policy->grants[i].subject != SUBJECT_EVERYONE && policy->grants[i].subject != SUBJECT_NOBODY)
                        write_grant(f, &policy->grants[i]);
        fputs("</busconfig>\n", f);
}

int daemon_config_make(const struct policy *policy, const char *const *service_dirs, char **ret_text) {
        char *text = NULL;
        size_t n;
        FILE *f;
        int failed;

        f = open_memstream(&text, &n);
        if (!f)
                return -ENOMEM;
        write_all(f, policy, service_dirs);
        failed = ferror(f);
        if (fclose(f) != 0 || failed) {
                free(text);
                return -ENOMEM;
        }
        *ret_text = text;
        return 0;
}
