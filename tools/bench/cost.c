/* What a row must at least do, and how long that takes at least. The formulas are those of docs/bench.md. */
#include "bench/bench.h"

#include <math.h>

/* Refinements of the smoothing filter's agents: its default. */
#define SMOOTH_ROUNDS  3
#define SMOOTH_FEATURE 5
#define SMOOTH_COLOUR  3

/* One softmax stage over `pairs` logits: dot products, weighted sums, one exponential each. */
static bench_cost stage(double pairs, double dim, double dim_v)
{
    return (bench_cost){.flops = 2.0 * pairs * (dim + dim_v), .exps = pairs};
}

static bench_cost smooth(const bench_shape *s)
{
    const double pixels = (double)(s->height * s->width);
    const double pairs = pixels * (double)bench_shape_agents(s);
    const bench_cost refine = stage(pairs, SMOOTH_FEATURE, SMOOTH_FEATURE);
    const bench_cost colours = stage(pairs, SMOOTH_FEATURE, SMOOTH_COLOUR);
    return (bench_cost){.bytes = 2.0 * SMOOTH_COLOUR * sizeof(float) * pixels,
                        .flops = SMOOTH_ROUNDS * refine.flops + 2.0 * colours.flops,
                        .exps = SMOOTH_ROUNDS * refine.exps + 2.0 * colours.exps};
}

bench_cost bench_cost_of(bench_op op, const bench_shape *s, clattn_type type)
{
    const double dim = (double)s->dim;
    const double problems = (double)(s->batch * s->heads);
    const double tokens =
        problems * (double)bench_shape_tokens(s) * dim; /* elements of q, k, v, out */
    const double agents = problems * (double)bench_shape_agents(s) * dim; /* of agents, va */
    const double pairs = problems * (double)bench_shape_tokens(s) * (double)bench_shape_agents(s);
    const double convolution =
        2.0 * problems * (double)(s->height * s->width) * dim * (double)(s->dwc_size * s->dwc_size);
    const bool uses_v = s->dwc_size > 0 || s->v_shortcut != 0.0f;
    const bench_cost one = stage(pairs, dim, dim);
    bench_cost cost = {0};

    switch (op) {
    case BENCH_AGENT_POOL:
        cost = (bench_cost){.bytes = tokens + agents, .flops = tokens};
        break;
    case BENCH_AGENT_AGGREGATE:
        cost = (bench_cost){2.0 * tokens + 2.0 * agents, one.flops, one.exps};
        break;
    case BENCH_AGENT_BROADCAST:
        cost = (bench_cost){(uses_v ? 3.0 : 2.0) * tokens + 2.0 * agents, one.flops + convolution,
                            one.exps};
        break;
    case BENCH_ATTENTION:
        cost = stage(problems * (double)bench_shape_tokens(s) * (double)bench_shape_tokens(s), dim,
                     dim);
        cost.bytes = 4.0 * tokens;
        break;
    case BENCH_DWC:
        cost = (bench_cost){.bytes = 2.0 * tokens, .flops = convolution};
        break;
    case BENCH_SMOOTH:
        return smooth(s);
    default:
        cost = (bench_cost){4.0 * tokens + (s->agents_given ? agents : 0.0),
                            2.0 * one.flops + convolution + (s->agents_given ? 0.0 : tokens),
                            2.0 * one.exps};
    }
    cost.bytes *= (double)bench_type_bytes(type);
    return cost;
}

/* amount / rate, 0 where the roof is not known. */
static double at_least(double amount, const bench_roofs *roofs, bench_roof_name name)
{
    const double rate = roofs->roof[name].value;
    return rate > 0.0 ? amount / rate : 0.0;
}

static double moving(const bench_cost *cost, const bench_roofs *roofs, bool warm)
{
    return warm ? 0.0 : at_least(cost->bytes, roofs, BENCH_ROOF_COPY);
}

static double computing(const bench_cost *cost, const bench_roofs *roofs)
{
    return at_least(cost->flops, roofs, BENCH_ROOF_FMA) +
           at_least(cost->exps, roofs, BENCH_ROOF_EXP2);
}

bench_roof_name bench_bound_roof(const bench_cost *cost, const bench_roofs *roofs, bool warm)
{
    return moving(cost, roofs, warm) > computing(cost, roofs) ? BENCH_ROOF_COPY : BENCH_ROOF_FMA;
}

double bench_bound(const bench_cost *cost, const bench_roofs *roofs, bool warm)
{
    return fmax(moving(cost, roofs, warm), computing(cost, roofs));
}

const char *bench_above_roof(const bench_cost *cost, const bench_roofs *roofs, bool warm,
                             double seconds)
{
    if (seconds < at_least(cost->flops, roofs, BENCH_ROOF_FMA))
        return bench_roof_texts[BENCH_ROOF_FMA].name;
    if (seconds < at_least(cost->exps, roofs, BENCH_ROOF_EXP2))
        return bench_roof_texts[BENCH_ROOF_EXP2].name;
    if (!warm && seconds < at_least(cost->bytes, roofs, BENCH_ROOF_COPY))
        return bench_roof_texts[BENCH_ROOF_COPY].name;
    return seconds < bench_bound(cost, roofs, warm) ? "bound" : NULL;
}

double bench_drift(double start, double end)
{
    return start > 0.0 && end > 0.0 ? end / start - 1.0 : 0.0;
}

bench_roofs bench_roofs_better(const bench_roofs *a, const bench_roofs *b)
{
    bench_roofs better = *a;
    for (int i = 0; i < BENCH_ROOFS; i++) {
        const bool less_is_better = i == BENCH_ROOF_LAUNCH;
        const double old = a->roof[i].value;
        const double other = b->roof[i].value;
        if (other > 0.0 && (old <= 0.0 || (less_is_better ? other < old : other > old)))
            better.roof[i] = b->roof[i];
    }
    return better;
}
