/*
 * Ctrl-C and kill (SIGINT, SIGTERM) for a command that runs long with an OpenCL driver in its process. A driver's compiler takes over the handlers
 * and starts programs, such as a linker; Ctrl-C ends those too, and the driver (PoCL) then aborts with us. So every thread, and with it
 * every program that is started, blocks the two signals, and one thread waits for them.
 */
#ifndef CLATTN_TOOLS_STOP_H
#define CLATTN_TOOLS_STOP_H

/* Before any other thread is there. From then on a signal ends the program as it would have without this. */
void stop_begin(void);

/* The first signal from here on is noted, and only a second one ends the program. May be called again. */
void stop_hold(void);
/* Ends that. */
void stop_release(void);

/* The signal that was noted, or 0. From any thread. */
int stop_signal(void);

#endif
