/* A system with a libc: numbers come by standard input and leave by standard output. Nobody counts. */
#include <stdio.h>

#include "harness.h"

uint32_t harness_read(int32_t *numbers, uint32_t count) { return (uint32_t)fread(numbers, 4, count, stdin); }
void harness_write(const int32_t *numbers, uint32_t count) { (void)fwrite(numbers, 4, count, stdout); }
uint32_t harness_instructions(void) { return 0; }
void harness_paint_stack(void) {}
uint32_t harness_stack_used(void) { return 0; }
void harness_report(int32_t number) { (void)number; }
