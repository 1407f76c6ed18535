/* Host arrays between f32 and f16, for callers. */
#include "clattn/tensor.h"
#include "cpu/cpu.h"

#define PIECE ((size_t)1 << 30) /* the table's functions count with an int */

void clattn_f16_from_f32(const float *from, uint16_t *to, size_t count)
{
    const clattn__cpu_ops *ops = clattn__cpu_ops_best();
    for (size_t done = 0; done < count; done += PIECE)
        ops->narrow(from + done, (int)(count - done < PIECE ? count - done : PIECE), to + done);
}

void clattn_f32_from_f16(const uint16_t *from, float *to, size_t count)
{
    const clattn__cpu_ops *ops = clattn__cpu_ops_best();
    for (size_t done = 0; done < count; done += PIECE)
        ops->widen(from + done, (int)(count - done < PIECE ? count - done : PIECE), to + done);
}
