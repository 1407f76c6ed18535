/* Agent attention on a 64 x 64 map, 49 agents: cc smallest.c $(pkg-config --cflags --libs clattn) */
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
    desc.height = desc.width = 64, desc.agent_height = desc.agent_width = 7;
    clattn_memory in = {.host = qkv, .bytes = sizeof qkv}, to = {.host = out, .bytes = sizeof out};
    clattn_tensor q = clattn_tensor_packed(in, 1, N, HEADS, DIM, 3, 0);
    clattn_tensor k = clattn_tensor_packed(in, 1, N, HEADS, DIM, 3, 1);
    clattn_tensor v = clattn_tensor_packed(in, 1, N, HEADS, DIM, 3, 2);
    clattn_tensor o = clattn_tensor_tokens(to, 1, N, HEADS, DIM);
    clattn_tile_arrays arrays = {.q = &q, .k = &k, .v = &v, .out = &o, .width = 64};
    clattn_tile_io io = {.source = clattn_tile_arrays_source(&arrays)};
    io.sink = clattn_tile_arrays_sink(&arrays);
    clattn_tiling *tiling = NULL;
    if (clattn_tiling_create(&ctx, 1, &desc, NULL, NULL, &tiling) || clattn_tiling_run(tiling, &io))
        return 1;
    printf("%s: out[0] = %.3f\n", clattn_context_device(ctx)->name, (double)out[0]);
    clattn_tiling_destroy(&tiling);
    clattn_context_destroy(&ctx);
    return 0;
}
