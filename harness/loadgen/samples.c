/* Holds the measured requests in resident memory and writes them to a file. */
#include "samples.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "events.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the sample file is written as it lies in memory, which must be little endian"
#endif

/* Warm-up may be slower than the measurement (cold caches, CPUs asleep): leave plenty of room. But a closed loop
 * is never faster than its fastest round trip, and a long measurement takes memory by the gigabyte. */
#define MEAN_RATE_MARGIN 4
#define PEAK_RATE_MARGIN 1.5
#define SPARE_RECORDS 65536

struct file_header {
    char magic[8];
    uint32_t record_bytes;
    uint32_t reserved;
    uint64_t count;
    int64_t start_ns, start_realtime_ns;
    unsigned char rest[24];
};

_Static_assert(sizeof(struct file_header) == 64, "readers skip 64 bytes");
_Static_assert(sizeof(struct sample) == 16, "readers take 16 bytes per record");

/* Half of the free memory at most: running out of room is reported, taking the host down is not. */
static double records_in_free_memory(void)
{
    const double bytes = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

    return bytes / 2 / (double)sizeof(struct sample);
}

static double records_wanted(struct pace pace, int64_t duration_ns)
{
    const double mean = (double)pace.requests / (double)pace.elapsed_ns * MEAN_RATE_MARGIN;
    const double peak = PEAK_RATE_MARGIN / (double)pace.fastest_ns;
    /* With no answer at all the mean rate is that of the timeouts, and it is all there is to go by. */
    const double rate = pace.fastest_ns == INT64_MAX || mean < peak ? mean : peak;

    return rate * (double)duration_ns + SPARE_RECORDS;
}

struct samples samples_allocate(struct pace pace, int64_t duration_ns)
{
    struct samples samples = {0};
    double wanted = records_wanted(pace, duration_ns);

    if (wanted > records_in_free_memory())
        wanted = records_in_free_memory();
    samples.capacity = (size_t)wanted;
    const size_t bytes = samples.capacity * sizeof(struct sample);

    samples.records =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (samples.records == MAP_FAILED)
        fail("reserve memory for samples", NULL, errno);
    (void)mlock(samples.records, bytes); /* best effort, as in launch_lock_memory */
    return samples;
}

int samples_create(const char *path)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (file < 0)
        fail("create the samples file", path, errno);
    return file;
}

static void write_all(int file, const void *data, size_t size, const char *path)
{
    const unsigned char *rest = data;

    while (size > 0) {
        const ssize_t written = write(file, rest, size);

        if (written > 0) {
            rest += written;
            size -= (size_t)written;
        } else if (errno != EINTR) {
            fail("write the samples file", path, errno);
        }
    }
}

void samples_write(const struct samples *samples, int file, const char *path)
{
    struct file_header header = {
        .record_bytes = sizeof(struct sample),
        .count = samples->count,
        .start_ns = samples->start_ns,
        .start_realtime_ns = samples->start_realtime_ns,
    };

    memcpy(header.magic, "PBSAMP01", sizeof header.magic);
    write_all(file, &header, sizeof header, path);
    write_all(file, samples->records, samples->count * sizeof(struct sample), path);
    if (close(file) != 0)
        fail("write the samples file", path, errno);
}

/* The k-th smallest value, by narrowing around a pivot; reorders the values. */
static int64_t select_kth(int64_t *values, size_t count, size_t k)
{
    size_t low = 0;
    size_t high = count - 1;

    while (low < high) {
        const int64_t pivot = values[low + (high - low) / 2];
        size_t left = low;
        size_t right = high;

        for (;;) {
            while (values[left] < pivot)
                left++;
            while (values[right] > pivot)
                right--;
            if (left >= right)
                break;
            const int64_t swapped = values[left];

            values[left++] = values[right];
            values[right--] = swapped;
        }
        if (k <= right)
            high = right;
        else
            low = right + 1;
    }
    return values[k];
}

struct turnaround samples_turnaround(const struct samples *samples)
{
    struct turnaround result = {0};
    int64_t *gaps = malloc((samples->count + 1) * sizeof *gaps);
    size_t count = 0;

    if (gaps == NULL)
        fail("reserve memory for the turnaround", NULL, errno);
    for (size_t i = 1; i < samples->count; i++) {
        const struct sample *before = &samples->records[i - 1];

        if (before->rtt_ns == SAMPLE_LOST) /* no reply, so no turnaround */
            continue;
        gaps[count] = samples->records[i].send_ns - before->send_ns - before->rtt_ns;
        if (gaps[count] > result.max_ns)
            result.max_ns = gaps[count];
        count++;
    }
    if (count > 0)
        result.p99_ns = select_kth(gaps, count, (count - 1) * 99 / 100);
    free(gaps);
    return result;
}
