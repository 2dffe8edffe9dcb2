/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of the QEMU backend needs no QEMU: options, facts, states, command lines, and processes. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "command-line.h"
#include "devices.h"
#include "source.h"
#include "status.h"

/* Options */

static int read_option(const char *key, const char *value, struct qemu_options *ret_options) {
        const struct xcp_dict_s_s_entry entry = { key, value };
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = qemu_options_read(ret_options, &entry, 1, &error);
        g_assert_cmpint(r < 0, ==, error.name != NULL);
        idl_error_done(&error);
        return r;
}

static void test_options(void) {
        struct qemu_options options;

        g_assert_cmpint(qemu_options_read(&options, NULL, 0, NULL), ==, 0);
        g_assert_cmpint(options.machine, ==, QEMU_Q35);
        g_assert_cmpint(options.accelerator, ==, QEMU_AUTO);
        g_assert_cmpint(read_option("machine", "microvm", &options), ==, 0);
        g_assert_cmpint(options.machine, ==, QEMU_MICROVM);
        g_assert_cmpint(read_option("hotplug-slots", "16", &options), ==, 0);
        g_assert_cmpuint(options.hotplug_slots, ==, 16);
        g_assert_cmpint(read_option("cpu", "Haswell,+avx2,-rtm,level=13", &options), ==, 0);
        g_assert_cmpstr(options.cpu, ==, "Haswell,+avx2,-rtm,level=13");
}

static void test_bad_options(void) {
        static const char *const bad[][2] = {
                { "machine", "" }, { "machine", "pc-i440fx" }, { "accelerator", "xen" }, { "watchdog", "yes" }, { "hotplug-slots", "17" },
                { "hotplug-slots", "" }, { "hotplug-slots", "-1" }, { "hotplug-slots", "1x" }, { "hotplug-slots", "001" }, { "cpu", "" },
                { "cpu", "-drive" }, { "cpu", "max /etc" }, { "display", "" }, { "display", "sdl" }, { "unknown", "1" }, { "", "" },
        };
        struct xcp_dict_s_s_entry together[] = { { "machine", "microvm" }, { "display", "vnc" } };
        struct idl_error error = IDL_ERROR_NULL;
        struct qemu_options options;

        g_assert_cmpint(qemu_options_read(&options, together, 2, &error), ==, -EINVAL);
        idl_error_done(&error);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(read_option(bad[i][0], bad[i][1], &options), ==, -EINVAL);
}

/* Facts */

static void test_facts(void) {
        struct facts facts = { .phase = FACTS_STARTED, .process = { 1234, UINT64_C(98765432101234) }, .started_usec = UINT64_C(1) << 50,
                               .machine = QEMU_PC, .n_slots = 3 }, again;
        g_autofree char *text = NULL;

        strcpy(facts.slots[1].device, "disk-a");
        facts.vcpus = 3;
        facts.n_queues = 1;
        facts_set_mac(&facts, "b", "00:16:3e:00:00:02");
        facts_set_mac(&facts, "b", "00:16:3e:00:00:03");
        facts_set_unplugged(&facts, "disk-a", true);
        facts_set_unplugged(&facts, "net-b", true);
        facts_set_unplugged(&facts, "disk-a", true);
        facts_set_unplugged(&facts, "disk-a", false);
        g_assert_cmpuint(facts.n_unplugged, ==, 1);
        g_assert_cmpint(facts_print(&facts, "boot", &text), ==, 0);
        g_assert_cmpint(facts_parse(&again, text, "other"), ==, -ESTALE);
        g_assert_cmpint(facts_parse(&again, text, "boot"), ==, 0);
        g_assert_cmpint(again.process.pid, ==, 1234);
        g_assert_cmpuint(again.process.start, ==, facts.process.start);
        g_assert_cmpuint(again.started_usec, ==, facts.started_usec);
        g_assert_cmpint(facts_find_slot(&again, "disk-a"), ==, 1);
        g_assert_cmpint(facts_find_slot(&again, ""), ==, 0);
        g_assert_cmpint(facts_find_slot(&again, "disk-b"), ==, -1);
        g_assert_true(facts_is_unplugged(&again, "net-b"));
        g_assert_cmpuint(again.vcpus, ==, 3);
        g_assert_cmpuint(again.n_queues, ==, 1);
        g_assert_cmpstr(facts_find_mac(&again, "b"), ==, "00:16:3e:00:00:03");
        g_assert_true(facts_has_mac(&again, "00:16:3E:00:00:03"));
        g_assert_false(facts_has_mac(&again, "00:16:3e:00:00:02"));
}

static void test_damaged_facts(void) {
        struct facts facts = { .phase = FACTS_BEGUN, .machine = QEMU_Q35 }, again;
        g_autofree char *text = NULL;

        g_assert_cmpint(facts_print(&facts, "boot", &text), ==, 0);
        for (size_t n = strlen(text); n-- > 0;) {
                text[n] = '\0';
                g_assert_cmpint(facts_parse(&again, text, "boot"), ==, -EBADMSG);
        }
        g_assert_cmpint(facts_parse(&again, "{\"boot\": \"boot\"}", "boot"), ==, -EBADMSG);
        g_assert_cmpint(facts_parse(&again, "[]", "boot"), ==, -EBADMSG);
}

static void test_files(void) {
        struct facts facts = { .phase = FACTS_PREPARED, .machine = QEMU_Q35 }, again;
        g_autofree char *path = g_dir_make_tmp("xcp-facts-XXXXXX", NULL);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        g_assert_cmpint(facts_load(&again, "boot", fd), ==, -ENOENT);
        g_assert_cmpint(facts_save(&facts, "boot", fd), ==, 0);
        g_assert_cmpint(facts_load(&again, "boot", fd), ==, 0);
        g_assert_cmpint(again.phase, ==, FACTS_PREPARED);
        g_assert_cmpint(unlinkat(fd, FACTS_FILE, 0), ==, 0);
        close(fd);
        g_assert_cmpint(rmdir(path), ==, 0);    /* and nothing else is in it */
}

/* States */

static void assert_status(const char *run_state, bool started, enum qemu_shutdown shutdown, enum hypervisor_state state,
                          enum hypervisor_event event) {
        struct hypervisor_status status = {};

        qemu_status_read(&status, run_state, started, shutdown);
        g_assert_cmpint(status.state, ==, state);
        g_assert_cmpint(status.event, ==, event);
}

static void test_status(void) {
        assert_status("prelaunch", false, 0, HYPERVISOR_PREPARED, 0);
        assert_status("prelaunch", true, 0, HYPERVISOR_SUSPENDED, 0);
        assert_status("running", true, QEMU_SHUTDOWN_RESET, HYPERVISOR_RUNNING, 0);
        assert_status("paused", true, 0, HYPERVISOR_SUSPENDED, 0);
        assert_status("postmigrate", true, 0, HYPERVISOR_SUSPENDED, 0);
        assert_status("shutdown", true, QEMU_SHUTDOWN_GUEST, HYPERVISOR_ENDED, HYPERVISOR_POWERED_OFF);
        assert_status("shutdown", true, QEMU_SHUTDOWN_UNKNOWN, HYPERVISOR_ENDED, HYPERVISOR_POWERED_OFF);
        assert_status("shutdown", true, QEMU_SHUTDOWN_RESET, HYPERVISOR_ENDED, HYPERVISOR_REBOOTED);
        assert_status("shutdown", true, QEMU_SHUTDOWN_HOST, HYPERVISOR_ENDED, HYPERVISOR_EXITED);
        assert_status("guest-panicked", true, 0, HYPERVISOR_ENDED, HYPERVISOR_PANICKED);
        assert_status("watchdog", true, 0, HYPERVISOR_ENDED, HYPERVISOR_WATCHDOG);
        assert_status("io-error", true, 0, HYPERVISOR_ENDED, HYPERVISOR_DISK_FAILED);
        assert_status("internal-error", true, 0, HYPERVISOR_ENDED, HYPERVISOR_BROKEN);
        assert_status("", true, 0, HYPERVISOR_ENDED, HYPERVISOR_BROKEN);
        assert_status("of-tomorrow", true, 0, HYPERVISOR_ENDED, HYPERVISOR_BROKEN);
}

#define RUNNING "runstate_set current_run_state 6 (prelaunch) new_state 9 (running)\n"
#define SHUT_DOWN "runstate_set current_run_state 9 (running) new_state 11 (shutdown)\n"
#define REQUEST "qemu_system_shutdown_request reason="

static void assert_shutdown(const char *log, enum qemu_shutdown expected) {
        g_assert_cmpint(qemu_shutdown_from_log(log, strlen(log)), ==, expected);
}

static void test_shutdown(void) {
        assert_shutdown("", QEMU_SHUTDOWN_UNKNOWN);
        assert_shutdown("\n\n", QEMU_SHUTDOWN_UNKNOWN);
        assert_shutdown(RUNNING REQUEST "6\n" SHUT_DOWN, QEMU_SHUTDOWN_GUEST);
        assert_shutdown(RUNNING SHUT_DOWN, QEMU_SHUTDOWN_RESET);
        assert_shutdown(RUNNING REQUEST "6\n" SHUT_DOWN RUNNING "something\n" SHUT_DOWN, QEMU_SHUTDOWN_RESET);
        assert_shutdown(RUNNING REQUEST "8\n", QEMU_SHUTDOWN_PANIC);
        assert_shutdown(RUNNING REQUEST "4\n", QEMU_SHUTDOWN_HOST);
        assert_shutdown(RUNNING REQUEST "66\n", QEMU_SHUTDOWN_HOST);
        assert_shutdown("6\n" SHUT_DOWN, QEMU_SHUTDOWN_UNKNOWN);       /* the log is longer than what is read of it */
}

static void test_last_words(void) {
        static const char log[] = "first\nqemu-system-x86_64: -m 1\x01G: no \xff memory\n" RUNNING "\n";
        static const char blockdev[] = "qemu-system-x86_64: -blockdev {\"node-name\":\"a\",\"file\":{\"driver\":\"file\",\"filename\":\"/x\"}}: "
                                       "Could not open '/x': No such file\n";
        char text[64], short_text[8];

        qemu_last_words(log, strlen(log), text, sizeof text);
        g_assert_cmpstr(text, ==, "-m 1 G: no ? memory");
        qemu_last_words(blockdev, strlen(blockdev), text, sizeof text);
        g_assert_cmpstr(text, ==, "Could not open '/x': No such file");
        qemu_last_words(log, strlen(log), short_text, sizeof short_text);
        g_assert_cmpstr(short_text, ==, "-m 1 G:");
        qemu_last_words(RUNNING, strlen(RUNNING), text, sizeof text);
        g_assert_cmpstr(text, ==, "");
}

/* Command lines */

static bool has(char **argv, const char *option, const char *value) {
        for (size_t i = 0; argv[i]; i++)
                if (strcmp(argv[i], option) == 0 && (!value || (argv[i + 1] && strcmp(argv[i + 1], value) == 0)))
                        return true;
        return false;
}

static char **make(struct command_line *line, struct facts *facts) {
        struct idl_error error = IDL_ERROR_NULL;
        char **argv;

        g_assert_cmpint(command_line_place(line->config, line->options, facts, &error), ==, 0);
        line->facts = facts;
        g_assert_cmpint(command_line_make(line, &argv), ==, 0);
        return argv;
}

static struct xcp_disk_spec disk_specs[] = { { .name = "a-disk-with-a-name-of-32-letters", .kind = XCP_DISK_KIND_DISK,
                                               .has_boot_index = true, .boot_index = 1 } };
static struct xcp_network_interface_spec networks[] = { { .name = "up", .network = "br0", .mac = "52:54:00:00:00:01", .carrier = true },
                                                        { .name = "own", .network = "user", .mac = "52:54:00:00:00:02" } };
static struct xcp_dict_s_s_entry parameters[] = { { "format", "qcow2" } };
static const struct xcp_data_path path = { .kind = XCP_DATA_PATH_KIND_FILE, .mode = XCP_DISK_MODE_READ_WRITE, .path = "/a,b=\"c\"",
                                           .parameters = parameters, .n_parameters = 1 };
static struct hypervisor_disk disks[] = { { disk_specs, &path } };
static struct xcp_vm_spec spec = { .name = "web", .uuid = "1-2", .memory = UINT64_C(512) << 20, .vcpus = 2, .firmware = XCP_FIRMWARE_BIOS,
                                   .disks = disk_specs, .n_disks = 1, .network_interfaces = networks, .n_network_interfaces = 2 };

static void assert_disk(char **argv) {
        g_autofree char *blockdev = NULL, *device = NULL;
        char node[QEMU_ID_SIZE];

        source_node(disk_specs[0].name, node);
        g_assert_cmpuint(strlen(node), <, 32);
        blockdev = g_strdup_printf("{\"node-name\":\"%s\",\"driver\":\"qcow2\",\"read-only\":false,\"discard\":\"unmap\",\"file\":"
                                   "{\"driver\":\"file\",\"filename\":\"/a,b=\\\"c\\\"\",\"discard\":\"unmap\"}}", node);
        device = g_strdup_printf("{\"driver\":\"virtio-blk-pci\",\"id\":\"disk-a-disk-with-a-name-of-32-letters\",\"bus\":\"slot0\","
                                 "\"bootindex\":1,\"drive\":\"%s\",\"serial\":\"a-disk-with-a-name-o\",\"num-queues\":2,"
                                 "\"werror\":\"stop\",\"rerror\":\"stop\"}", node);
        g_assert_true(has(argv, "-blockdev", blockdev));
        g_assert_true(has(argv, "-device", device));
}

static void test_q35(void) {
        const struct hypervisor_config config = { &spec, disks };
        struct qemu_options options;
        struct facts facts = {};
        struct command_line line = { .program = "/qemu", .config = &config, .options = &options, .accelerator = QEMU_TCG };
        char **argv;

        g_assert_cmpint(qemu_options_read(&options, NULL, 0, NULL), ==, 0);
        argv = make(&line, &facts);
        g_assert_cmpstr(argv[0], ==, "/qemu");
        g_assert_true(has(argv, "-S", NULL));
        g_assert_true(has(argv, "-machine", "q35,accel=tcg,vmport=off"));
        g_assert_true(has(argv, "-cpu", "max"));
        g_assert_true(has(argv, "-m", "512M"));
        g_assert_true(has(argv, "-chardev", "socket,id=monitor,fd=3,server=on,wait=off"));
        assert_disk(argv);
        g_assert_false(has(argv, "-vnc", NULL));
        g_assert_true(has(argv, "-netdev", "{\"id\":\"netdev-up\",\"type\":\"tap\",\"fd\":\"6\"}"));
        g_assert_true(has(argv, "-netdev", "{\"id\":\"netdev-own\",\"type\":\"user\"}"));
        g_assert_false(has(argv, "-incoming", NULL));
        g_assert_cmpuint(facts.n_slots, ==, 7);         /* three devices, and four to come */
        command_line_free(argv);
}

static void test_other_machines(void) {
        const struct hypervisor_config config = { &spec, disks };
        struct qemu_options options;
        struct facts facts = {};
        struct command_line line = { .program = "/qemu", .config = &config, .options = &options, .accelerator = QEMU_KVM, .is_incoming = true };
        char **argv;

        g_assert_cmpint(read_option("machine", "pc", &options), ==, 0);
        options.display = QEMU_VNC;
        argv = make(&line, &facts);
        g_assert_true(has(argv, "-vnc", "unix:vnc0,share=ignore"));
        g_assert_true(has(argv, "-device", "VGA,addr=0x1f"));
        g_assert_true(has(argv, "-machine", "pc,accel=kvm,vmport=off"));
        g_assert_true(has(argv, "-cpu", "host"));
        g_assert_true(has(argv, "-incoming", "defer"));
        g_assert_cmpuint(facts.n_slots, ==, QEMU_PC_SLOTS);
        command_line_free(argv);

        facts = (struct facts) {};
        g_assert_cmpint(read_option("machine", "microvm", &options), ==, 0);
        argv = make(&line, &facts);
        g_assert_true(has(argv, "-device", "{\"driver\":\"virtio-net-device\",\"id\":\"net-up\",\"netdev\":\"netdev-up\","
                                           "\"mac\":\"52:54:00:00:00:01\"}"));
        g_assert_false(has(argv, "-device", "pvpanic"));
        command_line_free(argv);
}

static void test_microvm_has_to_be_told(void) {
        struct xcp_vm_spec micro = { .name = "micro", .uuid = "1-2", .memory = UINT64_C(64) << 20, .vcpus = 1, .firmware = XCP_FIRMWARE_KERNEL,
                                     .kernel = "/boot/vmlinuz", .command_line = "quiet" };
        const struct hypervisor_config config = { .spec = &micro };
        struct qemu_options options;
        struct facts facts = {};
        struct command_line line = { .program = "/qemu", .config = &config, .options = &options, .accelerator = QEMU_TCG, .ticks_khz = 2000000 };
        static const struct {
                const char *text, *expected;
        } cases[] = { { "quiet", "quiet tsc_early_khz=2000000 tsc=reliable" }, { NULL, "tsc_early_khz=2000000 tsc=reliable" }, { "tsc_early_khz=1", "tsc_early_khz=1" } };
        char **argv;

        g_assert_cmpint(read_option("machine", "microvm", &options), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                micro.command_line = cases[i].text;
                argv = make(&line, &facts);
                g_assert_true(has(argv, "-append", cases[i].expected));
                command_line_free(argv);
        }
        micro.command_line = "quiet";
        line.accelerator = QEMU_KVM;
        argv = make(&line, &facts);
        g_assert_true(has(argv, "-append", "quiet"));
        command_line_free(argv);
}

static void test_uefi(void) {
        const struct xcp_vm_spec uefi = { .name = "web", .uuid = "1-2", .memory = UINT64_C(512) << 20, .vcpus = 1,
                                          .firmware = XCP_FIRMWARE_UEFI };
        const struct hypervisor_config config = { .spec = &uefi };
        struct qemu_options options;
        struct facts facts = {};
        struct command_line line = { .program = "/qemu", .config = &config, .options = &options, .accelerator = QEMU_TCG,
                                     .firmware = "/code,of=all", .variables = "../its-own" };
        char **argv;

        g_assert_cmpint(qemu_options_read(&options, NULL, 0, NULL), ==, 0);
        argv = make(&line, &facts);
        g_assert_true(has(argv, "-machine", "q35,accel=tcg,vmport=off,pflash0=firmware,pflash1=variables"));
        g_assert_true(has(argv, "-blockdev", "{\"node-name\":\"firmware\",\"driver\":\"file\",\"filename\":\"/code,of=all\","
                                             "\"read-only\":true}"));
        g_assert_true(has(argv, "-blockdev", "{\"node-name\":\"variables\",\"driver\":\"file\",\"filename\":\"../its-own\","
                                             "\"read-only\":false}"));
        command_line_free(argv);
}

static void test_too_many(void) {
        enum { N = QEMU_PC_SLOTS + 1 };
        struct xcp_disk_spec many[N];
        struct xcp_vm_spec large = { .name = "large", .disks = many, .n_disks = N };
        const struct hypervisor_config config = { .spec = &large };
        struct idl_error error = IDL_ERROR_NULL;
        struct facts facts = {};
        struct qemu_options options;

        for (size_t i = 0; i < N; i++)
                many[i] = (struct xcp_disk_spec) { .name = g_strdup_printf("disk%zu", i), .kind = XCP_DISK_KIND_DISK };
        g_assert_cmpint(read_option("machine", "pc", &options), ==, 0);
        g_assert_cmpint(command_line_place(&config, &options, &facts, &error), ==, -E2BIG);
        idl_error_done(&error);
        for (size_t i = 0; i < N; i++)
                g_free((char *) many[i].name);
}

/* Processes */

struct run {
        sd_event *event;
        char how[PROCESS_WORDS_MAX];
};

static void on_end(void *userdata, const char *how) {
        struct run *run = userdata;

        g_strlcpy(run->how, how, sizeof run->how);
        sd_event_exit(run->event, 0);
}

static struct process *start(struct run *run, const char *script, const int *fds, size_t n_fds) {
        char *const argv[] = { (char *) "sh", (char *) "-c", (char *) script, NULL };
        int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        const struct process_spec process_spec = { .program = "/bin/sh", .argv = argv, .fds = fds, .n_fds = n_fds,
                                                   .directory_fd = directory, .log_fd = null };
        struct process *process;

        g_assert_cmpint(sd_event_new(&run->event), ==, 0);
        g_assert_cmpint(process_start(&process, run->event, &process_spec, on_end, run), ==, 0);
        close(directory);
        close(null);
        return process;
}

static void finish(struct run *run, struct process *process, const char *how) {
        g_assert_cmpint(sd_event_loop(run->event), ==, 0);
        g_assert_cmpstr(run->how, ==, how);
        process_free(process);
        sd_event_unref(run->event);
}

static void test_process(void) {
        struct run run = {};
        struct process *process;
        int fds[2];
        char text[8] = "";

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        process = start(&run, "echo hi >&3; exit 7", fds + 1, 1);
        g_assert_cmpint(process_release(process), ==, 0);
        finish(&run, process, "ended with status 7");
        g_assert_cmpint(read(fds[0], text, sizeof text - 1), ==, 3);
        close(fds[0]);
        close(fds[1]);
}

static void test_killed(void) {
        struct run run = {};
        struct process *process = start(&run, "sleep 100", NULL, 0);

        g_assert_cmpint(process_release(process), ==, 0);
        process_kill(process);
        finish(&run, process, "was killed by signal 9 (Killed)");
}

static void test_not_released(void) {
        struct run run = {};
        struct process *process = start(&run, "sleep 100", NULL, 0);
        struct process_identity identity = process_identity(process);

        process_free(process);          /* as if the manager had ended */
        g_assert_cmpint(kill(identity.pid, 0), ==, -1);
        g_assert_cmpint(process_kill_identity(&identity, 60000), ==, 0);
        sd_event_unref(run.event);
}

static void test_adopted(void) {
        struct run run = {};
        struct process *process = start(&run, "sleep 100", NULL, 0), *adopted;
        struct process_identity identity = process_identity(process), other = identity;

        g_assert_cmpint(process_release(process), ==, 0);
        other.start++;                  /* another that had the number before */
        g_assert_cmpint(process_adopt(&adopted, run.event, &other, on_end, &run), ==, -ESRCH);
        g_assert_cmpint(process_kill_identity(&other, 60000), ==, 0);
        g_assert_cmpint(kill(identity.pid, 0), ==, 0);
        g_assert_cmpint(process_adopt(&adopted, run.event, &identity, on_end, &run), ==, 0);
        process_free(process);
        g_assert_cmpint(process_kill_identity(&identity, 60000), ==, 0);
        finish(&run, adopted, "ended while another manager than the one that had started it was there to see");
        g_assert_cmpint(waitpid(identity.pid, NULL, 0), ==, identity.pid);
}

/* Many that do not end take no longer than one. */
static void test_patience(void) {
        uint64_t until = 0;

        g_assert_cmpuint(process_patience(&until, 1000000), ==, 5000);
        g_assert_cmpuint(process_patience(&until, 3000000), ==, 3000);
        g_assert_cmpuint(process_patience(&until, 6000000), ==, 0);
        g_assert_cmpuint(process_patience(&until, 10999999), ==, 0);
        g_assert_cmpuint(process_patience(&until, 11000000), ==, 5000);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/qemu/options", test_options);
        g_test_add_func("/qemu/bad-options-are-refused", test_bad_options);
        g_test_add_func("/qemu/facts/as-they-were", test_facts);
        g_test_add_func("/qemu/facts/damaged", test_damaged_facts);
        g_test_add_func("/qemu/facts/files", test_files);
        g_test_add_func("/qemu/states", test_status);
        g_test_add_func("/qemu/why-it-shut-down", test_shutdown);
        g_test_add_func("/qemu/last-words", test_last_words);
        g_test_add_func("/qemu/command-line/q35", test_q35);
        g_test_add_func("/qemu/command-line/pc-and-microvm", test_other_machines);
        g_test_add_func("/qemu/command-line/microvm-has-to-be-told", test_microvm_has_to_be_told);
        g_test_add_func("/qemu/command-line/uefi", test_uefi);
        g_test_add_func("/qemu/command-line/too-many-devices", test_too_many);
        g_test_add_func("/qemu/process/ends", test_process);
        g_test_add_func("/qemu/process/is-killed", test_killed);
        g_test_add_func("/qemu/process/that-was-not-released-ends", test_not_released);
        g_test_add_func("/qemu/process/is-adopted", test_adopted);
        g_test_add_func("/qemu/process/patience", test_patience);
        return g_test_run();
}
