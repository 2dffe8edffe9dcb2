/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "login.h"

#include <stdio.h>
#include <string.h>

static void say(login_write_t write, void *userdata, const char *text) {
        write(userdata, text, strlen(text));
}

static void prompt(const struct login *login, const char *name, login_write_t write, void *userdata) {
        if (login->logged_in) {
                say(write, userdata, "$ ");
                return;
        }
        say(write, userdata, name);
        say(write, userdata, " login: ");
}

void login_boot(struct login *login, const char *name, login_write_t write, void *userdata) {
        *login = (struct login) { .logged_in = false };
        say(write, userdata, "noop: booting ");
        say(write, userdata, name);
        say(write, userdata, "\r\n");
}

void login_prompt(struct login *login, const char *name, login_write_t write, void *userdata) {
        say(write, userdata, "noop: up\r\n\r\n");
        prompt(login, name, write, userdata);
}

static enum hypervisor_event run(struct login *login, login_write_t write, void *userdata) {
        static const struct {
                const char *name, *says;
                enum hypervisor_event event;
        } commands[] = {
                { "help", "poweroff reboot crash hang exit help\r\n", HYPERVISOR_NO_EVENT },
                { "poweroff", "noop: power down\r\n", HYPERVISOR_POWERED_OFF },
                { "reboot", "noop: restarting\r\n", HYPERVISOR_REBOOTED },
                { "crash", "noop: panic: as you wish\r\n", HYPERVISOR_PANICKED },
                { "hang", "noop: watchdog: did not stop\r\n", HYPERVISOR_WATCHDOG },
        };

        if (strcmp(login->line, "exit") == 0) {
                login->logged_in = false;
                return HYPERVISOR_NO_EVENT;
        }
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
                if (strcmp(login->line, commands[i].name) == 0) {
                        say(write, userdata, commands[i].says);
                        return commands[i].event;
                }
        say(write, userdata, login->line);
        say(write, userdata, ": not found\r\n");
        return HYPERVISOR_NO_EVENT;
}

/* A line is complete. */
static enum hypervisor_event enter(struct login *login, const char *name, login_write_t write, void *userdata) {
        enum hypervisor_event event = HYPERVISOR_NO_EVENT;

        login->line[login->n] = '\0';
        say(write, userdata, "\r\n");
        if (login->n > 0) {
                if (login->logged_in)
                        event = run(login, write, userdata);
                else {
                        login->logged_in = true;
                        say(write, userdata, "Welcome, ");
                        say(write, userdata, login->line);
                        say(write, userdata, "\r\n");
                }
        }
        login->n = 0;
        if (event == HYPERVISOR_NO_EVENT)
                prompt(login, name, write, userdata);
        return event;
}

static void type(struct login *login, char c, login_write_t write, void *userdata) {
        if (c == '\b' || c == 0x7f) {
                if (login->n > 0) {
                        login->n--;
                        say(write, userdata, "\b \b");
                }
                return;
        }
        if (login->n + 1 < LOGIN_LINE_MAX && c != '\0') {
                login->line[login->n++] = c;
                write(userdata, &c, 1);
        }
}

enum hypervisor_event login_input(struct login *login, const char *name, const char *data, size_t size, login_write_t write,
                                  void *userdata) {
        enum hypervisor_event event = HYPERVISOR_NO_EVENT;

        for (size_t i = 0; i < size && event == HYPERVISOR_NO_EVENT; i++) {
                bool is_second = data[i] == '\n' && login->last == '\r';

                login->last = data[i];
                if (is_second)
                        continue;
                if (data[i] == '\r' || data[i] == '\n')
                        event = enter(login, name, write, userdata);
                else
                        type(login, data[i], write, userdata);
        }
        return event;
}
