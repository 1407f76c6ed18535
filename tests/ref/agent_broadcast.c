/* Stage 2: the tokens of a window are the queries, its agents the keys; then DWC and shortcut on v. */
#include "ref.h"

#include <stdlib.h>

static void add_values(const ref_agent_shape *s, const ref_agent_inputs *in, double *out)
{
    const ref_dwc_shape dwc = {.batch = s->batch,
                               .heads = s->heads,
                               .dim = s->dim_v,
                               .map = s->q_map,
                               .in_height = s->k_map.height,
                               .in_width = s->k_map.width,
                               .size = s->dwc_size};
    const int64_t count = s->batch * ref_map_tokens(&s->q_map) * s->heads * s->dim_v;
    double *term = ref_array(count);

    if (s->dwc_size > 0) {
        ref_dwc(&dwc, in->v, in->dwc_weight, in->dwc_bias, term);
        for (int64_t i = 0; i < count; i++)
            out[i] += term[i];
    }
    ref_resize_map(&dwc, in->v, term);
    for (int64_t i = 0; i < count; i++)
        out[i] += s->v_shortcut * term[i];
    free(term);
}

void ref_agent_broadcast(const ref_agent_shape *s, const ref_agent_inputs *in, const double *va,
                         double *out)
{
    const ref_map *m = &s->q_map;
    const int64_t problems = s->batch * ref_map_windows(m);
    const int64_t tokens = ref_window_tokens(m);
    const ref_attention_shape attention = {
        problems, s->heads, s->dim, s->dim_v, tokens, s->agent_h * s->agent_w, s->scale_broadcast};
    double *q = ref_array(problems * tokens * s->heads * s->dim);
    double *cut = ref_array(problems * tokens * s->heads * s->dim_v);

    ref_cut(m, s->batch, s->heads * s->dim, in->q, q);
    ref_attention(&attention, q, in->agents, va, in->bias2, in->agent_vector, cut);
    ref_join(m, s->batch, s->heads * s->dim_v, cut, out);
    add_values(s, in, out);
    free(cut);
    free(q);
}
