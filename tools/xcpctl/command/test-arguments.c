/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Command lines, and that the command table agrees with itself and with the contract. */

#include <string.h>

#include "arguments.h"
#include "complete.h"
#include "contract.h"
#include "help.h"
#include "operation.h"

static struct arguments *parse(const char *line, GError **error) {
        g_auto(GStrv) words = NULL;

        if (*line)
                g_assert_true(g_shell_parse_argv(line, NULL, &words, NULL));
        else
                words = g_new0(char *, 1);
        return arguments_new((const char *const *) words, error);
}

static void check_refused(const char *line, const char *because) {
        g_autoptr(GError) error = NULL;

        g_test_message("xcpctl %s", line);
        g_assert_null(parse(line, &error));
        g_assert_error(error, ARGUMENTS_ERROR, ARGUMENTS_ERROR_USAGE);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, because));
        g_assert_nonnull(strstr(error->message, "--help"));
}

static void check_value(const char *line, const char *command, const char *name, const char *expected) {
        g_autoptr(GError) error = NULL;
        struct arguments *arguments = parse(line, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(arguments_command(arguments)->name, ==, command);
        g_assert_cmpstr(arguments_get(arguments, name), ==, expected);
        arguments_free(arguments);
}

static void test_commands_have_several_words(void) {
        check_value("services", "services", "--json", NULL);
        check_value("vm start web", "vm start", "VM", "web");
        check_value("vm disk remove web disk0", "vm disk remove", "DISK", "disk0");
        check_value("--json vm --no-wait start web", "vm start", "--json", "true");
        check_value("--address a=b vm list", "vm list", "--address", "a=b");
}

static void test_options_stand_anywhere(void) {
        check_value("vm start --paused web", "vm start", "VM", "web");
        check_value("vm start web --paused", "vm start", "--paused", "true");
        check_value("vm stop web --grace=5s", "vm stop", "--grace", "5s");
        check_value("vm stop web", "vm stop", "--grace", "60s");
        check_value("vm start -- --paused", "vm start", "VM", "--paused");
        check_value("vdi export a -", "vdi export", "FILE", "-");
        check_value("call a /b c d -5", "call", "ARGUMENT", "-5");
        check_value("vm create web --memory 1GiB", "vm create", "--memory", "1GiB");
}

static void test_what_may_come_several_times(void) {
        g_autoptr(GError) error = NULL;
        struct arguments *arguments = parse("vm create web --disk a --label x=1 --disk b,mode=ReadOnly", &error);
        const char *const *disks = arguments_all(arguments, "--disk");

        g_assert_no_error(error);
        g_assert_cmpuint(g_strv_length((char **) disks), ==, 2);
        g_assert_cmpstr(disks[1], ==, "b,mode=ReadOnly");
        g_assert_cmpstr(arguments_all(arguments, "--nic")[0], ==, NULL);
        arguments_free(arguments);
        arguments = parse("vdi attach d me Nbd File", &error);
        g_assert_cmpuint(g_strv_length((char **) arguments_all(arguments, "KIND")), ==, 2);
        arguments_free(arguments);
}

static void test_misuse_is_refused(void) {
        g_autofree char *long_name = g_strnfill(10000, 'x'), *line = g_strconcat("vm ", long_name, NULL);

        check_refused("sing", "no command 'sing'");
        check_refused("vm sing", "no command 'vm sing'; xcpctl vm --help");
        check_refused("vm disk sing", "xcpctl vm disk --help");
        check_refused("vm start", "VM is missing");
        check_refused("vm start a b", "'b' is one argument too many");
        check_refused("vm start --sideways a", "no option --sideways");
        check_refused("vm create --option a=b c", "no option --option here; did you mean --backend-option?");
        check_refused("vm create --name=a", "no option --name here: NAME is written alone");
        check_refused("vm start --paused=yes a", "--paused takes no value");
        check_refused("vm start --paused --paused a", "given twice");
        check_refused("vm stop a --grace", "--grace needs a value");
        check_refused("vm stop a --grace soon", "'soon' is no duration");
        check_refused("vm stop a --grace 5000000", "is more than");
        check_refused("vm set-memory a much", "'much' is no size");
        check_refused("vm set-vcpus a 4294967296", "no number from 0 to 4294967295");
        check_refused("vm create a --kind Magic", "none of Auto, Hvm, Pvh, Pv");
        check_refused("vdi attach d me", "KIND is missing");
        check_refused(line, "no command 'vm xxx");
}

/* What is nearly right, and what other tools have. */
static void test_a_suggestion_is_made(void) {
        check_refused("vm strat", "did you mean vm start?");
        check_refused("vm disk ad", "did you mean vm disk add?");
        check_refused("imag list", "did you mean image?");
        check_refused("vm ls", "did you mean vm list?");
        check_refused("vm rm", "did you mean vm destroy?");
        check_refused("image rm", "did you mean image remove?");
        check_refused("vm disk delete", "did you mean vm disk remove?");
        check_refused("ps", "did you mean vm list?");
        check_refused("console", "did you mean vm console?");
        check_refused("vm create --memroy 1GiB a", "no option --memroy here; did you mean --memory?");
        check_refused("vm start --pausd a", "did you mean --paused?");
}

static void test_invalid_utf8_is_refused(void) {
        g_autoptr(GError) error = NULL;

        g_assert_null(arguments_new((const char *const[]) { "vm", "start", "\377", NULL }, &error));
        g_assert_nonnull(strstr(error->message, "UTF-8"));
}

static void check_group(const char *line, const char *words) {
        g_autoptr(GError) error = NULL;
        struct arguments *arguments = parse(line, &error);

        g_assert_no_error(error);
        g_assert_null(arguments_command(arguments));
        g_assert_cmpstr(arguments_words(arguments), ==, words);
        arguments_free(arguments);
}

static void test_words_of_a_group(void) {
        check_group("", "");
        check_group("vm", "vm");
        check_group("vm disk --help", "vm disk");
        check_group("--help", "");
}

static bool kind_fits(enum parameter_kind kind, const char *type) {
        switch (kind) {
        case PARAMETER_RECORD:
                return strcmp(type, "[") > 0;
        case PARAMETER_FLAG:
                return strcmp(type, "b") == 0;
        case PARAMETER_NUMBER:
        case PARAMETER_DURATION:
                return strcmp(type, "u") == 0;
        case PARAMETER_SIZE:
                return strcmp(type, "t") == 0;
        case PARAMETER_VM:
        case PARAMETER_VDI:
        case PARAMETER_SR:
        case PARAMETER_IMAGE:
                return strcmp(type, "o") == 0;
        case PARAMETER_WORD:
                return strchr(type, '[') != NULL;
        case PARAMETER_FILE:
                return strcmp(type, "h") == 0;
        default:
                return strcmp(type, "s") == 0;
        }
}

/* Whether what a command says is what its method takes. Its own function may take them in another order. */
static void check_operation(const struct command *command) {
        const struct contract_call *call = contract_call(command->interface, command->method);
        unsigned n = 0;

        g_test_message("%s", command->name);
        g_assert_nonnull(call);
        if (command->run != operation_run)
                return;
        for (; call->inputs[n].name; n++) {
                const struct parameter *parameter = operation_parameter(command, n);

                g_assert_nonnull(parameter);
                g_assert_true(kind_fits(parameter->kind, call->inputs[n].type));
                if (parameter->kind == PARAMETER_RECORD)
                        g_assert_cmpstr(contract_named(call->inputs[n].type)->name, ==, parameter->type);
        }
        g_assert_null(operation_parameter(command, n));
}

static void check_parameters(const struct command *command) {
        struct parameters *parameters = parameters_new(command);
        const struct parameter *parameter;
        bool optional = false;

        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++) {
                g_assert_true(parameter->help && g_str_has_suffix(parameter->help, "."));
                g_assert_true(parameters_find(parameters, parameter->name) == parameter);       /* no two have one name */
                if (parameter->kind == PARAMETER_WORD)
                        g_assert_nonnull(contract_named(parameter->type));
                if (parameter_is_option(parameter))
                        continue;
                g_assert_false(optional && !(parameter->flags & PARAMETER_OPTIONAL));
                optional = parameter->flags & PARAMETER_OPTIONAL;
        }
        parameters_free(parameters);
}

static void test_the_table_fits_the_contract(void) {
        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++) {
                        g_assert_true(command_find(command->name) == command);
                        g_assert_false(command_is_group(command->name));
                        g_assert_true(g_str_has_suffix(command->summary, "."));
                        g_assert_nonnull(command->run);
                        check_parameters(command);
                        if (command->method)
                                check_operation(command);
                }
}

/* Methods that people would look for have a command. */
static void test_every_method_of_a_vm_and_disk_has_a_command(void) {
        static const char *const interfaces[] = { "org.xen.xcp.xenopsd1.VM",  "org.xen.xcp.xenopsd1.Disk", "org.xen.xcp.xenopsd1.NetworkInterface",
                                                  "org.xen.xcp.storage1.SR", "org.xen.xcp.storage1.VDI", "org.xen.xcp.Task1" };
        static const char *const others[] = { "OpenConsole", "GetConsoleLog", "OpenPort", "ListVDIs", "StateChanged", "Finished" };

        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++)
                for (const struct contract_call *call = contract_interface(interfaces[i])->calls; call->name; call++) {
                        bool found = false;

                        for (size_t j = 0; j < G_N_ELEMENTS(others); j++)
                                found |= strcmp(others[j], call->name) == 0;
                        for (const struct command_group *group = command_groups; group->title; group++)
                                for (const struct command *command = group->commands; command->name; command++)
                                        found |= g_strcmp0(command->interface, interfaces[i]) == 0 && strcmp(command->method, call->name) == 0;
                        g_test_message("%s.%s", interfaces[i], call->name);
                        g_assert_true(found);
                }
}

static void check_completed(const char *const *words, const char *first) {
        g_autofree char *lines = complete(words);

        lines[strcspn(lines, "\t\n")] = '\0';
        g_assert_cmpstr(lines, ==, first);
}

static void test_completion_without_a_bus(void) {
        check_completed((const char *const[]) { "ser", NULL }, "services");
        check_completed((const char *const[]) { "vm", "disk", "rem", NULL }, "remove");
        check_completed((const char *const[]) { "vm", "start", "--pa", NULL }, "--paused");
        check_completed((const char *const[]) { "vm", "create", "a", "--on-crash", "", NULL }, "Halt");
        check_completed((const char *const[]) { "vm", "create", "a", "--mem", NULL }, "--memory");
        check_completed((const char *const[]) { "vdi", "import", "sr", "name", "", NULL }, ":files");
        check_completed((const char *const[]) { "--address", "unix:path=/no/such/bus", "vm", "start", "", NULL }, "");
        check_completed((const char *const[]) { "no", "such", "", NULL }, "");
        check_completed((const char *const[]) { "", NULL }, "services");
}

static void test_help_names_all_parameters(void) {
        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++) {
                        struct parameters *parameters = parameters_new(command);
                        g_autofree char *help = help_of_command(command), *all = help_of_group(""), *page = help_mdoc(), *heading = NULL;
                        const struct parameter *parameter;

                        heading = g_strdup_printf(".Ss %s\n", command->name);
                        g_assert_nonnull(strstr(page, heading));
                        g_assert_nonnull(strstr(all, command->name));
                        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++)
                                g_assert_true(strstr(help, parameter->name) || strstr(all, parameter->name));
                        parameters_free(parameters);
                }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/arguments/commands-have-several-words", test_commands_have_several_words);
        g_test_add_func("/arguments/options-stand-anywhere", test_options_stand_anywhere);
        g_test_add_func("/arguments/what-may-come-several-times", test_what_may_come_several_times);
        g_test_add_func("/arguments/misuse-is-refused", test_misuse_is_refused);
        g_test_add_func("/arguments/a-suggestion-is-made", test_a_suggestion_is_made);
        g_test_add_func("/arguments/invalid-utf8-is-refused", test_invalid_utf8_is_refused);
        g_test_add_func("/arguments/words-of-a-group", test_words_of_a_group);
        g_test_add_func("/commands/the-table-fits-the-contract", test_the_table_fits_the_contract);
        g_test_add_func("/commands/every-method-of-a-vm-and-disk-has-a-command", test_every_method_of_a_vm_and_disk_has_a_command);
        g_test_add_func("/commands/completion-without-a-bus", test_completion_without_a_bus);
        g_test_add_func("/commands/help-names-all-parameters", test_help_names_all_parameters);
        return g_test_run();
}
