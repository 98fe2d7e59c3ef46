/* pollbench-loadgen: launch options, then one of the modes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "changes.h"
#include "client.h"
#include "events.h"
#include "fwcfg.h"
#include "hog.h"
#include "launch.h"
#include "names.h"
#include "options.h"
#include "pages.h"
#include "queues.h"
#include "server.h"
#include "wire.h"

static const char help[] =
    "usage: pollbench-loadgen [LAUNCH OPTIONS] MODE [MODE OPTIONS]\n"
    "\n"
    "The native load generator of pollbench. It says what it does in JSON lines on standard output.\n"
    "\n"
    "launch options (any mode):\n"
    "  --parent PID --cgroup PROCS --netns PATH --cpus LIST --policy other|batch|idle|fifo|rr --priority 1-99\n"
    "  --nice -20..19\n"
    "modes:\n"
    "  server --protocol udp|tcp --listen ADDRESS --port N --wait blocking|spin|poll|select|epoll|uring --size SIZES\n"
    "         [--response-size SIZES] [--phases|--times] [--threads N] [--thread-cpus LIST]\n"
    "         [--seed N] [--service fixed:NS|exp:NS|clock:NS|bimodal:NS1:NS2:P] [--stall NS:PERIOD_NS]\n"
    "         [--udp-gro] [--uring-napi dynamic|static] [socket options]\n"
    "                                                       answers until SIGTERM; port 0: any\n"
    "  client --protocol udp|tcp --connect ADDRESS --port N --wait blocking|spin|poll|select|epoll --size SIZES\n"
    "         [--response-size SIZES] [--phases|--times] [--connect-per-request]\n"
    "         [--loop closed [--depth N]]\n"
    "         [--loop open --rate PER_SECOND [--arrivals constant|poisson|burst|etc] [--burst N] [--late-ns N]]\n"
    "         [--connections N] [--threads N] [--thread-cpus LIST] [--seed N]\n"
    "         [--protocol-app echo|memcached [--keys N] [--key-size SIZES] [--value-size SIZES]\n"
    "          [--get-ratio 0-1] [--preload]]\n"
    "         --warmup-ns N [--settle-ns N] --duration-ns N and/or --count N [--cooldown-ns N] --timeout-ns N\n"
    "         --samples FILE [socket options]               takes the lines go and finish on standard input\n"
    "  hog    --kind spin|syscall|cache|memory|network|poller --threads N --load PERCENT [--period-ns N]\n"
    "         [--working-set BYTES] [--connect ADDRESS --port N [--busy-poll USECS]]\n"
    "                                                       loads its CPUs until SIGTERM\n"
    "  exec   [--names FILE --room DIRECTORY] -- COMMAND [ARGUMENT]...\n"
    "                                                       becomes the command, which knows names of hosts\n"
    "  fwcfg  NAME                                          in a guest, when its input ends: writes a file of QEMU's -fw_cfg\n"
    "  pages  --wanted FILE [--cpu N] [--page-bytes N]      trace pages on standard input to records\n"
    "  links  --timetable FILE                              changes links at their times, from the line go until SIGTERM\n"
    "  queues --list FILE --every-ns N --points N --series FILE   looks into queues, from the line go until SIGTERM\n"
    "  capture --list FILE                                  keeps the last packets of links until SIGTERM\n"
    "  wire   --in NETNS --devices LIST --protocol udp|tcp --port N --records FILE --most N\n"
    "                                                       notes when packets of a port pass, until SIGTERM\n"
    "SIZES: BYTES, uniform:A-B, exp:MEAN:MAX, etc-key or etc-value; give a server the client's\n"
    "socket options:\n"
    "  --busy-poll USECS --prefer-busy-poll 0|1 --busy-poll-budget PACKETS\n"
  "  --incoming-cpu CPU --rcvlowat BYTES --max-pacing-rate BYTES_A_SECOND --nodelay 0|1 --quickack 0|1\n"
    "  --epoll-busy-poll USECS,BUDGET,PREFER                with --wait epoll\n"
    "  --receive-buffer BYTES --send-buffer BYTES           as the kernel counts and tells them\n"
    "  --socket kernel|af_xdp [--xdp-zero-copy] [--xdp-need-wakeup 0|1] [--xdp-queue N]\n"
    "                                                       udp by a socket of the kernel's stack, or beside it\n";

static int exec_main(int argc, char **argv)
{
    const char *names = NULL;
    const char *room = NULL;
    struct option_spec options[] = {{.name = "--names", .text = &names}, {.name = "--room", .text = &room}};
    const int at = options_parse(options, OPTION_COUNT(options), argc, argv);

    if (at < 1 || at >= argc || strcmp(argv[at - 1], "--") != 0)
        fail_usage("exec", "want -- and a command");
    if ((names == NULL) != (room == NULL))
        fail_usage("--names", "goes with --room");
    if (names != NULL)
        names_know(names, room);
    /* What is ignored stays ignored across exec, and a program that nobody modified may be stopped by it. */
    signal(SIGINT, SIG_DFL);
    execvp(argv[at], &argv[at]);
    fail("execute", argv[at], errno);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } modes[] = {
        {"server", server_main}, {"client", client_main}, {"hog", hog_main}, {"exec", exec_main}, {"fwcfg", fwcfg_main},
        {"pages", pages_main}, {"links", changes_main}, {"queues", queues_main},
        {"capture", capture_main}, {"wire", wire_main},
    };

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    argc -= 1;
    argv += 1;
    const int at = launch(argc, argv);

    if (at >= argc)
        fail_usage("pollbench-loadgen", "no mode given; see --help");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(argv[at], modes[i].name) == 0)
            return modes[i].run(argc - at - 1, argv + at + 1);
    fail_usage(argv[at], "want one of the modes: server client hog exec fwcfg pages links queues capture wire");
}
