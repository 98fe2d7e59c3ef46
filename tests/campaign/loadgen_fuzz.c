/* A fuzz target for what the load generator reads: its options, requests at a server, replies at a client.
 *
 * With clang's libFuzzer as it is; with any other compiler and -DOWN_MAIN it makes its inputs itself, by a seed:
 * loadgen_fuzz SECONDS SEED [FILE]. All sources are compiled with -Dexit=fuzz_exit, so that a refusal ends the input
 * and not the program. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "arrivals.h"
#include "client_options.h"
#include "connection.h"
#include "cpulist.h"
#include "xdp_frame.h"
/* For its options, which are its own. */
#include "server.c"

/* Its errors are said by one thread alone, the last thing that the program does: here there are more to come. */
#include <stdatomic.h>
#undef atomic_flag_test_and_set
#define atomic_flag_test_and_set(flag) ((void)(flag), false)
#include "events.c"

#define WORDS_MAX 64
#define DRAWS 64
#define SIZES_OPTION "--size"

static jmp_buf refused;

_Noreturn void fuzz_exit(int code);

void fuzz_exit(int code)
{
    fflush(stdout);
    longjmp(refused, code == 0 ? 1 : code);
}

/* What must hold, whatever came. */
static void hold(int condition, const char *meant)
{
    if (!condition) {
        fprintf(stderr, "does not hold: %s\n", meant);
        abort();
    }
}

/* The text's lines as words, in memory of their own. Returns how many. */
static int words_of(char *text, char **words)
{
    int count = 0;

    for (char *rest = text, *word; count < WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;)
        words[count++] = word;
    words[count] = NULL;
    return count;
}

static void draw(const struct sizes *sizes, const char *meant)
{
    struct rng rng = rng_make(1, 2);

    for (int i = 0; i < DRAWS; i++) {
        const int64_t size = sizes_draw(sizes, &rng);

        hold(size >= sizes->low && size <= sizes->high, meant);
    }
}

/* Requests as the client of these options would send them, and the schedule it would keep. */
static void fuzz_client(int count, char **words)
{
    const char *samples = NULL;
    const struct load load = client_options_read(count, words, &samples);
    struct traffic traffic = traffic_make(&load.traffic);
    struct arrivals arrivals = arrivals_make(load.arrivals, load.rate > 0 ? load.rate : 1, load.burst, 0, load.threads);

    traffic_begin(&traffic, load.seed, 1);
    for (uint64_t i = 0; i < DRAWS; i++) {
        const size_t bytes = traffic_build(&traffic, i);

        hold(bytes >= traffic.prefix && traffic.prefix <= REQUEST_PREFIX_MAX, "a request holds its prefix");
    }
    traffic_free(&traffic);
    arrivals_begin(&arrivals, 0, load.seed, 1);
    for (int i = 0; i < DRAWS; i++)
        arrivals_advance(&arrivals);
}

static void fuzz_server_options(int count, char **words)
{
    const struct server_plan plan = read_options(count, words);

    draw(&plan.framing.request, "a request's size is within its bounds");
    draw(&plan.framing.response, "a response's size is within its bounds");
}

static struct framing framing_of(uint8_t choice)
{
    static const char *const sizes[] = {"64", "exp:200:5000", "uniform:64-9000", "1048576"};

    return framing_read(PROTOCOL_TCP, sizes[choice & 3], choice & 4 ? "uniform:64-3000" : NULL,
                        (choice & 24) == 8, (choice & 24) == 16);
}

/* A stream of requests as pieces, each at the end of memory that is just large enough. */
static void fuzz_requests(uint8_t choice, const uint8_t *data, size_t size)
{
    struct server_plan plan = {.framing = framing_of(choice), .threads = 1};
    struct server server = {.plan = &plan, .rng = rng_make(1, 1)};
    int ends[2];
    size_t have = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        abort();
    const size_t room = answer_buffer_bytes(&server);
    unsigned char *buffer = malloc(room);

    server.reply = malloc((size_t)plan.framing.response.high);
    for (int usable = 1; size > 0 && usable;) {
        char drained[4096];
        size_t piece = 1 + data[0] * (size_t)16;

        piece = piece > size ? size : piece;
        piece = piece > room - have ? room - have : piece;
        hold(piece > 0, "there is room for more of a request that is not whole");
        memcpy(buffer + have, data, piece);
        have += piece;
        data += piece;
        size -= piece;
        usable = answer_stream(&server, ends[0], buffer, &have, 0);
        hold(have <= room, "what is left fits");
        while (read(ends[1], drained, sizeof drained) > 0)
            continue;
    }
    free(server.reply);
    free(buffer);
    close(ends[0]);
    close(ends[1]);
}

/* A stream of replies as pieces. */
static void fuzz_replies(uint8_t choice, const uint8_t *data, size_t size)
{
    struct traffic_plan plan = {.app = choice & 16 ? APP_MEMCACHED : APP_ECHO, .framing = framing_of(choice)};
    struct connection connection = {0};
    struct memcached_tally tally = {0};

    while (size > 0) {
        size_t piece = 1 + data[0] % 61;

        piece = piece > size ? size : piece;
        unsigned char *copy = malloc(piece);
        const unsigned char *at = copy;
        size_t left = piece;

        memcpy(copy, data, piece);
        data += piece;
        size -= piece;
        while (left > 0) {
            const struct arrived arrived = connection_take(&connection, &plan, &at, &left);

            if (arrived.malformed)
                connection.have = 0, connection.left = 0, left = 0;
            else if (arrived.complete && plan.app == APP_MEMCACHED)
                memcached_count(&tally, connection.head);
        }
        free(copy);
    }
}

/* A frame of ours comes back as it was; with some bytes others, and cut, it is read within its memory or refused. */
static void fuzz_frames(const uint8_t *data, size_t size)
{
    const struct xdp_path path = {.source = 1, .target = 2, .source_port = 3, .target_port = 4};
    const size_t payload = size > XDP_PAYLOAD_MAX ? XDP_PAYLOAD_MAX : size;
    unsigned char *frame = malloc(XDP_HEAD_BYTES + payload);
    struct xdp_path found;
    size_t bytes = xdp_frame_write(frame, &path, data, payload), got = 0;
    const unsigned char *read = xdp_frame_read(frame, bytes, &found, &got);

    hold(read == frame + XDP_HEAD_BYTES && got == payload && memcmp(read, data, got) == 0, "a frame comes back");
    for (size_t i = 0; i + 1 < size && i < 8; i += 2)
        frame[data[i] % bytes] = data[i + 1];
    bytes -= data[size - 1] % bytes;
    frame = realloc(frame, bytes);
    read = xdp_frame_read(frame, bytes, &found, &got);
    hold(read == NULL || (size_t)(read - frame) + got <= bytes, "a payload is within its frame");
    for (size_t i = 0; read != NULL && i < got; i++)
        hold(read[i] <= UINT8_MAX, "it can be read");
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text, *words[WORDS_MAX + 1];

    if (size < 2)
        return 0;
    text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (setjmp(refused) == 0) {
        switch (data[0] & 0xe0) {
        case 0x00:
        case 0x20:
            fuzz_client(words_of(text, words), words);
            break;
        case 0x40:
            fuzz_server_options(words_of(text, words), words);
            break;
        case 0x60:
            cpulist_check(text);
            break;
        case 0x80:
        case 0xa0:
            fuzz_requests(data[0] & 15, data + 1, size - 1);
            break;
        case 0xe0:
            fuzz_frames(data + 1, size - 1);
            break;
        default:
            fuzz_replies(data[0] & 31, data + 1, size - 1);
        }
    }
    free(text);
    return 0;
}

#ifdef OWN_MAIN
static const char *const parts[] = {
    "--protocol\nudp\n", "--protocol\ntcp\n", "--connect\n::1\n", "--listen\n127.0.0.1\n", "--port\n80\n", "--wait\nepoll\n",
    "--wait\nspin\n", "--size\n64\n", "--size=exp:100:900\n", "--size\nuniform:16-70\n", "--response-size\netc-value\n",
    "--loop\nopen\n", "--rate\n1e3\n", "--arrivals\nburst\n", "--burst\n7\n", "--depth\n5\n", "--connections\n9\n",
    "--threads\n2\n", "--thread-cpus\n0-1,3\n", "--phases\n", "--protocol-app\nmemcached\n", "--keys\n1073741824\n",
    "--key-size\netc-key\n", "--value-size\n0\n", "--get-ratio\n0\n", "--preload\n", "--warmup-ns\n1\n", "--duration-ns\n1\n",
    "--count\n9\n", "--timeout-ns\n1000\n", "--samples\nx\n", "--stall\n1:2\n", "--service\nclock:5\n", "--seed\n1\n",
    "--epoll-busy-poll\n1,2,1\n", "--busy-poll\n5\n", "--", "=", "\n", "-1", "9223372036854775807", "1e308", "nan", "0,,",
    "\x40\0\0\0\0\0\0\0\x40\0\0\0\x40\0\0\0", "\x81\0\0\0\0\0\0\0\0\0\0\x09", "\xff\xff\xff\xff",
};

/* One input: parts in a row, in which some bytes are then others. */
static size_t make(uint8_t *data, size_t room, struct rng *rng)
{
    size_t size = 0;

    data[size++] = (uint8_t)rng_next(rng);
    for (uint64_t count = rng_next(rng) % 24; count > 0; count--) {
        const char *part = parts[rng_next(rng) % (sizeof parts / sizeof parts[0])];
        const size_t length = part[0] == '\x40' || part[0] == '\x81' ? 16 : strlen(part);

        if (size + length > room)
            break;
        memcpy(data + size, part, length < 12 || part[0] == '\x40' ? length : strnlen(part, length));
        size += length;
    }
    while (rng_next(rng) % 3 == 0 && size < room)
        data[size++] = (uint8_t)rng_next(rng);
    for (uint64_t count = rng_next(rng) % 4; count > 0; count--)
        data[rng_next(rng) % size] = (uint8_t)rng_next(rng);
    return size;
}

int main(int argc, char **argv)
{
    static uint8_t data[4096];
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, tried = 0;

    if (argc > 3) {
        FILE *file = fopen(argv[3], "rb");

        return file == NULL || LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
    }
    if (freopen("/dev/null", "w", stdout) == NULL)
        return 1;
    for (; time(NULL) < end; seed++, tried++) {
        struct rng rng = rng_make(seed, 0);
        const size_t size = make(data, sizeof data, &rng);
        const int file = open("loadgen_fuzz.input", O_WRONLY | O_CREAT | O_TRUNC, 0644);

        /* What is on the disk when it ends is the input that ended it. */
        if (file < 0 || write(file, data, size) != (ssize_t)size)
            return 1;
        close(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    unlink("loadgen_fuzz.input");
    fprintf(stderr, "%llu inputs, the last by seed %llu\n", (unsigned long long)tried, (unsigned long long)seed - 1);
    return 0;
}
#endif
