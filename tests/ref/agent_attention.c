/* The whole: pool unless agents are given, aggregate, broadcast. */
#include "ref.h"

#include <stdlib.h>

void ref_agent_attention(const ref_agent_shape *s, const ref_agent_inputs *in, double *out)
{
    const int64_t rows = s->batch * ref_map_windows(&s->q_map) * s->agent_h * s->agent_w * s->heads;
    ref_agent_inputs full = *in;
    double *agents = ref_array(rows * s->dim);
    double *va = ref_array(rows * s->dim_v);

    if (in->agents == NULL) {
        ref_agent_pool(s, in->q, agents);
        full.agents = agents;
    }
    ref_agent_aggregate(s, &full, va);
    ref_agent_broadcast(s, &full, va, out);
    free(va);
    free(agents);
}
