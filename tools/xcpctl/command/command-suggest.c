/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "command-suggest.h"

#include <string.h>

#include "command.h"
#include "suggest.h"

/* What others call it: virsh, Docker, kubectl, multipass. */
static const struct {
        const char *word, *here;
} words_elsewhere[] = {
        { "ls", "list" },      { "ps", "list" },      { "rm", "destroy" },     { "rm", "remove" },       { "delete", "destroy" }, { "delete", "remove" },
        { "remove", "destroy" }, { "undefine", "destroy" }, { "info", "show" }, { "inspect", "show" },    { "describe", "show" },  { "dumpxml", "spec" },
        { "shutdown", "stop" }, { "poweroff", "stop" }, { "launch", "create" }, { "define", "create" },  { "run", "create" },     { "shell", "ssh" },
        { "exec", "ssh" },      { "attach", "console" }, { "logs", "log" },     { "pause", "suspend" },   { "unpause", "resume" }, { "stats", "statistics" },
        { "restart", "reboot" }, { "halt", "stop" },      { "ip", "addresses" },    { "status", "state" },   { "edit", "set" },
};

/* The last of the words, replaced by another. */
static char *replaced(const char *words, const char *last) {
        const char *blank = strrchr(words, ' ');

        return g_strdup_printf("%.*s%s", blank ? (int) (blank - words) + 1 : 0, words, last);
}

static bool take_if_command(char *words, char **ret_command) {
        if (command_find(words)) {
                *ret_command = words;
                return true;
        }
        g_free(words);
        return false;
}

/* One that other tools have; list, alone, is vm list. */
static bool suggest_elsewhere(const char *words, char **ret_command) {
        const char *blank = strrchr(words, ' '), *last = blank ? blank + 1 : words;

        if (!blank && take_if_command(g_strconcat("vm ", words, NULL), ret_command))
                return true;
        for (size_t i = 0; i < G_N_ELEMENTS(words_elsewhere); i++) {
                g_autofree char *here = strcmp(words_elsewhere[i].word, last) == 0 ? replaced(words, words_elsewhere[i].here) : NULL;

                if (here && (take_if_command(g_strdup(here), ret_command) || (!blank && take_if_command(g_strconcat("vm ", here, NULL), ret_command))))
                        return true;
        }
        return false;
}

/* The words before the last one are a group's: it is the last one that is not right. */
char *command_suggest(const char *words) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        const char *blank = strrchr(words, ' '), *near;
        size_t n_group = blank ? (size_t) (blank - words) + 1 : 0;
        char *found = NULL;

        if (suggest_elsewhere(words, &found))
                return found;
        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++)
                        if (strncmp(command->name, words, n_group) == 0)
                                g_ptr_array_add(names, g_strndup(command->name + n_group, strcspn(command->name + n_group, " ")));
        g_ptr_array_add(names, NULL);
        near = suggest_near(words + n_group, (const char *const *) names->pdata);
        return near ? g_strdup_printf("%.*s%s", (int) n_group, words, near) : NULL;
}
