/* Chooses the instruction set at run time. */
#include "cpu/dispatch.h"

#include <string.h>

#if CLATTN__CPU_X86_VARIANTS

#include <cpuid.h>

/* Not every compiler's builtin below knows the conversions of halves; they need no more of the operating system than AVX2 does. */
static bool has_f16c(void)
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

/* The builtins ask the operating system too whether it saves the wide registers. */
static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

/* Beyond AVX2. */
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const clattn__cpu_ops *clattn__cpu_ops_best(void)
{
    /* Asked once: in virtual machines the instruction takes as long as a small run. */
    if (!has_avx2())
        return &clattn__cpu_ops_baseline;
    return has_avx512() ? &clattn__cpu_ops_avx512 : &clattn__cpu_ops_avx2;
}

const clattn__cpu_ops *clattn__cpu_ops_named(const char *name)
{
    if (strcmp(name, clattn__cpu_ops_avx512.name) == 0)
        return has_avx2() && has_avx512() ? &clattn__cpu_ops_avx512 : NULL;
    if (strcmp(name, clattn__cpu_ops_avx2.name) == 0)
        return has_avx2() ? &clattn__cpu_ops_avx2 : NULL;
    return strcmp(name, clattn__cpu_ops_baseline.name) == 0 ? &clattn__cpu_ops_baseline : NULL;
}

#else

const clattn__cpu_ops *clattn__cpu_ops_best(void)
{
    return &clattn__cpu_ops_baseline;
}

const clattn__cpu_ops *clattn__cpu_ops_named(const char *name)
{
    return strcmp(name, clattn__cpu_ops_baseline.name) == 0 ? &clattn__cpu_ops_baseline : NULL;
}

#endif
