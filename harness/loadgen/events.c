/* Writes JSON events to stdout and ends the program with an error event when something failed. */
#include "events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

static bool comma_due;

static void put_text(const char *text)
{
    putchar('"');
    for (const char *c = text; *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;

        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20)
            printf("\\u%04x", byte);
        else
            putchar(byte); /* UTF-8 passes as it is */
    }
    putchar('"');
}

static void put_key(const char *key)
{
    if (comma_due)
        putchar(',');
    comma_due = true;
    if (key == NULL) /* an element of an array has none */
        return;
    put_text(key);
    putchar(':');
}

void event_begin(const char *name)
{
    comma_due = false;
    putchar('{');
    event_text("event", name);
}

void event_int(const char *key, int64_t value)
{
    put_key(key);
    printf("%" PRId64, value);
}

void event_real(const char *key, double value)
{
    put_key(key);
    printf("%.2f", value);
}

void event_bool(const char *key, bool value)
{
    put_key(key);
    fputs(value ? "true" : "false", stdout);
}

void event_text(const char *key, const char *value)
{
    put_key(key);
    put_text(value);
}

void event_null(const char *key)
{
    put_key(key);
    fputs("null", stdout);
}

void event_ints(const char *key, const int64_t *values, size_t count)
{
    put_key(key);
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf(i == 0 ? "%" PRId64 : ",%" PRId64, values[i]);
    putchar(']');
}

void event_object(const char *key)
{
    put_key(key);
    putchar('{');
    comma_due = false;
}

void event_object_end(void)
{
    putchar('}');
    comma_due = true;
}

void event_array(const char *key)
{
    put_key(key);
    putchar('[');
    comma_due = false;
}

void event_array_end(void)
{
    putchar(']');
    comma_due = true;
}

void event_element(const char *value)
{
    put_key(NULL);
    put_text(value);
}

void event_end(void)
{
    fputs("}\n", stdout);
    /* Nobody reads us any more: there is no one left to tell, so only the exit code can say it. */
    if (fflush(stdout) != 0)
        _Exit(EXIT_FAILED);
}

/* Threads may fail together: the first speaks and ends the program, the others wait for that. */
static void speak_alone(void)
{
    static atomic_flag taken = ATOMIC_FLAG_INIT;

    while (atomic_flag_test_and_set(&taken))
        pause();
}

static void put_error(const char *attempted, const char *on, int error, const char *got)
{
    speak_alone();
    event_begin("error");
    event_text("attempted", attempted);
    event_text("on", on == NULL ? "" : on);
    event_int("errno", error);
    event_text("got", got);
    event_end();
}

void fail(const char *attempted, const char *on, int error)
{
    put_error(attempted, on, error, strerror(error));
    exit(EXIT_FAILED);
}

void fail_saying(const char *attempted, const char *on, const char *got)
{
    put_error(attempted, on, 0, got);
    exit(EXIT_FAILED);
}

void fail_usage(const char *on, const char *got)
{
    put_error("read the command line", on, EINVAL, got);
    exit(EXIT_USAGE);
}
