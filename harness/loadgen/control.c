/* Reads the harness's commands from standard input. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "stop.h"

void control_stopped(const char *attempted)
{
    fail_saying(attempted, "standard input", "asked to stop before the end");
}

static char read_byte(const char *attempted)
{
    char byte;

    for (;;) {
        const ssize_t got = read(STDIN_FILENO, &byte, 1);

        if (got == 1)
            return byte;
        if (got == 0 || stop_requested)
            control_stopped(attempted);
        if (errno != EINTR)
            fail(attempted, "standard input", errno);
    }
}

void control_wait(const char *word)
{
    char attempted[32];
    char line[16];
    size_t length = 0;

    snprintf(attempted, sizeof attempted, "wait for \"%s\"", word);
    for (;;) {
        const char byte = read_byte(attempted);

        if (byte == '\n')
            break;
        if (length < sizeof line - 1) /* longer lines are wrong whatever follows */
            line[length++] = byte;
    }
    line[length] = '\0';
    if (strcmp(line, word) != 0)
        fail_saying(attempted, "standard input", line);
}
