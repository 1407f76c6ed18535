/*
 * clattn: the attention operators. Every operator is planned once and run many times:
 *
 *     clattn_agent_attention_plan(ctx, &desc, &plan);        checks, chooses, builds, states its bytes
 *     clattn_workspace_create(plan, &ws);                     scratch memory and kernel objects
 *     clattn_agent_attention_run(plan, ws, &args, NULL);      enqueues; on the CPU path: computes
 *
 * Agent attention (Han et al., arXiv 2312.08874, section 3.2, eq. 3-5) per head, with n agents A between N queries and M keys:
 *
 *     A  = adaptive average pool of Q over the token map                    agent_pool
 *     Va = softmax_M(s1 A K^T + B1) V                                        agent_aggregate (stage 1)
 *     O  = softmax_n(s2 Q A^T + B2) Va + DWC(V) + v_shortcut V               agent_broadcast (stage 2)
 *
 * Nothing of size heads x n x N above 1 MiB is ever allocated. Results do not depend on the batch, on how the work is cut into
 * launches, or on the run: same problem, same kind of device, same kernel shape and work-group, same bits.
 */
#ifndef CLATTN_OPS_H
#define CLATTN_OPS_H

#include "clattn/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Limits that every descriptor keeps; more is refused with the number. */
#define CLATTN_MAX_HEAD_DIM 1024 /* head_dim and head_dim_v */
#define CLATTN_MAX_DWC      63   /* side of the depthwise convolution */

/** A planned operator for one context; immutable, may be run by several threads, each with its own workspace. */
typedef struct clattn_plan clattn_plan;
/** Scratch memory and kernel objects for one run in flight of one plan. */
typedef struct clattn_workspace clattn_workspace;
/** Agent bias tables on the device; immutable, shared by plans of the same context. */
typedef struct clattn_agent_bias clattn_agent_bias;

/**
 * What a run waits for and what it leaves behind (OpenCL contexts; the CPU path refuses a non-empty one). A NULL pointer
 * means neither. `done`, where not NULL, receives an event that the caller releases; untouched on failure.
 */
typedef struct clattn_sync {
    uint32_t wait_count;
    const cl_event *wait;
    cl_event *done;
} clattn_sync;

/**
 * What a plan holds. `scratch_bytes` is what each workspace will allocate; `launches` what one run enqueues at most.
 */
typedef struct clattn_plan_info {
    uint64_t scratch_bytes;
    uint32_t launches;
    int64_t leaf_tokens; /* tokens per leaf of the reduction over keys */
    int64_t leaves;      /* per window; 1: no merge */
    uint32_t work_group; /* 1 for the wide shape and the CPU path */
    clattn_kernel_shape shape;
    uint64_t
        private_bytes; /* most private memory of a work-item, as the driver reports it; 0 where it says nothing */
    int32_t
        on_cpu_path; /* OpenCL contexts: operators in it that run on the CPU path, since no kernel passes the self-test (context.h) */
} clattn_plan_info;

CLATTN_API void clattn_plan_get_info(const clattn_plan *plan, clattn_plan_info *info);
/** Sets *plan to NULL. Its workspaces must be gone and its runs finished. */
CLATTN_API void clattn_plan_destroy(clattn_plan **plan);

/**
 * Scratch memory and kernel objects for one run in flight.
 *
 * memory   the caller destroys it, after its last run has finished and before the plan
 * threads  a workspace serves one thread at a time
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_BUDGET, CLATTN_E_NOMEM, CLATTN_E_DEVICE_NOMEM, CLATTN_E_OPENCL
 */
CLATTN_API clattn_status clattn_workspace_create(clattn_plan *plan, clattn_workspace **workspace);
CLATTN_API void clattn_workspace_destroy(clattn_workspace **workspace);

/**
 * The shape and form of agent attention; one descriptor for the whole operator and for its three steps. Zero means the
 * default given in brackets; `reserved` must be zero.
 *
 * Tokens are class_tokens followed by the map, row by row. Class tokens are keys and queries, but are neither pooled nor convolved.
 * Windows (spec section 4): the map is cut in window_height x window_width pieces, each an attention of its own, after a
 * cyclic shift: window row r, column c, inner (y, x) is the token at ((r * window_height + y + shift_y) mod height, ...).
 * Inside a shifted window pooling, bias and DWC act on the rolled window, zero-padded, without a mask. Only whole windows,
 * no class tokens and no kv_height / kv_width together with windows.
 */
typedef struct clattn_agent_attention_desc {
    int64_t batch;         /* pictures, >= 1 */
    int64_t heads;         /* >= 1 */
    int64_t head_dim;      /* of q, k and the agents, 1 .. CLATTN_MAX_HEAD_DIM */
    int64_t head_dim_v;    /* of v and the output (0: head_dim) */
    int64_t height, width; /* the map of q and the output, >= 1 */
    int64_t kv_height,
        kv_width; /* the map of k and v (0: as q); if it differs, v is resized bilinearly for the DWC and the shortcut */
    int64_t class_tokens;                /* in front of both maps */
    int64_t window_height, window_width; /* (0: the whole map) */
    int64_t shift_y, shift_x;            /* 0 <= shift < size of the map */
    int64_t agent_height,
        agent_width;          /* n = agent_height * agent_width >= 1; may be larger than the map */
    int32_t agents_given;     /* 1: args.agents is input, nothing is pooled */
    int32_t has_bias;         /* 1: args.bias is required; 0: must be NULL */
    int32_t has_key_bias;     /* 1: args.key_bias is required */
    int32_t has_agent_vector; /* 1: args.agent_vector is required */
    int64_t dwc_size;         /* odd side of the depthwise convolution (0: none) */
    int32_t has_dwc_bias;
    clattn_type
        type; /* of all tensors but the additive vectors, the bias tables and the DWC's weights, which are f32 */
    float scale_aggregate; /* s1 (0: 1 / sqrt(head_dim)) */
    float scale_broadcast; /* s2 (0: 1 / sqrt(head_dim)) */
    float v_shortcut;      /* adds v_shortcut * v to every output token, class tokens too */
    uint32_t reserved[8];
} clattn_agent_attention_desc;

/** A flat parameter array in memory of the context: `count` f32 elements from `offset` (in elements). */
typedef struct clattn_array {
    clattn_memory memory;
    int64_t offset;
    int64_t count;
} clattn_array;

/**
 * The tensors of a run; NULL where an operator does not use one. N = class_tokens + height * width queries, M likewise of
 * the map of k and v, n agents, P = batch * windows per picture (windows row by row, batch-major), d = head_dim, dv = head_dim_v.
 * Inputs and output may not overlap.
 */
typedef struct clattn_agent_attention_args {
    const clattn_tensor *q; /* (batch, N, heads, d) */
    const clattn_tensor *k; /* (batch, M, heads, d) */
    const clattn_tensor *v; /* (batch, M, heads, dv) */
    const clattn_tensor *
        agents; /* (P, n, heads, d): input of the steps and where agents_given, output of agent_pool */
    const clattn_tensor
        *va; /* (P, n, heads, dv): output of agent_aggregate, input of agent_broadcast */
    const clattn_tensor *
        key_bias; /* (batch, M, heads, 1) f32, added to the logits of stage 1; -INFINITY excludes the key. A head_stride or batch_stride of 0 repeats */
    const clattn_tensor *
        agent_vector; /* (P, n, heads, 1) f32, added to the logits of stage 2; -INFINITY excludes the agent */
    const clattn_agent_bias *bias;
    const clattn_array *dwc_weight; /* (heads * dv, 1, k, k), channel = head * dv + j */
    const clattn_array *dwc_bias;   /* (heads * dv) */
    const clattn_tensor *out;       /* (batch, N, heads, dv) */
} clattn_agent_attention_args;

/**
 * The whole of agent attention: pool (unless agents_given), aggregate, broadcast.
 * run uses q, k, v, out; agents where agents_given; key_bias, agent_vector, bias, dwc_weight, dwc_bias as described.
 *
 * shapes   see clattn_agent_attention_args
 * units    strides and offsets in elements, not bytes
 * types    f32, or f16 storage of q, k, v, agents, va and out with f32 arithmetic: all of the descriptor's type. f16 is rounded
 *          where agents, va and out are written, and out twice where DWC or shortcut are not fused (dwc_size above 5, v resized)
 * limits   N, M, n < 2^31 each; a fully excluded softmax row gives 0 (before DWC and shortcut)
 * memory   the caller owns all tensors and keeps them until the run is done
 * async    run enqueues and does not wait (CPU path: returns when done)
 * threads  safe; concurrent runs need a workspace each
 * returns  plan: CLATTN_OK, CLATTN_E_ARG, CLATTN_E_SHAPE, CLATTN_E_TYPE, CLATTN_E_UNSUPPORTED, CLATTN_E_NOMEM, CLATTN_E_BUILD, CLATTN_E_OPENCL,
 *          CLATTN_E_LOST, CLATTN_E_WRONG (the device fails the self-test, and there is nothing else);
 *          run: CLATTN_OK, CLATTN_E_ARG, CLATTN_E_SHAPE, CLATTN_E_TYPE, CLATTN_E_OPENCL, CLATTN_E_LOST
 */
CLATTN_API clattn_status clattn_agent_attention_plan(clattn_context *ctx,
                                                     const clattn_agent_attention_desc *desc,
                                                     clattn_plan **plan);
CLATTN_API clattn_status clattn_agent_attention_run(const clattn_plan *plan, clattn_workspace *ws,
                                                    const clattn_agent_attention_args *args,
                                                    const clattn_sync *sync);

/**
 * Agents from queries: PyTorch's adaptive average pool of q over each window (or the map), class tokens left out; cell i of
 * `out` covers [floor(i * in / out), ceil((i + 1) * in / out)) (spec section 1). Reads q, writes agents.
 * Shapes, units, memory, async, threads and returns as for clattn_agent_attention_plan().
 */
CLATTN_API clattn_status clattn_agent_pool_plan(clattn_context *ctx,
                                                const clattn_agent_attention_desc *desc,
                                                clattn_plan **plan);
CLATTN_API clattn_status clattn_agent_pool_run(const clattn_plan *plan, clattn_workspace *ws,
                                               const clattn_agent_attention_args *args,
                                               const clattn_sync *sync);

/**
 * Stage 1, agent aggregation (arXiv 2312.08874, eq. 4): va = softmax(s1 agents k^T + B1 + key_bias) v over all tokens.
 * Reads agents, k, v, key_bias, bias; writes va. The rest as for clattn_agent_attention_plan().
 */
CLATTN_API clattn_status clattn_agent_aggregate_plan(clattn_context *ctx,
                                                     const clattn_agent_attention_desc *desc,
                                                     clattn_plan **plan);
CLATTN_API clattn_status clattn_agent_aggregate_run(const clattn_plan *plan, clattn_workspace *ws,
                                                    const clattn_agent_attention_args *args,
                                                    const clattn_sync *sync);

/**
 * Stage 2, agent broadcast (arXiv 2312.08874, eq. 4 and 5): out = softmax(s2 q agents^T + B2 + agent_vector) va + DWC(v) + v_shortcut v.
 * Reads q, agents, va, agent_vector, bias, and v where there is a DWC or a shortcut; writes out. The rest as for clattn_agent_attention_plan().
 */
CLATTN_API clattn_status clattn_agent_broadcast_plan(clattn_context *ctx,
                                                     const clattn_agent_attention_desc *desc,
                                                     clattn_plan **plan);
CLATTN_API clattn_status clattn_agent_broadcast_run(const clattn_plan *plan, clattn_workspace *ws,
                                                    const clattn_agent_attention_args *args,
                                                    const clattn_sync *sync);

/** Ordinary softmax attention (Vaswani et al., arXiv 1706.03762, eq. 1), any number of queries and keys; the yardstick. */
typedef struct clattn_attention_desc {
    int64_t batch, heads, head_dim;
    int64_t head_dim_v;    /* (0: head_dim) */
    int64_t queries, keys; /* >= 1 each */
    int32_t has_key_bias;
    clattn_type type;
    float scale; /* (0: 1 / sqrt(head_dim)) */
    uint32_t reserved[8];
} clattn_attention_desc;

typedef struct clattn_attention_args {
    const clattn_tensor *q;        /* (batch, queries, heads, d) */
    const clattn_tensor *k;        /* (batch, keys, heads, d) */
    const clattn_tensor *v;        /* (batch, keys, heads, dv) */
    const clattn_tensor *key_bias; /* (batch, keys, heads, 1) f32; -INFINITY excludes the key */
    const clattn_tensor *out;      /* (batch, queries, heads, dv) */
} clattn_attention_args;

/** out = softmax(scale q k^T + key_bias) v with an online softmax. Everything else as for clattn_agent_attention_plan(). */
CLATTN_API clattn_status clattn_attention_plan(clattn_context *ctx,
                                               const clattn_attention_desc *desc,
                                               clattn_plan **plan);
CLATTN_API clattn_status clattn_attention_run(const clattn_plan *plan, clattn_workspace *ws,
                                              const clattn_attention_args *args,
                                              const clattn_sync *sync);

/** A depthwise convolution alone (spec section 1, DWC): cross-correlation, stride 1, zero padding (size - 1) / 2. */
typedef struct clattn_dwc_desc {
    int64_t batch, heads, head_dim; /* heads * head_dim channels */
    int64_t height, width;          /* the map of the output */
    int64_t in_height,
        in_width; /* the map of v (0: as the output); if it differs, v is resized bilinearly first */
    int64_t class_tokens; /* in front of both; their output is 0, or unchanged with `accumulate` */
    int64_t window_height, window_width, shift_y, shift_x; /* as in clattn_agent_attention_desc */
    int64_t size;                                          /* odd, 1 .. CLATTN_MAX_DWC */
    int32_t has_bias;
    int32_t accumulate; /* 1: out += */
    clattn_type type;
    uint32_t reserved[8];
} clattn_dwc_desc;

typedef struct clattn_dwc_args {
    const clattn_tensor *v;     /* (batch, class_tokens + in_height * in_width, heads, head_dim) */
    const clattn_array *weight; /* (heads * head_dim, 1, size, size) */
    const clattn_array *bias;   /* (heads * head_dim) */
    const clattn_tensor *out;   /* (batch, class_tokens + height * width, heads, head_dim) */
} clattn_dwc_args;

/** out = DWC(v). Everything else as for clattn_agent_attention_plan(). */
CLATTN_API clattn_status clattn_dwc_plan(clattn_context *ctx, const clattn_dwc_desc *desc,
                                         clattn_plan **plan);
CLATTN_API clattn_status clattn_dwc_run(const clattn_plan *plan, clattn_workspace *ws,
                                        const clattn_dwc_args *args, const clattn_sync *sync);

/**
 * The learned bias of one stage, as checkpoints hold it (spec section 2.2; dense.md section 2), f32 in host memory. T0 = trained
 * agents. Any pointer may be NULL: that term is 0.
 */
typedef struct clattn_agent_bias_stage {
    const float *map; /* (heads, T0, 7, 7): an_bias, na_bias */
    const float *
        row; /* stage 1: (heads, T0, trained_height), ah_bias; stage 2: (heads, trained_height, T0), ha_bias */
    const float *
        column; /* stage 1: (heads, T0, trained_width), aw_bias; stage 2: (heads, trained_width, T0), wa_bias */
    const float *
        class_token; /* stage 1: (heads, T0), ac_bias; stage 2: (heads, T0), ca_bias; the same for every class token */
    int64_t trained_height, trained_width; /* of row and column */
    int64_t grid_height,
        grid_width; /* the token grid the bias is made for (0: the map or window of that stage). Entry t goes to token t, whatever the map's own width */
} clattn_agent_bias_stage;

typedef struct clattn_agent_bias_desc {
    int64_t trained_agents_height,
        trained_agents_width; /* T0 = their product; resized bilinearly to the descriptor's agent grid */
    clattn_agent_bias_stage aggregate, broadcast;
    uint32_t reserved[8];
} clattn_agent_bias_desc;

/**
 * Makes the device tables of an agent bias once, for the shapes of `desc` (has_bias must be set there): 7 x 7 maps resized
 * over the agent grid, row and column terms over both grids. Kernels evaluate the bias from these.
 *
 * memory   reads the host arrays during the call only; *bias is freed with clattn_agent_bias_destroy(). About
 *          4 heads n (56 + rows + columns) bytes per stage, or a plain table of at most 1 MiB per stage for narrow maps
 * async    returns when the tables are on the device
 * threads  safe
 * returns  CLATTN_OK, CLATTN_E_ARG, CLATTN_E_SHAPE, CLATTN_E_BUDGET, CLATTN_E_NOMEM, CLATTN_E_DEVICE_NOMEM, CLATTN_E_OPENCL
 */
CLATTN_API clattn_status clattn_agent_bias_create(clattn_context *ctx,
                                                  const clattn_agent_attention_desc *desc,
                                                  const clattn_agent_bias_desc *weights,
                                                  clattn_agent_bias **bias);
CLATTN_API void clattn_agent_bias_destroy(clattn_agent_bias **bias);

#ifdef __cplusplus
}
#endif
#endif
