/* Reads size distributions and draws from them.
 *
 * "etc-key" and "etc-value" are the sizes of Facebook's ETC pool as published by Atikoglu, Xu, Frachtenberg, Jiang
 * and Paleczny, "Workload Analysis of a Large-Scale Key-Value Store", SIGMETRICS 2012, section 5: keys follow a
 * generalised extreme value distribution, values of 15 bytes and more a generalised Pareto distribution, and
 * smaller values the paper's table 5. */
#include "sizes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "options.h"

#define ETC_KEY_LOCATION 30.7984
#define ETC_KEY_SCALE 8.20449
#define ETC_KEY_SHAPE 0.078688
#define ETC_VALUE_SCALE 214.476
#define ETC_VALUE_SHAPE 0.348238

/* The share of values with 0, 1, ... 14 bytes. */
static const double etc_small_values[] = {0.00536, 0.00047, 0.17820, 0.09239, 0.00018,
                                          0.02740, 0.00065, 0.00606, 0.00023, 0.00837,
                                          0.00837, 0.08989, 0.00092, 0.00326, 0.01980};
#define ETC_SMALL_VALUES (sizeof etc_small_values / sizeof etc_small_values[0])

static bool skip(const char **text, const char *word)
{
    const size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool read_two(const char **text, char between, int64_t *first, int64_t *second, int64_t high)
{
    return options_read_number(text, 0, high, first) && *(*text)++ == between &&
           options_read_number(text, 0, high, second);
}

static bool read_any(const char *text, struct sizes *sizes, int64_t high)
{
    int64_t mean;

    if (skip(&text, "uniform:")) {
        sizes->kind = SIZES_UNIFORM;
        return read_two(&text, '-', &sizes->low, &sizes->high, high) && sizes->low <= sizes->high && *text == '\0';
    }
    if (skip(&text, "exp:")) {
        sizes->kind = SIZES_EXP;
        const bool read = read_two(&text, ':', &mean, &sizes->high, high) && mean > 0 && *text == '\0';

        sizes->mean = read ? (double)mean : 0;
        return read && sizes->high >= sizes->low;
    }
    if (skip(&text, "etc-key")) {
        sizes->kind = SIZES_ETC_KEY;
        return *text == '\0';
    }
    if (skip(&text, "etc-value")) {
        sizes->kind = SIZES_ETC_VALUE;
        return *text == '\0';
    }
    const bool read = options_read_number(&text, 0, high, &sizes->low) && *text == '\0';

    sizes->high = sizes->low;
    return read;
}

struct sizes sizes_read(const char *option, const char *text, int64_t low, int64_t high)
{
    struct sizes sizes = {.kind = SIZES_FIXED, .low = low, .high = high};
    char wanted[160];

    if (read_any(text, &sizes, high) && sizes.low >= low)
        return sizes;
    snprintf(wanted, sizeof wanted,
             "want BYTES, uniform:A-B, exp:MEAN:MAX, etc-key or etc-value, with sizes from %d to %d", (int)low,
             (int)high);
    fail_usage(option, wanted);
}

static double draw_etc_key(struct rng *rng)
{
    const double e = rng_exponential(rng, 1);

    return ETC_KEY_LOCATION + ETC_KEY_SCALE * (pow(e, -ETC_KEY_SHAPE) - 1) / ETC_KEY_SHAPE;
}

static double draw_etc_value(struct rng *rng)
{
    double u = rng_uniform(rng);

    for (size_t i = 0; i < ETC_SMALL_VALUES; i++) {
        if (u <= etc_small_values[i])
            return (double)i;
        u -= etc_small_values[i];
    }
    return (double)ETC_SMALL_VALUES + rng_pareto(rng, ETC_VALUE_SCALE, ETC_VALUE_SHAPE);
}

static uint32_t within(const struct sizes *sizes, double size)
{
    if (size <= (double)sizes->low)
        return (uint32_t)sizes->low;
    return size >= (double)sizes->high ? (uint32_t)sizes->high : (uint32_t)size;
}

uint32_t sizes_draw(const struct sizes *sizes, struct rng *rng)
{
    switch (sizes->kind) {
    case SIZES_UNIFORM:
        return (uint32_t)(sizes->low + (int64_t)(rng_next(rng) % (uint64_t)(sizes->high - sizes->low + 1)));
    case SIZES_EXP:
        return within(sizes, rng_exponential(rng, sizes->mean));
    case SIZES_ETC_KEY:
        return within(sizes, draw_etc_key(rng));
    case SIZES_ETC_VALUE:
        return within(sizes, draw_etc_value(rng));
    case SIZES_FIXED:
    default:
        return (uint32_t)sizes->low;
    }
}
