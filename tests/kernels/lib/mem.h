/*
 * The four functions that a compiler calls of its own accord; as in the C
 * standard.
 */
#ifndef KERNELS_MEM_H
#define KERNELS_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *at, int byte, size_t size);
int memcmp(const void *left, const void *right, size_t size);

#endif
