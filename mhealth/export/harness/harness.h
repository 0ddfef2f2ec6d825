/* What a program that proves an export needs of the machine it runs on: files of numbers, a count, a painted stack.
   harness_host.c has it for systems with a libc, harness_cortex_m.c for an emulated microcontroller without one. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>

/* Reads at most `count` numbers of the input, little-endian; returns how many there were. */
uint32_t harness_read(int32_t *numbers, uint32_t count);

/* Writes numbers to the output. */
void harness_write(const int32_t *numbers, uint32_t count);

/* Instructions so far, modulo 2^32; 0 where nobody counts. */
uint32_t harness_instructions(void);

/* Paints the stack below the caller; bytes of it that were used since, from where the caller's frame ends. */
void harness_paint_stack(void);
uint32_t harness_stack_used(void);

/* Writes a number of the measurement's results to where those are kept apart from the output. */
void harness_report(int32_t number);

#endif
