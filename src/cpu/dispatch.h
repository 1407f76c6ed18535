/* The instruction sets that the CPU path is built for. */
#ifndef CLATTN_SRC_CPU_DISPATCH_H
#define CLATTN_SRC_CPU_DISPATCH_H

#include "cpu/cpu.h"

/* src/cpu/meson.build builds the variants under the same condition. */
#if defined(__x86_64__) && defined(__GNUC__)
#define CLATTN__CPU_X86_VARIANTS 1
#else
#define CLATTN__CPU_X86_VARIANTS 0
#endif

extern const clattn__cpu_ops clattn__cpu_ops_baseline;
#if CLATTN__CPU_X86_VARIANTS
extern const clattn__cpu_ops clattn__cpu_ops_avx2;
extern const clattn__cpu_ops clattn__cpu_ops_avx512;
#endif

/* The variant of that name, or NULL where it is not built or this machine lacks the instructions. */
const clattn__cpu_ops *clattn__cpu_ops_named(const char *name);

#endif
