/* Sizes drawn from a distribution: of requests, responses, keys and values. */
#ifndef POLLBENCH_SIZES_H
#define POLLBENCH_SIZES_H

#include <stdint.h>

#include "rng.h"

enum sizes_kind { SIZES_FIXED, SIZES_UNIFORM, SIZES_EXP, SIZES_ETC_KEY, SIZES_ETC_VALUE };

struct sizes {
    enum sizes_kind kind;
    int64_t low, high; /* every size drawn lies within */
    double mean;       /* SIZES_EXP */
};

/* Reads "BYTES", "uniform:A-B", "exp:MEAN:MAX", "etc-key" or "etc-value". Ends the program on anything else, and
 * where a size could lie outside [low, high]; the distributions without bounds of their own are cut to them. */
struct sizes sizes_read(const char *option, const char *text, int64_t low, int64_t high);
uint32_t sizes_draw(const struct sizes *sizes, struct rng *rng);

#endif
