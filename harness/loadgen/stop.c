/* Turns SIGTERM and the end of standard input into a flag, without a race against blocking system calls. */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "events.h"

#define NUDGE_US 5000

atomic_int stop_requested;

/* A loop may have tested the flag just before the signal came and be about to block for ever. A timer that
 * keeps interrupting closes that gap: the next interruption finds it blocked and the call returns EINTR.
 * (setitimer is a bare system call on Linux, so it is safe in a handler.) */
static void request_stop(void)
{
    const struct timeval nudge = {.tv_usec = NUDGE_US};
    const struct itimerval repeating = {.it_interval = nudge, .it_value = nudge};

    stop_requested = 1;
    setitimer(ITIMER_REAL, &repeating, NULL);
}

static void on_sigterm(int number)
{
    const int saved = errno;

    (void)number;
    request_stop();
    errno = saved;
}

static void on_nudge(int number)
{
    (void)number; /* Interrupting the system call is all it is for. */
}

/* The peer hung up and left nothing to read: that is the end of input. Unread commands are honoured first. */
static void stop_if_stdin_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN | POLLRDHUP};
    int unread = 0;

    if (poll(&input, 1, 0) != 1 || (input.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) == 0)
        return;
    if (ioctl(STDIN_FILENO, FIONREAD, &unread) == 0 && unread > 0)
        return;
    request_stop();
}

static void on_stdin(int number)
{
    const int saved = errno;

    (void)number;
    stop_if_stdin_ended();
    errno = saved;
}

/* Deliberately without SA_RESTART: a blocked call must return so that its loop sees the flag. */
static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL) != 0)
        fail("handle a signal", NULL, errno);
}

void stop_on_sigterm(void)
{
    handle(SIGALRM, on_nudge);
    handle(SIGTERM, on_sigterm);
    handle(SIGPIPE, SIG_IGN);
}

/* SIGIO instead of a watching thread: a second thread would make every system call of the measuring loop
 * count references on the shared file table. Inputs without SIGIO (a file, /dev/null) are at their end when
 * they are read, which is noticed then. */
void stop_on_stdin_eof(void)
{
    handle(SIGIO, on_stdin);
    const int flags = fcntl(STDIN_FILENO, F_GETFL);

    if (flags >= 0 && fcntl(STDIN_FILENO, F_SETOWN, getpid()) == 0)
        (void)fcntl(STDIN_FILENO, F_SETFL, flags | O_ASYNC);
    stop_if_stdin_ended();
}
