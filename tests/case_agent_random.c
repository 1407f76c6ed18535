#include "case_agent_random.h"

/* Head widths (d, dv). Each pair costs a build of every attention kernel, so the whole suite shares few of them. */
static const int64_t widths[][2] = {{8, 8}, {5, 3}, {17, 136}, {32, 32}, {1, 1}};
#define WIDTHS (sizeof widths / sizeof *widths)

static const int64_t primes[] = {523, 1031, 2053, 4099};
#define PRIMES (sizeof primes / sizeof *primes)

/* Most multiply-adds of one stage that a case may ask of the oracle. */
#define MOST_WORK       6000000
#define MOST_WORK_SMALL 20000

static void random_map(fill_random *random, case_agent *c, bool small)
{
    clattn_agent_attention_desc *d = &c->desc;
    const int64_t most = small ? 12 : 40;

    d->height = fill_range(random, 1, most);
    d->width = fill_range(random, 1, most);
    if (!small && fill_once_in(random, 6)) {
        const int64_t prime = primes[fill_range(random, 0, PRIMES - 1)];
        const int wide = fill_once_in(random, 2);
        d->height = wide ? 1 : prime;
        d->width = wide ? prime : 1;
    }
    d->class_tokens = fill_once_in(random, 2) ? 0 : fill_range(random, 1, 3);
    if (fill_once_in(random, 3)) {
        d->kv_height = fill_range(random, 1, d->height + 1);
        d->kv_width = fill_range(random, 1, d->width + 1);
    }
}

static void random_windows(fill_random *random, case_agent *c, bool small)
{
    clattn_agent_attention_desc *d = &c->desc;
    const int64_t most = small ? 4 : 12;

    d->window_height = fill_range(random, 1, most);
    d->window_width = fill_range(random, 1, most);
    d->height = d->window_height * fill_range(random, 1, small ? 2 : 4);
    d->width = d->window_width * fill_range(random, 1, small ? 2 : 4);
    if (fill_once_in(random, 2)) {
        d->shift_y = fill_range(random, 0, d->height - 1);
        d->shift_x = fill_range(random, 0, d->width - 1);
    }
}

/* A grid of another shape with as many entries as `tokens`. */
static void other_grid(fill_random *random, int64_t tokens, int64_t *height, int64_t *width)
{
    *height = fill_range(random, 1, tokens);
    while (tokens % *height != 0)
        --*height;
    *width = tokens / *height;
}

static void random_bias(fill_random *random, case_agent *c)
{
    const clattn_agent_attention_desc *d = &c->desc;
    const case_agent_sizes z = case_agent_size(d);

    c->trained_agents_h = fill_range(random, 1, 7);
    c->trained_agents_w = fill_range(random, 1, 7);
    c->trained_h = fill_range(random, 1, 20);
    c->trained_w = fill_range(random, 1, 20);
    if (fill_once_in(random, 3)) {
        const int64_t keys = (z.k_tokens - d->class_tokens) / z.windows;
        const int64_t queries = (z.q_tokens - d->class_tokens) / z.windows;
        other_grid(random, keys, &c->grid_h[0], &c->grid_w[0]);
        other_grid(random, queries, &c->grid_h[1], &c->grid_w[1]);
    }
}

static void random_options(fill_random *random, case_agent *c)
{
    clattn_agent_attention_desc *d = &c->desc;

    d->agents_given = fill_once_in(random, 4);
    d->has_key_bias = fill_once_in(random, 3);
    d->has_agent_vector = fill_once_in(random, 3);
    d->dwc_size = fill_once_in(random, 4) ? 0 : fill_range(random, 0, 3) * 2 + 1;
    d->has_dwc_bias = d->dwc_size > 0 && fill_once_in(random, 2);
    if (fill_once_in(random, 3))
        d->v_shortcut = (float)fill_range(random, -4, 4) * 0.25f;
    if (fill_once_in(random, 4)) {
        d->scale_aggregate = (float)fill_range(random, 1, 8) * 0.125f;
        d->scale_broadcast = (float)fill_range(random, 1, 8) * 0.125f;
    }
    c->excluded = fill_once_in(random, 2) ? 0 : fill_range(random, 1, 5);
    c->fill =
        fill_once_in(random, 4) ? (fill_kind)fill_range(random, 0, FILL_KINDS - 1) : FILL_UNIFORM;
}

void case_agent_random(fill_random *random, bool small, case_agent *c)
{
    int64_t work = INT64_MAX;

    while (work > (small ? MOST_WORK_SMALL : MOST_WORK)) {
        const size_t pair = small ? 0 : (size_t)fill_range(random, 0, WIDTHS - 1);
        *c = (case_agent){.desc = {.batch = fill_range(random, 1, 3),
                                   .heads = fill_range(random, 1, 3),
                                   .head_dim = widths[pair][0],
                                   .head_dim_v = widths[pair][1]}};
        if (fill_once_in(random, 3))
            random_windows(random, c, small);
        else
            random_map(random, c, small);
        c->desc.agent_height = fill_range(random, 1, small ? 3 : 8);
        c->desc.agent_width = fill_range(random, 1, small ? 3 : 8);
        if (!small && fill_once_in(random, 8))
            c->desc.agent_width *= 9;
        const case_agent_sizes z = case_agent_size(&c->desc);
        const int64_t tokens = z.q_tokens > z.k_tokens ? z.q_tokens : z.k_tokens;
        work = c->desc.batch * tokens * z.agents * z.heads * (z.dim + z.dim_v);
    }
    random_options(random, c);
    c->desc.has_bias = fill_once_in(random, 2);
    if (c->desc.has_bias)
        random_bias(random, c);
}
