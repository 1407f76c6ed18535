/*
 * smooth_features, smooth_norms: what the smoothing filter computes around its softmax stages.
 * map      smooth_features: item = one pixel, global = (width, height); smooth_norms: item = one row
 *          of floats, global = (count); any local size, all rounded up to whole groups; nothing to do
 *          where width or count is 0
 * traffic  each pixel about once from memory and 9 times from cache; 5 floats per pixel, 1 per norm
 *          out
 * CPU devices have smooth_features of their own: smooth_wide.cl
 */

/*
 * features[pixel] = (3 x 3 mean of R, G, B over the pixels inside) / sigma_color, then (y, x) /
 * max(H, W) / sigma_space.
 */
__kernel void smooth_features(const Features args, __global const float *restrict rgb,
                              __global float *restrict features, __global float *restrict norms)
{
    const int x = (int)get_global_id(0);
    const int y = (int)get_global_id(1);
    if (x >= args.width || y >= args.height)
        return;

    const int map_y = args.top + y;
    const int map_x = args.left + x;
    const int top = map_y > 0 ? y - 1 : y;
    const int bottom = map_y + 1 < args.map_h ? y + 1 : y;
    const int left = map_x > 0 ? x - 1 : x;
    const int right = map_x + 1 < args.map_w ? x + 1 : x;
    float red = 0.0f;
    float green = 0.0f;
    float blue = 0.0f;
    for (int row = top; row <= bottom; row++) {
        for (int column = left; column <= right; column++) {
            __global const float *pixel =
                rgb + args.rgb.offset + row * args.rgb.row + column * args.rgb.token;
            red += pixel[0];
            green += pixel[1];
            blue += pixel[2];
        }
    }

    const float count = (float)((bottom - top + 1) * (right - left + 1));
    const size_t at =
        (size_t)args.feature_offset + 5 * ((size_t)y * (size_t)args.width + (size_t)x);
    const float feature[5] = {
        red / count * args.inv_sigma_color, green / count * args.inv_sigma_color,
        blue / count * args.inv_sigma_color, (float)map_y * args.inv_sigma_space,
        (float)map_x * args.inv_sigma_space};
    float sum = 0.0f;
    for (int j = 0; j < 5; j++) {
        features[at + (size_t)j] = feature[j];
        sum = MAD(feature[j], feature[j], sum);
    }
    if (args.with_norms)
        norms[at / 5] = -0.5f * sum;
}

/* norms[i] = -|row i|^2 / 2: turns a softmax over products into one over distances. */
__kernel void smooth_norms(const Norms args, __global const float *restrict rows,
                           __global float *restrict norms)
{
    if (get_global_id(0) >= (size_t)args.count)
        return;
    const size_t i = (size_t)args.first + get_global_id(0);
    __global const float *row = rows + i * (size_t)args.dim;
    float sum = 0.0f;
    for (int j = 0; j < args.dim; j++)
        sum = MAD(row[j], row[j], sum);
    norms[i] = -0.5f * sum;
}
