/* What a freestanding program has to bring along (C11 4p6 and the compilers' manuals). */
#ifndef EFI_MEM_H
#define EFI_MEM_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
