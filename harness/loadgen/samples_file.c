/* Writes recorded requests to a file whose reader learns the columns from the file itself. */
#include "samples_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "phases.h"

#define FLAG_PHASES 1u
#define BASE_COLUMNS 4
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

/* Without padding between the columns, and with the phases only if they were asked for. */
struct __attribute__((packed)) file_record {
    int64_t intended_ns, latency_ns, service_ns;
    uint32_t connection;
    int64_t phases[PHASE_COUNT];
};

#define BASE_RECORD_BYTES offsetof(struct file_record, phases)

_Static_assert(sizeof(struct file_header) == 64, "readers skip 64 bytes");
_Static_assert(sizeof(struct file_column) == 32, "readers take 32 bytes per column");
_Static_assert(BASE_RECORD_BYTES == 28, "columns lie one after the other");

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

static void write_head(const struct output *output, struct worker *const *workers, size_t count, bool phases)
{
    struct file_header header = {
        .record_bytes = phases ? sizeof(struct file_record) : BASE_RECORD_BYTES,
        .flags = phases ? FLAG_PHASES : 0,
        .start_ns = workers[0]->start_ns,
        .start_realtime_ns = workers[0]->start_ns + stamping_clock_offset(),
        .columns = BASE_COLUMNS + (phases ? PHASE_COUNT : 0),
    };

    memcpy(header.magic, "PBSAMP02", sizeof header.magic);
    for (size_t i = 0; i < count; i++)
        header.count += workers[i]->last - workers[i]->first;
    write_all(output, &header, sizeof header);
    write_column(output, "intended_ns", "<i8");
    write_column(output, "latency_ns", "<i8");
    write_column(output, "service_ns", "<i8");
    write_column(output, "connection", "<u4");
    for (size_t i = 0; phases && i < PHASE_COUNT; i++)
        write_column(output, phase_names[i], "<i8");
}

static struct file_record make_record(const struct sample *sample, const struct stamps *stamps, int64_t start_ns)
{
    const bool lost = sample->latency_ns == SAMPLE_LOST;
    struct file_record record = {
        .intended_ns = sample->intended_ns - start_ns,
        .latency_ns = sample->latency_ns,
        .service_ns = lost ? SAMPLE_LOST : sample->intended_ns + sample->latency_ns - sample->sent_ns,
        .connection = sample->connection,
    };
    int64_t phases[PHASE_COUNT];

    if (stamps != NULL) {
        phases_of(sample, stamps, phases);
        memcpy(record.phases, phases, sizeof phases);
    }
    return record;
}

static void write_records(const struct output *output, const struct worker *worker)
{
    static unsigned char chunk[CHUNK_RECORDS * sizeof(struct file_record)];
    const struct samples *samples = &worker->samples;
    const size_t record_bytes = samples->stamps != NULL ? sizeof(struct file_record) : BASE_RECORD_BYTES;
    size_t filled = 0;

    for (size_t i = worker->first; i < worker->last; i++) {
        const struct file_record record = make_record(
            &samples->records[i], samples->stamps == NULL ? NULL : &samples->stamps[i], worker->start_ns);

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

    write_head(&output, workers, count, workers[0]->samples.stamps != NULL);
    for (size_t i = 0; i < count; i++)
        write_records(&output, workers[i]);
    if (close(file) != 0)
        fail("write the samples file", path, errno);
}
