/* Reads command line options against a table and refuses whatever does not fit it exactly. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

bool options_read_number(const char **text, int64_t low, int64_t high, int64_t *value)
{
    char *end;

    /* strtoll would skip blanks and take a plus sign; a command line made by a program has neither. */
    if (!isdigit((unsigned char)**text) && **text != '-')
        return false;
    errno = 0;
    *value = strtoll(*text, &end, 10);
    if (end == *text || errno != 0 || *value < low || *value > high)
        return false;
    *text = end;
    return true;
}

static void read_number(const struct option_spec *spec, const char *value)
{
    char wanted[96];
    const char *rest = value;

    if (options_read_number(&rest, spec->low, spec->high, spec->number) && *rest == '\0')
        return;
    snprintf(wanted, sizeof wanted, "want a whole number from %" PRId64 " to %" PRId64, spec->low, spec->high);
    fail_usage(spec->name, wanted);
}

static void read_real(const struct option_spec *spec, const char *value)
{
    char wanted[96];
    char *end;

    *spec->real = strtod(value, &end);
    /* Written so that NaN, which compares false with everything, is refused too. */
    if (end != value && *end == '\0' && *spec->real >= (double)spec->low && *spec->real <= (double)spec->high)
        return;
    snprintf(wanted, sizeof wanted, "want a number from %" PRId64 " to %" PRId64, spec->low, spec->high);
    fail_usage(spec->name, wanted);
}

static void read_choice(const struct option_spec *spec, const char *value)
{
    char wanted[160] = "want one of:";

    for (int64_t i = 0; spec->choices[i] != NULL; i++) {
        if (strcmp(spec->choices[i], value) == 0) {
            *spec->number = i;
            return;
        }
        strncat(wanted, " ", sizeof wanted - strlen(wanted) - 1);
        strncat(wanted, spec->choices[i], sizeof wanted - strlen(wanted) - 1);
    }
    fail_usage(spec->name, wanted);
}

static void read_value(struct option_spec *spec, const char *value)
{
    if (spec->seen)
        fail_usage(spec->name, "given twice");
    spec->seen = true;
    if (spec->text != NULL)
        *spec->text = value;
    else if (spec->real != NULL)
        read_real(spec, value);
    else if (spec->choices != NULL)
        read_choice(spec, value);
    else
        read_number(spec, value);
}

static struct option_spec *find(struct option_spec *table, size_t count, const char *word)
{
    const size_t length = strcspn(word, "=");

    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == length && strncmp(table[i].name, word, length) == 0)
            return &table[i];
    fail_usage(word, "no such option");
}

int options_parse(struct option_spec *table, size_t count, int argc, char **argv)
{
    int at = 0;

    while (at < argc && strncmp(argv[at], "--", 2) == 0) {
        const char *word = argv[at++];

        if (strcmp(word, "--") == 0)
            break;
        struct option_spec *spec = find(table, count, word);
        const char *equals = strchr(word, '=');

        if (spec->flag != NULL) {
            if (equals != NULL)
                fail_usage(spec->name, "takes no value");
            *spec->flag = true;
            continue;
        }
        if (equals == NULL && at >= argc)
            fail_usage(spec->name, "its value is missing");
        read_value(spec, equals != NULL ? equals + 1 : argv[at++]);
    }
    for (size_t i = 0; i < count; i++)
        if (table[i].required && !table[i].seen)
            fail_usage(table[i].name, "is required");
    return at;
}
