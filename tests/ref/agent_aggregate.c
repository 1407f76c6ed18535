/* Stage 1: agents are the queries, the tokens of their window the keys. */
#include "ref.h"

#include <stdlib.h>

void ref_agent_aggregate(const ref_agent_shape *s, const ref_agent_inputs *in, double *va)
{
    const ref_map *m = &s->k_map;
    const int64_t problems = s->batch * ref_map_windows(m);
    const int64_t tokens = ref_window_tokens(m);
    const ref_attention_shape attention = {
        problems, s->heads, s->dim, s->dim_v, s->agent_h * s->agent_w, tokens, s->scale_aggregate};
    double *k = ref_array(problems * tokens * s->heads * s->dim);
    double *v = ref_array(problems * tokens * s->heads * s->dim_v);
    double *key_bias = ref_array(problems * tokens * s->heads);

    ref_cut(m, s->batch, s->heads * s->dim, in->k, k);
    ref_cut(m, s->batch, s->heads * s->dim_v, in->v, v);
    if (in->key_bias != NULL)
        ref_cut(m, s->batch, s->heads, in->key_bias, key_bias);
    ref_attention(&attention, in->agents, k, v, in->bias1, key_bias, va);
    free(key_bias);
    free(v);
    free(k);
}
