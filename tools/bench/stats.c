/* Medians and percentiles. */
#include "bench/bench.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two nearest of the sorted values. */
static double quantile(const double *sorted, int count, double part)
{
    const double at = part * (double)(count - 1);
    const int low = (int)at;
    const int high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

bench_spread bench_spread_of(double *seconds, int count)
{
    if (count <= 0)
        return (bench_spread){0};
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    return (bench_spread){.median = quantile(seconds, count, 0.5),
                          .p10 = quantile(seconds, count, 0.1),
                          .p90 = quantile(seconds, count, 0.9),
                          .count = count};
}

const bench_spread *bench_row_time(const bench_row *row)
{
    return row->device.count > 0 ? &row->device : &row->wall;
}
