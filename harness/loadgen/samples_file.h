/* The sample file: a header, a table of columns, and one record per measured request. */
#ifndef POLLBENCH_SAMPLES_FILE_H
#define POLLBENCH_SAMPLES_FILE_H

#include <stddef.h>

#include "worker.h"

/* Creates the file at once, so that a bad path is known before anything is measured. */
int samples_file_create(const char *path);
/* Writes what the workers recorded, one worker after the other, each in order of sending. */
void samples_file_write(int file, const char *path, struct worker *const *workers, size_t count);

#endif
