/* Sums and products of sizes that tell when they do not fit. */
#include "base/base.h"

bool clattn__mul(int64_t a, int64_t b, int64_t *result)
{
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b))
        return false;
    *result = a * b;
    return true;
}

bool clattn__add(int64_t a, int64_t b, int64_t *result)
{
    if (a < 0 || b < 0 || a > INT64_MAX - b)
        return false;
    *result = a + b;
    return true;
}
