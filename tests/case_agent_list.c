/* The shapes of agent attention that tests and bench share. */
#include "case_agent_attention.h"

/* The first SMALL reach every kernel and every form with few tokens, for interpreters of kernels. */
#define SMALL 8

/* clang-format off */
static const case_agent cases[] = {
    /* one of everything */
    {.desc = {.batch = 1, .heads = 1, .head_dim = 8, .height = 1, .width = 1,
              .agent_height = 1, .agent_width = 1}},
    /* a class token, table bias, DWC: Agent-DeiT's form */
    {.desc = {.batch = 2, .heads = 2, .head_dim = 8, .height = 7, .width = 7, .class_tokens = 1,
              .agent_height = 3, .agent_width = 3, .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1},
     .trained_agents_h = 3, .trained_agents_w = 3, .trained_h = 7, .trained_w = 7},
    /* one wide row: the bias evaluated from its terms, and more agents across than it was trained for */
    {.desc = {.batch = 1, .heads = 2, .head_dim = 8, .height = 1, .width = 41,
              .agent_height = 1, .agent_width = 5, .has_bias = 1, .dwc_size = 5},
     .trained_agents_h = 3, .trained_agents_w = 3, .trained_h = 14, .trained_w = 14},
    /* windows and a cyclic shift */
    {.desc = {.batch = 1, .heads = 2, .head_dim = 8, .height = 8, .width = 12,
              .window_height = 4, .window_width = 4, .shift_y = 2, .shift_x = 1,
              .agent_height = 2, .agent_width = 2, .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1},
     .trained_agents_h = 2, .trained_agents_w = 2, .trained_h = 4, .trained_w = 4},
    /* k and v on half the map, v resized for DWC and shortcut */
    {.desc = {.batch = 1, .heads = 2, .head_dim = 8, .height = 6, .width = 10,
              .kv_height = 3, .kv_width = 5, .agent_height = 2, .agent_width = 3,
              .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1, .v_shortcut = 0.25f},
     .trained_agents_h = 3, .trained_agents_w = 3, .trained_h = 6, .trained_w = 5},
    /* several leaves, class tokens, additive vectors with excluded entries, a convolution too large to be fused */
    {.desc = {.batch = 1, .heads = 1, .head_dim = 8, .height = 23, .width = 23, .class_tokens = 3,
              .agent_height = 1, .agent_width = 3, .has_key_bias = 1, .has_agent_vector = 1,
              .dwc_size = 7, .has_dwc_bias = 1},
     .excluded = 4},
    /* values narrower than keys, given agents, scales of their own */
    {.desc = {.batch = 2, .heads = 1, .head_dim = 5, .head_dim_v = 3, .height = 9, .width = 11,
              .agent_height = 4, .agent_width = 6, .agents_given = 1, .has_key_bias = 1,
              .has_agent_vector = 1, .scale_aggregate = 1.0f, .scale_broadcast = 0.5f,
              .v_shortcut = -1.5f}},
    /* values beyond one block of a tile, the last one not full */
    {.desc = {.batch = 1, .heads = 1, .head_dim = 8, .head_dim_v = 70, .height = 3, .width = 5,
              .agent_height = 1, .agent_width = 2}},

    /* agents beyond the map */
    {.desc = {.batch = 3, .heads = 2, .head_dim = 1, .height = 1, .width = 1,
              .agent_height = 2, .agent_width = 3, .dwc_size = 3}},
    /* Agent-Swin's shifted windows, on a map that is not square */
    {.desc = {.batch = 2, .heads = 3, .head_dim = 32, .height = 14, .width = 21,
              .window_height = 7, .window_width = 7, .shift_y = 3, .shift_x = 3,
              .agent_height = 4, .agent_width = 4, .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1},
     .trained_agents_h = 4, .trained_agents_w = 4, .trained_h = 7, .trained_w = 7},
    /* vertical stripes */
    {.desc = {.batch = 1, .heads = 2, .head_dim = 32, .height = 28, .width = 28,
              .window_height = 28, .window_width = 7, .agent_height = 7, .agent_width = 7,
              .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1},
     .trained_agents_h = 7, .trained_agents_w = 7, .trained_h = 28, .trained_w = 7},
    /* many more agents than one tile, a grid finer than the map, terms resized over both grids */
    {.desc = {.batch = 1, .heads = 2, .head_dim = 32, .height = 10, .width = 37,
              .agent_height = 28, .agent_width = 28, .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1},
     .trained_agents_h = 7, .trained_agents_w = 7, .trained_h = 7, .trained_w = 7},
    /* leaves and bias terms, class tokens, one agent beyond a tile of 64 */
    {.desc = {.batch = 2, .heads = 1, .head_dim = 64, .height = 31, .width = 43, .class_tokens = 2,
              .agent_height = 5, .agent_width = 13, .has_bias = 1, .has_key_bias = 1,
              .dwc_size = 5, .has_dwc_bias = 1},
     .trained_agents_h = 4, .trained_agents_w = 4, .trained_h = 14, .trained_w = 28, .excluded = 9},
    /* bias grids of their own: entry t belongs to token t, whatever the width of the map */
    {.desc = {.batch = 1, .heads = 2, .head_dim = 32, .height = 8, .width = 18,
              .kv_height = 4, .kv_width = 9, .agent_height = 3, .agent_width = 3,
              .has_bias = 1, .dwc_size = 3, .has_dwc_bias = 1},
     .trained_agents_h = 3, .trained_agents_w = 3, .trained_h = 12, .trained_w = 12,
     .grid_h = {6, 12}, .grid_w = {6, 12}},
    /* the same with terms: a token row crosses rows of the bias grid anywhere */
    {.desc = {.batch = 1, .heads = 1, .head_dim = 32, .height = 45, .width = 18, .class_tokens = 1,
              .agent_height = 4, .agent_width = 5, .has_bias = 1},
     .trained_agents_h = 3, .trained_agents_w = 3, .trained_h = 12, .trained_w = 12,
     .grid_h = {15, 9}, .grid_w = {54, 90}},
    /* odd widths, values beyond one block of a tile; a prime number of tokens in one row and in one column */
    {.desc = {.batch = 1, .heads = 3, .head_dim = 17, .head_dim_v = 136, .height = 1, .width = 1031,
              .agent_height = 1, .agent_width = 33, .dwc_size = 3}},
    {.desc = {.batch = 1, .heads = 3, .head_dim = 17, .head_dim_v = 136, .height = 263, .width = 1,
              .agent_height = 9, .agent_width = 2, .dwc_size = 1, .has_dwc_bias = 1,
              .v_shortcut = 0.5f},
     .fill = FILL_ALTERNATING},
    {.desc = {.batch = 1, .heads = 2, .head_dim = 32, .height = 16, .width = 16,
              .agent_height = 7, .agent_width = 7},
     .fill = FILL_EQUAL},
    {.desc = {.batch = 1, .heads = 2, .head_dim = 32, .height = 16, .width = 17,
              .agent_height = 7, .agent_width = 7, .has_key_bias = 1},
     .fill = FILL_TINY},
};
/* clang-format on */

const case_agent *case_agent_list(bool small, size_t *count)
{
    *count = small ? SMALL : sizeof cases / sizeof *cases;
    return cases;
}
