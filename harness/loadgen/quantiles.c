/* Gathers values of all workers and selects their quantiles. */
#include "quantiles.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "events.h"

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

struct quantiles quantiles_of(int64_t *values, size_t count, int64_t bound_ns)
{
    struct quantiles result = {0};

    if (count == 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        if (values[i] > result.max_ns)
            result.max_ns = values[i];
        result.above += values[i] > bound_ns;
    }
    result.p50_ns = select_kth(values, count, (count - 1) / 2);
    result.p99_ns = select_kth(values, count, (count - 1) * 99 / 100);
    return result;
}

static int64_t *room(struct worker *const *workers, size_t count)
{
    size_t records = 1;

    for (size_t i = 0; i < count; i++)
        records += workers[i]->last - workers[i]->first;
    int64_t *values = malloc(records * sizeof *values);

    if (values == NULL)
        fail("reserve memory for the lateness", NULL, errno);
    return values;
}

/* How much later than it could be a request was sent. In a burst all are due together, and cannot leave together:
 * what it takes to send the earlier ones makes none of them late, unless a single send takes beyond the bound. */
static int64_t lateness(const struct sample *sample, const struct sample *before, int64_t of_before, int64_t bound_ns)
{
    if (before == NULL || before->intended_ns != sample->intended_ns)
        return sample->sent_ns - sample->intended_ns;
    const int64_t gap_ns = sample->sent_ns - before->sent_ns;

    return of_before + (gap_ns > bound_ns ? gap_ns : 0);
}

struct quantiles quantiles_lateness(struct worker *const *workers, size_t count, int64_t bound_ns)
{
    int64_t *values = room(workers, count);
    size_t filled = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t at = workers[i]->first; at < workers[i]->last; at++) {
            const struct sample *sample = &workers[i]->samples.records[at];
            const bool is_first = at == workers[i]->first;

            values[filled] = lateness(sample, is_first ? NULL : sample - 1, is_first ? 0 : values[filled - 1], bound_ns);
            filled++;
        }
    const struct quantiles result = quantiles_of(values, filled, bound_ns);

    free(values);
    return result;
}

struct quantiles quantiles_turnaround(struct worker *const *workers, size_t count)
{
    int64_t *values = room(workers, count);
    size_t filled = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t at = workers[i]->first + 1; at < workers[i]->last; at++) {
            const struct sample *before = &workers[i]->samples.records[at - 1];

            if (before->latency_ns != SAMPLE_LOST) /* no reply, so no turnaround */
                values[filled++] = before[1].sent_ns - before->sent_ns - before->latency_ns;
        }
    const struct quantiles result = quantiles_of(values, filled, INT64_MAX);

    free(values);
    return result;
}
