/* Writes recorded requests to a file whose reader learns the columns from the file itself. */
#include "samples_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "phases.h"

#define FLAG_PHASES 1u
#define FLAG_TIMES 2u
#define BASE_COLUMNS 4
#define TIMES_COLUMNS 3
#define UNKNOWN_NS INT64_MIN
#define CHUNK_RECORDS 1024

struct file_header {
    char magic[8];
    uint32_t record_bytes, flags;
    uint64_t count;
    int64_t start_ns, start_realtime_ns;
    uint32_t columns;
    unsigned char rest[20];
};

struct file_column {
    char name[24];
    char type[8]; /* numpy's code */
};

struct __attribute__((packed)) file_times {
    int64_t received_ns, sent_ns; /* as intended_ns; UNKNOWN_NS: not told */
    uint32_t tid;
};

/* Without padding between the columns, and with the phases or times only if they were asked for. */
struct __attribute__((packed)) file_record {
    int64_t intended_ns, latency_ns, service_ns;
    uint32_t connection;
    union {
        int64_t phases[PHASE_COUNT];
        struct file_times times;
    } rest;
};

#define BASE_RECORD_BYTES offsetof(struct file_record, rest)
#define TIMES_RECORD_BYTES (BASE_RECORD_BYTES + sizeof(struct file_times))

_Static_assert(sizeof(struct file_header) == 64, "readers skip 64 bytes");
_Static_assert(sizeof(struct file_column) == 32, "readers take 32 bytes per column");
_Static_assert(BASE_RECORD_BYTES == 28 && TIMES_RECORD_BYTES == 48, "columns lie one after the other");

struct output {
    int file;
    const char *path;
};

int samples_file_create(const char *path)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (file < 0)
        fail("create the samples file", path, errno);
    return file;
}

static void write_all(const struct output *output, const void *data, size_t size)
{
    const unsigned char *rest = data;

    while (size > 0) {
        const ssize_t written = write(output->file, rest, size);

        if (written > 0) {
            rest += written;
            size -= (size_t)written;
        } else if (errno != EINTR) {
            fail("write the samples file", output->path, errno);
        }
    }
}

static void write_column(const struct output *output, const char *name, const char *type)
{
    struct file_column column = {0};

    memcpy(column.name, name, strlen(name)); /* all are shorter than the field */
    memcpy(column.type, type, strlen(type));
    write_all(output, &column, sizeof column);
}

static size_t record_size(const struct load *load)
{
    return load->phases ? sizeof(struct file_record) : load->times ? TIMES_RECORD_BYTES : BASE_RECORD_BYTES;
}

static void write_head(const struct output *output, struct worker *const *workers, size_t count)
{
    const struct load *load = workers[0]->load;
    struct file_header header = {
        .record_bytes = (uint32_t)record_size(load),
        .flags = load->phases ? FLAG_PHASES : load->times ? FLAG_TIMES : 0,
        .start_ns = workers[0]->start_ns,
        .start_realtime_ns = workers[0]->start_ns + stamping_clock_offset(),
        .columns = BASE_COLUMNS + (load->phases ? PHASE_COUNT : load->times ? TIMES_COLUMNS : 0),
    };

    memcpy(header.magic, "PBSAMP02", sizeof header.magic);
    for (size_t i = 0; i < count; i++)
        header.count += workers[i]->last - workers[i]->first;
    write_all(output, &header, sizeof header);
    write_column(output, "intended_ns", "<i8");
    write_column(output, "latency_ns", "<i8");
    write_column(output, "service_ns", "<i8");
    write_column(output, "connection", "<u4");
    for (size_t i = 0; load->phases && i < PHASE_COUNT; i++)
        write_column(output, phase_names[i], "<i8");
    if (load->times) {
        write_column(output, "server_received_ns", "<i8");
        write_column(output, "server_sent_ns", "<i8");
        write_column(output, "server_tid", "<u4");
    }
}

static struct file_record make_record(const struct worker *worker, const struct sample *sample,
                                      const struct stamps *stamps)
{
    const bool lost = sample->latency_ns == SAMPLE_LOST;
    struct file_record record = {
        .intended_ns = sample->intended_ns - worker->start_ns,
        .latency_ns = sample->latency_ns,
        .service_ns = lost ? SAMPLE_LOST : sample->intended_ns + sample->latency_ns - sample->sent_ns,
        .connection = sample->connection,
    };
    int64_t phases[PHASE_COUNT];

    if (worker->load->phases) {
        phases_of(sample, stamps, phases);
        memcpy(record.rest.phases, phases, sizeof phases);
    } else if (worker->load->times) {
        const bool known = stamps->server_sent_ns != 0;

        record.rest.times = (struct file_times){
            known ? stamps->server_received_ns - worker->start_ns : UNKNOWN_NS,
            known ? stamps->server_sent_ns - worker->start_ns : UNKNOWN_NS,
            (uint32_t)stamps->server_tid,
        };
    }
    return record;
}

static void write_records(const struct output *output, const struct worker *worker)
{
    static unsigned char chunk[CHUNK_RECORDS * sizeof(struct file_record)];
    const struct samples *samples = &worker->samples;
    const size_t record_bytes = record_size(worker->load);
    size_t filled = 0;

    for (size_t i = worker->first; i < worker->last; i++) {
        const struct file_record record = make_record(
            worker, &samples->records[i], samples->stamps == NULL ? NULL : &samples->stamps[i]);

        memcpy(chunk + filled, &record, record_bytes);
        filled += record_bytes;
        if (filled + record_bytes > sizeof chunk || i + 1 == worker->last) {
            write_all(output, chunk, filled);
            filled = 0;
        }
    }
}

void samples_file_write(int file, const char *path, struct worker *const *workers, size_t count)
{
    const struct output output = {file, path};

    write_head(&output, workers, count);
    for (size_t i = 0; i < count; i++)
        write_records(&output, workers[i]);
    if (close(file) != 0)
        fail("write the samples file", path, errno);
}
