/* Table-driven command line options: every mode declares a table, one parser reads them all. */
#ifndef POLLBENCH_OPTIONS_H
#define POLLBENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exactly one of text, number, real, flag is set; it says what the value is and where it goes. */
struct option_spec {
    const char *name;           /* with its dashes: "--port" */
    const char **text;          /* any text */
    int64_t *number;            /* whole number in [low, high], or the index of one of `choices` */
    double *real;               /* decimal number in [low, high] */
    bool *flag;                 /* takes no value: set when the option is there */
    const char *const *choices; /* NULL-terminated list of allowed words for `number` */
    int64_t low, high;
    bool required;
    bool seen; /* set by the parser */
};

#define OPTION_COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Reads "--name value" pairs (and "--name=value") until the first word that is not an option, or past "--".
 * Returns the index of that word (argc if there is none). Ends the program on a bad command line. */
int options_parse(struct option_spec *table, size_t count, int argc, char **argv);

/* A whole number in [low, high] starting at *text; moves *text past it. False if there is none. */
bool options_read_number(const char **text, int64_t low, int64_t high, int64_t *value);

#endif
