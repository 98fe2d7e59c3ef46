/* Turns pages of one CPU's trace ring (per_cpu/cpuN/trace_pipe_raw of tracefs) into records of one size. What lies
 * where in an event differs from kernel to kernel, so the caller says so, from the kernel's format files. */
#include "pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "options.h"

#define PAGE_MAX (1 << 20)
#define PAGE_HEAD 16 /* the time of the first event, and how many bytes are filled */
#define KINDS_MAX 65536
#define LENGTH_MASK 0x3fffffffu /* above it: flags that say events were lost */
#define VALUES 2
#define COMMON_PID_AT 4
#define COMMON_BYTES 8

/* Types of entries in a ring, from include/linux/ring_buffer.h; shorter ones are data, in words of four bytes. */
enum { PADDING = 29, TIME_EXTEND = 30, TIME_STAMP = 31 };
/* The bits of a time stamp that an entry of its own leaves out. */
#define STAMP_HIGH (UINT64_C(0xf8) << 56)

/* Where an event has what is wanted of it. A size of zero: it has none; of a text -1: its place is told there. */
struct wanted {
    int kind, at[VALUES], size[VALUES], text_at, text_size;
};

struct __attribute__((packed)) record {
    int64_t ns;
    uint64_t values[VALUES];
    int32_t pid;
    uint16_t kind, cpu;
    char text[16];
};

_Static_assert(sizeof(struct record) == 48, "the reader takes 48 bytes");

static struct wanted *by_id[KINDS_MAX];

static uint64_t number(const unsigned char *at, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, at, size < sizeof value ? size : sizeof value);
    return value;
}

static void read_wanted(const char *path)
{
    FILE *file = fopen(path, "re");
    struct wanted w;
    int id;

    if (file == NULL)
        fail("read which events are wanted", path, errno);
    while (fscanf(file, "%d %d %d %d %d %d %d %d", &id, &w.kind, &w.at[0], &w.size[0], &w.at[1], &w.size[1],
                  &w.text_at, &w.text_size) == 8) {
        if (id < 0 || id >= KINDS_MAX || w.kind < 0 || w.kind > UINT16_MAX || w.at[0] < 0 || w.at[1] < 0 ||
            w.size[0] < 0 || w.size[1] < 0 || w.text_at < 0 || w.text_size < -1)
            fail_saying("read which events are wanted", path, "a line that makes no sense");
        if (by_id[id] == NULL && (by_id[id] = malloc(sizeof w)) == NULL)
            fail("reserve memory for events", NULL, ENOMEM);
        *by_id[id] = w;
    }
    fclose(file);
}

static void take_text(struct record *record, const struct wanted *w, const unsigned char *data, size_t bytes)
{
    size_t at = (size_t)w->text_at, size = w->text_size > 0 ? (size_t)w->text_size : 0;

    if (w->text_size == -1 && at + 4 <= bytes) {
        const uint64_t place = number(data + at, 4);

        at = place & 0xffff;
        size = place >> 16;
    }
    if (at >= bytes)
        return;
    if (size > bytes - at)
        size = bytes - at;
    strncpy(record->text, (const char *)data + at, size < sizeof record->text ? size : sizeof record->text - 1);
}

static void write_event(int64_t ns, int64_t cpu, const unsigned char *data, size_t bytes)
{
    const struct wanted *w = bytes < COMMON_BYTES ? NULL : by_id[number(data, 2)];
    struct record record = {.ns = ns, .cpu = (uint16_t)cpu};

    if (w == NULL)
        return;
    record.kind = (uint16_t)w->kind;
    record.pid = (int32_t)number(data + COMMON_PID_AT, 4);
    for (int i = 0; i < VALUES; i++)
        if (w->size[i] > 0 && (size_t)w->at[i] + (size_t)w->size[i] <= bytes)
            record.values[i] = number(data + w->at[i], (size_t)w->size[i]);
    take_text(&record, w, data, bytes);
    if (fwrite(&record, sizeof record, 1, stdout) != 1)
        fail("write the records", NULL, errno);
}

static void take_page(const unsigned char *page, size_t page_bytes, int64_t cpu)
{
    uint64_t ns = number(page, 8);
    size_t length = number(page + 8, 8) & LENGTH_MASK;

    if (length > page_bytes - PAGE_HEAD)
        length = page_bytes - PAGE_HEAD;
    for (const unsigned char *at = page + PAGE_HEAD, *end = at + length; at + 4 <= end;) {
        const uint64_t head = number(at, 4), type = head & 31, delta = head >> 5;
        size_t bytes = type * 4;

        at += 4;
        if ((type == 0 || type >= PADDING) && at + 4 > end)
            return;
        if (type == TIME_EXTEND || type == TIME_STAMP) {
            const uint64_t more = delta + (number(at, 4) << 27);

            ns = type == TIME_EXTEND ? ns + more : (ns & STAMP_HIGH) | more;
            at += 4;
            continue;
        }
        if (type == PADDING && delta == 0)
            return;
        if (type == 0 || type == PADDING) { /* its length is told apart, in the word that it counts too */
            bytes = number(at, 4);
            bytes = type == 0 ? bytes - 4 : bytes;
            at += type == 0 ? 4 : 0;
        }
        if (bytes > (size_t)(end - at))
            return;
        ns += delta;
        if (type != PADDING)
            write_event((int64_t)ns, cpu, at, bytes);
        at += bytes;
    }
}

int pages_main(int argc, char **argv)
{
    const char *wanted = NULL;
    int64_t cpu = 0, page_bytes = 4096;
    struct option_spec table[] = {
        {.name = "--wanted", .text = &wanted, .required = true},
        {.name = "--cpu", .number = &cpu, .high = UINT16_MAX},
        {.name = "--page-bytes", .number = &page_bytes, .low = PAGE_HEAD + 8, .high = PAGE_MAX},
    };
    static unsigned char page[PAGE_MAX];

    if (options_parse(table, OPTION_COUNT(table), argc, argv) < argc)
        fail_usage("pages", "takes options only");
    read_wanted(wanted);
    while (fread(page, 1, (size_t)page_bytes, stdin) == (size_t)page_bytes)
        take_page(page, (size_t)page_bytes, cpu);
    if (fflush(stdout) != 0)
        fail("write the records", NULL, errno);
    return EXIT_SUCCESS;
}
