#include "fill.h"

#include <math.h>
#include <stdlib.h>

/* SplitMix64 (Steele, Lea, Flood 2014): every state is good, so neighbouring seeds are too. */
uint64_t fill_next(fill_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t fill_range(fill_random *random, int64_t low, int64_t high)
{
    return low + (int64_t)(fill_next(random) % (uint64_t)(high - low + 1));
}

int fill_once_in(fill_random *random, int64_t chances)
{
    return fill_range(random, 1, chances) == 1;
}

/* [-1, 1), in steps of 2^-23. */
static float unit(fill_random *random)
{
    return (float)(int32_t)(fill_next(random) >> 40) * 0x1p-23f - 1.0f;
}

const char *fill_name(fill_kind kind)
{
    static const char *const names[FILL_KINDS] = {"uniform", "equal", "tiny", "alternating"};
    return names[kind];
}

void fill_floats(fill_random *random, fill_kind kind, int64_t count, float *values)
{
    for (int64_t i = 0; i < count; i++)
        switch (kind) {
        case FILL_EQUAL:
            values[i] = 0.5f;
            break;
        case FILL_TINY:
            values[i] = unit(random) * 1e-30f;
            break;
        case FILL_ALTERNATING:
            values[i] = i % 2 == 0 ? 1.0f : -1.0f;
            break;
        default:
            values[i] = unit(random);
        }
}

float *fill_new(fill_random *random, fill_kind kind, int64_t count)
{
    float *array = calloc(count > 0 ? (size_t)count : 1, sizeof *array);
    if (array == NULL)
        abort();
    fill_floats(random, kind, count, array);
    return array;
}

void fill_round(clattn_type type, int64_t count, float *values)
{
    if (type != CLATTN_F16)
        return;
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        clattn_f16_from_f32(values + i, &half, 1);
        clattn_f32_from_f16(&half, values + i, 1);
    }
}

void fill_additive(fill_random *random, int64_t excluded, int64_t count, float *values)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = excluded > 0 && fill_once_in(random, excluded) ? -INFINITY : unit(random);
}

uint64_t fill_seed(void)
{
    const char *text = getenv("CLATTN_TEST_SEED");
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : 20231214;
}
