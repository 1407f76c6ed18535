/* A thread that waits for signals; see stop.h. */
#define _XOPEN_SOURCE 700

#include "stop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static const int wanted[2] = {SIGINT, SIGTERM};
static sigset_t waited;
static atomic_bool held;
static atomic_int noted;

/* Whatever handler is there, of this program or of a driver, has its turn; or nobody's, which ends the program. */
static void end_by(int signal_number)
{
    pthread_sigmask(SIG_UNBLOCK, &waited, NULL);
    raise(signal_number);
    pthread_sigmask(SIG_BLOCK, &waited, NULL);
}

static void *wait_for_signals(void *user)
{
    int signal_number = 0;
    while (sigwait(&waited, &signal_number) == 0) {
        int none = 0;
        if (!atomic_load(&held) || !atomic_compare_exchange_strong(&noted, &none, signal_number))
            end_by(signal_number);
    }
    return user;
}

void stop_begin(void)
{
    pthread_t thread;
    sigemptyset(&waited);
    for (size_t i = 0; i < 2; i++) {
        struct sigaction action;
        /* One that the caller ignores (nohup) stays ignored: a thread that waits would get it. */
        if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&waited, wanted[i]);
    }
    pthread_sigmask(SIG_BLOCK, &waited, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &waited, NULL);
}

void stop_hold(void)
{
    atomic_store(&held, true);
}

void stop_release(void)
{
    atomic_store(&held, false);
}

int stop_signal(void)
{
    return atomic_load(&noted);
}
