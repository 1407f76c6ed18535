/* Random cases of agent attention: every form, sides of 1 to 40, and large primes. */
#ifndef CLATTN_TESTS_CASE_AGENT_RANDOM_H
#define CLATTN_TESTS_CASE_AGENT_RANDOM_H

#include "case_agent_attention.h"

/* `small`: a few hundred tokens at most and one head width, for interpreters of kernels. */
void case_agent_random(fill_random *random, bool small, case_agent *c);

#endif
