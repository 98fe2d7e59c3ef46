/* What the load generator says: one JSON object per line on stdout, flushed at once. */
#ifndef POLLBENCH_EVENTS_H
#define POLLBENCH_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* {"event":NAME ... } is written between begin and end; the calls in between add one member each. */
void event_begin(const char *name);
void event_int(const char *key, int64_t value);
void event_real(const char *key, double value);
void event_bool(const char *key, bool value);
void event_text(const char *key, const char *value);
void event_null(const char *key);
void event_ints(const char *key, const int64_t *values, size_t count);
/* `key` NULL: an element of an array. */
void event_object(const char *key);
void event_object_end(void);
void event_array(const char *key);
void event_array_end(void);
/* A text as an element of an array. */
void event_element(const char *value);
void event_end(void);

/* Say what was attempted, on what, what came back, and leave with 1. `on` may be NULL. */
_Noreturn void fail(const char *attempted, const char *on, int error);
_Noreturn void fail_saying(const char *attempted, const char *on, const char *got);
/* The same for a bad command line: leaves with 2. */
_Noreturn void fail_usage(const char *on, const char *got);

#endif
