/* Seeded random numbers: the same seed gives the same arrivals and sizes on every host. */
#ifndef POLLBENCH_RNG_H
#define POLLBENCH_RNG_H

#include <math.h>
#include <stdint.h>

/* xoshiro256++ by Blackman and Vigna: long period, a few cycles per number. */
struct rng {
    uint64_t state[4];
};

/* Streams of one seed are independent of each other: one per thread and purpose. */
struct rng rng_make(uint64_t seed, uint64_t stream);

static inline uint64_t rng_rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    const uint64_t result = rng_rotate(s[0] + s[3], 23) + s[0];
    const uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

/* Uniform in (0, 1]: its logarithm and its powers are finite. */
static inline double rng_uniform(struct rng *rng)
{
    return (double)((rng_next(rng) >> 11) + 1) * 0x1p-53;
}

static inline double rng_exponential(struct rng *rng, double mean)
{
    return -log(rng_uniform(rng)) * mean;
}

/* Generalised Pareto with location 0. */
static inline double rng_pareto(struct rng *rng, double scale, double shape)
{
    return scale * (pow(rng_uniform(rng), -shape) - 1) / shape;
}

#endif
