/* Spreads a seed over the generator's state. */
#include "rng.h"

/* splitmix64: what xoshiro's authors seed it with, since it must not start from mostly zero bits. */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct rng rng_make(uint64_t seed, uint64_t stream)
{
    /* Mixed apart first, so that neighbouring seeds and streams share nothing. */
    uint64_t state = split_mix(&seed) ^ rng_rotate(split_mix(&stream), 32);
    struct rng rng;

    for (int i = 0; i < 4; i++)
        rng.state[i] = split_mix(&state);
    return rng;
}
