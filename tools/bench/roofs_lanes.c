/*
 * See roofs_lanes.h. The arithmetic is that of the CPU path itself, from its own header: a roof in another form than the kernels'
 * would not be theirs. Every chain starts from its own loaded value, and all are stored.
 */
#include "bench/roofs_lanes.h"

#include "cpu/lanes.h"

#define PASTE(name, suffix)  bench_lanes##suffix
#define EXPAND(name, suffix) PASTE(name, suffix)
#define TEXT_OF(suffix)      #suffix
#define TEXT(suffix)         TEXT_OF(suffix)

_Static_assert(BENCH_LANES == LANES, "chains are as long as the CPU path's lanes");

FORCE_INLINE void load(int chains, const float *data, float x[][LANES])
{
    EACH_ROW (i, chains)
        EACH_LANE (lane)
            x[i][lane] = data[i * LANES + lane];
}

FORCE_INLINE void store(int chains, float *data, float x[][LANES])
{
    EACH_ROW (i, chains)
        EACH_LANE (lane)
            data[i * LANES + lane] = x[i][lane];
}

FORCE_INLINE void fma_chains(int chains, float *data, const float *restrict terms, int64_t steps)
{
    float x[BENCH_LANE_CHAINS][LANES];
    load(chains, data, x);
    for (int64_t s = 0; s < steps; s++)
        EACH_ROW (i, chains)
            EACH_LANE (lane)
                x[i][lane] = mad(x[i][lane], terms[lane], terms[LANES + lane]);
    store(chains, data, x);
}

FORCE_INLINE void exp2_chains(int chains, float *data, int64_t steps)
{
    float x[BENCH_LANE_CHAINS][LANES];
    load(chains, data, x);
    for (int64_t s = 0; s < steps; s++)
        EACH_ROW (i, chains)
            EACH_LANE (lane)
                x[i][lane] = exp2_lane(x[i][lane] - 1.25f);
    store(chains, data, x);
}

static int fma_loop(int chains, float *data, const float *terms, int64_t steps)
{
    switch (chains) {
    case 2:
        fma_chains(2, data, terms, steps);
        return 1;
    case 3:
        fma_chains(3, data, terms, steps);
        return 1;
    case 4:
        fma_chains(4, data, terms, steps);
        return 1;
    case 6:
        fma_chains(6, data, terms, steps);
        return 1;
    case 8:
        fma_chains(8, data, terms, steps);
        return 1;
    case 12:
        fma_chains(12, data, terms, steps);
        return 1;
    default:
        return 0;
    }
}

static int exp2_loop(int chains, float *data, int64_t steps)
{
    switch (chains) {
    case 2:
        exp2_chains(2, data, steps);
        return 1;
    case 3:
        exp2_chains(3, data, steps);
        return 1;
    case 4:
        exp2_chains(4, data, steps);
        return 1;
    case 6:
        exp2_chains(6, data, steps);
        return 1;
    case 8:
        exp2_chains(8, data, steps);
        return 1;
    case 12:
        exp2_chains(12, data, steps);
        return 1;
    default:
        return 0;
    }
}

static void gather(const float *from, int64_t count, float *sums)
{
    float x[4][LANES];
    load(4, sums, x);
    for (int64_t i = 0; i < count; i += 4 * LANES)
        EACH_ROW (j, 4)
            EACH_LANE (lane)
                x[j][lane] += from[i + j * LANES + lane];
    store(4, sums, x);
}

/* The suffix without its underscore. */
const bench_lanes EXPAND(lanes, CLATTN_CPU_VARIANT) = {
    .name = &TEXT(CLATTN_CPU_VARIANT)[1], .fma = fma_loop, .exp2 = exp2_loop, .gather = gather};
