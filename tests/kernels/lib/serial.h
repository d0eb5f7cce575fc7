/* COM1: out only, polled. A machine without it costs a bounded wait, once. */
#ifndef KERNELS_SERIAL_H
#define KERNELS_SERIAL_H

#include <stdbool.h>

/* Sets 115200 bits per second, 8N1. False if no UART answers; serial_put() then does nothing. */
bool serial_init(void);

/* A line feed is sent as carriage return and line feed. */
void serial_put(char c);

#endif
