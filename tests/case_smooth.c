#include "case_smooth.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

/* clang-format off */
static const case_smooth cases[] = { /* the first 1 are small */
    {.desc = {.height = 7, .width = 9, .agent_height = 2, .agent_width = 2,
              .rounds_plus_one = 2, .sigma_color = 0.1f, .sigma_space = 0.2f}},

    {.desc = {.height = 1, .width = 97, .agent_height = 1, .agent_width = 5,
              .rounds_plus_one = 1, .sigma_color = 0.1f, .sigma_space = 0.2f}},
    {.desc = {.height = 61, .width = 47, .agent_height = 8, .agent_width = 10,
              .rounds_plus_one = 3, .sigma_color = 0.05f, .sigma_space = 0.06f, .detail = 0.3f}},
    {.desc = {.height = 45, .width = 60}},
};
/* clang-format on */

const case_smooth *case_smooth_list(bool small, size_t *count)
{
    *count = small ? 1 : sizeof cases / sizeof *cases;
    return cases;
}

/* The descriptor with its defaults spelt out. */
static ref_smooth_shape reference_shape(const clattn_smooth_desc *d)
{
    return (ref_smooth_shape){
        .height = d->height,
        .width = d->width,
        .agent_h = d->agent_height != 0 ? d->agent_height : 24,
        .agent_w = d->agent_width != 0 ? d->agent_width : 24,
        .sigma_color = d->sigma_color != 0.0f ? (double)d->sigma_color : 0.08,
        .sigma_space = d->sigma_space != 0.0f ? (double)d->sigma_space : 0.04,
        .detail = (double)d->detail,
        .rounds = d->rounds_plus_one != 0 ? d->rounds_plus_one - 1 : 3,
    };
}

void case_smooth_text(const case_smooth *c, char *text, size_t bytes)
{
    const ref_smooth_shape s = reference_shape(&c->desc);
    snprintf(text, bytes,
             "%" PRId64 "x%" PRId64 ", agents %" PRId64 "x%" PRId64
             ", sigma %g, %g, %d rounds, detail %g",
             s.height, s.width, s.agent_h, s.agent_w, s.sigma_color, s.sigma_space, s.rounds,
             s.detail);
}

int64_t case_smooth_agents(const case_smooth *c)
{
    const ref_smooth_shape s = reference_shape(&c->desc);
    return s.agent_h * s.agent_w;
}

void case_smooth_make(const case_smooth *c, uint64_t seed, int answer, case_smooth_data *data)
{
    const ref_smooth_shape s = reference_shape(&c->desc);
    const int64_t count = s.height * s.width * 3;
    fill_random random = {seed};

    *data = (case_smooth_data){.rgb = fill_new(&random, FILL_UNIFORM, count)};
    for (int64_t i = 0; i < count; i++) {
        const int64_t y = i / 3 / s.width;
        const int64_t x = i / 3 % s.width;
        const double wave = sin((double)(x + y) / 9.0 + (double)(i % 3));
        const double side = 2 * x > s.width ? 0.25 : -0.25;
        data->rgb[i] = (float)(0.5 + 0.15 * wave + side + 0.05 * (double)data->rgb[i]);
    }
    if (!answer)
        return;
    double *rgb = ref_widened(count, data->rgb);
    data->answer = ref_array(count);
    data->agents = ref_array(s.agent_h * s.agent_w * 5);
    ref_smooth(&s, rgb, data->answer, data->agents);
    free(rgb);
}

void case_smooth_free(case_smooth_data *data)
{
    free(data->rgb);
    free(data->answer);
    free(data->agents);
    *data = (case_smooth_data){.answer = NULL};
}

/* Logits reach several hundred (1 / sigma squared), so a float's rounding of them is some 1e-5, and a weight's as much. */
double case_smooth_tolerance(void)
{
    return 2e-4;
}

double case_smooth_tolerance_mean(void)
{
    return 4e-6;
}

double case_smooth_flops(const case_smooth *c)
{
    const ref_smooth_shape s = reference_shape(&c->desc);
    const double pairs = (double)(s.height * s.width) * (double)case_smooth_agents(c);
    return pairs * (20.0 * s.rounds + 2.0 * 16.0);
}

double case_smooth_bytes(const case_smooth *c)
{
    const ref_smooth_shape s = reference_shape(&c->desc);
    const double pixels = (double)(s.height * s.width);
    return 4.0 * pixels * (3.0 + 5.0 + 6.0 * (s.rounds + 1) + 3.0 + 5.0 + 3.0);
}
