/* Half precision on the host, in integers: no compiler and no processor needs to know the type. */
#include "bench/data.h"

#include <string.h>

uint16_t bench_half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t size = bits & 0x7fffffffu;
    if (size >= 0x7f800000u) /* infinity, NaN */
        return (uint16_t)(sign | 0x7c00u | (size > 0x7f800000u ? 0x200u : 0u));
    if (size >= 0x477ff000u) /* from 65520 on: rounds to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (size < 0x33000000u) /* up to 2^-25: rounds to 0 */
        return sign;
    uint32_t kept, rest, middle;
    if (size >= 0x38800000u) {
        kept = (size - 0x38000000u) >> 13;
        rest = size & 0x1fffu;
        middle = 0x1000u;
    } else { /* denormal: units of 2^-24 */
        const uint32_t shift = 126u - (size >> 23);
        const uint32_t digits = (size & 0x7fffffu) | 0x800000u;
        kept = digits >> shift;
        rest = digits & ((1u << shift) - 1u);
        middle = 1u << (shift - 1u);
    }
    if (rest > middle || (rest == middle && (kept & 1u) != 0))
        kept++;
    return (uint16_t)(sign | kept);
}

float bench_half_value(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = half >> 10 & 0x1fu;
    const uint32_t digits = half & 0x3ffu;
    if (exponent == 0) {
        const float value = (float)digits / 16777216.0f; /* units of 2^-24 */
        return sign != 0 ? -value : value;
    }
    const uint32_t bits =
        sign | (exponent == 31 ? 0x7f800000u : (exponent + 112u) << 23) | digits << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
