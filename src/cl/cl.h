/* The only file that includes OpenCL's header, so that its path and its version are chosen once. */
#ifndef CLATTN_SRC_CL_CL_H
#define CLATTN_SRC_CL_CL_H

#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#define CL_SILENCE_DEPRECATION
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

/* Apple's header declares its functions without a calling convention. */
#ifndef CL_API_CALL
#define CL_API_CALL
#endif
#ifndef CL_CALLBACK
#define CL_CALLBACK
#endif

#endif
