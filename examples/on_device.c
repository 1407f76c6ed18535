/* Agent attention on buffers of the device, planned once and run as often as you like: cc on_device.c $(pkg-config --cflags --libs clattn) */
#include <clattn/clattn.h>
#include <stdio.h>

enum { N = 64 * 64, HEADS = 2, DIM = 32, C = HEADS * DIM };
static float qkv[N * 3 * C], out[N * C];

int main(void)
{
    for (int i = 0; i < N * 3 * C; ++i) /* v is 1 everywhere, so its weighted means are, too */
        qkv[i] = i / C % 3 == 2 ? 1.0f : (float)(i % 101) / 101.0f;
    clattn_context *ctx = NULL;
    if (clattn_context_create(NULL, NULL, &ctx) && clattn_context_create_cpu(NULL, &ctx))
        return 1;
    clattn_agent_attention_desc desc = {.batch = 1, .heads = HEADS, .head_dim = DIM};
    desc.height = desc.width = 64;
    desc.agent_height = desc.agent_width = 7;
    clattn_plan *plan = NULL;
    clattn_workspace *ws = NULL;
    clattn_memory in, result;
    if (clattn_agent_attention_plan(ctx, &desc, &plan) || clattn_workspace_create(plan, &ws) ||
        clattn_memory_alloc(ctx, sizeof qkv, &in) ||
        clattn_memory_alloc(ctx, sizeof out, &result) ||
        clattn_memory_write(ctx, &in, 0, qkv, sizeof qkv))
        return 1;
    clattn_tensor q = clattn_tensor_packed(in, 1, N, HEADS, DIM, 3, 0);
    clattn_tensor k = clattn_tensor_packed(in, 1, N, HEADS, DIM, 3, 1);
    clattn_tensor v = clattn_tensor_packed(in, 1, N, HEADS, DIM, 3, 2);
    clattn_tensor o = clattn_tensor_tokens(result, 1, N, HEADS, DIM);
    clattn_agent_attention_args args = {.q = &q, .k = &k, .v = &v, .out = &o};
    if (clattn_agent_attention_run(plan, ws, &args, NULL) ||
        clattn_memory_read(ctx, &result, 0, out, sizeof out))
        return 1;
    printf("%s: out[0] = %.3f\n", clattn_context_device(ctx)->name, (double)out[0]);
    clattn_workspace_destroy(&ws);
    clattn_plan_destroy(&plan);
    clattn_memory_free(ctx, &in);
    clattn_memory_free(ctx, &result);
    clattn_context_destroy(&ctx);
    return 0;
}
