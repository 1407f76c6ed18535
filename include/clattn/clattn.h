/* clattn: Agent Attention on any OpenCL device. Includes the whole public interface. */
#ifndef CLATTN_H
#define CLATTN_H

#include "clattn/base.h"
#include "clattn/cache.h"
#include "clattn/context.h"
#include "clattn/filter.h"
#include "clattn/io.h"
#include "clattn/kernels.h"
#include "clattn/ops.h"
#include "clattn/selftest.h"
#include "clattn/tensor.h"
#include "clattn/tile.h"
#include "clattn/tune.h"

#endif
