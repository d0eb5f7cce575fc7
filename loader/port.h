/*
 * Input and output ports. The functions are assembly (guard.S); tests have
 * ports of their own.
 */
#ifndef LOADER_PORT_H
#define LOADER_PORT_H

#include <stdint.h>

uint8_t port_in8(uint16_t port);
void port_out8(uint16_t port, uint8_t value);

#endif
