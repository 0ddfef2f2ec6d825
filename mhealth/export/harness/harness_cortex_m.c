/* An emulated Cortex-M: start-up, files through semihosting, and a timer of QEMU's STM32 that counts nanoseconds, which
   are instructions under -icount shift=0. Nothing of it belongs to an export. */
#include <stddef.h>

#include "harness.h"

extern uint32_t harness_data[], harness_data_end[], harness_data_load[], harness_bss[], harness_ram_end[];
extern uint32_t harness_stack_top[];
int main(void);
void harness_reset(void);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };

static int32_t input = -1, output = -1, results = -1;

static uint32_t semihosting(uint32_t operation, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(uint32_t code)
{
    const uint32_t arguments[2] = {APPLICATION_EXIT, code};
    for (;;) { (void)semihosting(SYS_EXIT_EXTENDED, arguments); }
}

static void fault(void) { leave(3); }

static int32_t file(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, length};
    const int32_t handle = (int32_t)semihosting(SYS_OPEN, arguments);
    if (handle < 0) { leave(2); }
    return handle;
}

static void put(int32_t handle, const int32_t *numbers, uint32_t count)
{
    const uint32_t arguments[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)numbers, 4 * count};
    if (semihosting(SYS_WRITE, arguments) != 0) { leave(2); }
}

uint32_t harness_read(int32_t *numbers, uint32_t count)
{
    if (input < 0) { input = file("input", 5, READ_BINARY); }
    const uint32_t arguments[3] = {(uint32_t)input, (uint32_t)(uintptr_t)numbers, 4 * count};
    return count - semihosting(SYS_READ, arguments) / 4;
}

void harness_write(const int32_t *numbers, uint32_t count)
{
    if (output < 0) { output = file("output", 6, WRITE_BINARY); }
    put(output, numbers, count);
}

void harness_report(int32_t number)
{
    if (results < 0) { results = file("results", 7, WRITE_BINARY); }
    put(results, &number, 1);
}

uint32_t harness_instructions(void) { return *(volatile const uint32_t *)0x40000024u; /* TIM2_CNT */ }

#define PAINT 0xa5c35a3cu

static uint32_t *painted_to;

__attribute__((noinline)) void harness_paint_stack(void)
{
    uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    painted_to = top;
    for (volatile uint32_t *word = harness_ram_end; word < top; word++) { *word = PAINT; }
}

uint32_t harness_stack_used(void)
{
    volatile const uint32_t *word = harness_ram_end;
    if (*word != PAINT) { leave(4); } /* the stack has met the variables */
    while (word < painted_to && *word == PAINT) { word++; }
    return (uint32_t)((uintptr_t)harness_stack_top - (uintptr_t)word);
}

/* GCC calls these even where there is no libc. */
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    for (size_t k = 0; k < size; k++) { ((volatile unsigned char *)to)[k] = ((const unsigned char *)from)[k]; }
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    volatile unsigned char *out = to;
    const unsigned char *in = from;
    if ((uintptr_t)to < (uintptr_t)from) {
        for (size_t k = 0; k < size; k++) { out[k] = in[k]; }
    } else {
        for (size_t k = size; k > 0; k--) { out[k - 1] = in[k - 1]; }
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    for (size_t k = 0; k < size; k++) { ((volatile unsigned char *)to)[k] = (unsigned char)value; }
    return to;
}

void harness_reset(void)
{
    const uint32_t *load = harness_data_load;
    for (uint32_t *word = harness_data; word < harness_data_end; word++) { *word = *load++; }
    for (uint32_t *word = harness_bss; word < harness_ram_end; word++) { *word = 0; }
    leave((uint32_t)main());
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {harness_stack_top,
             {harness_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
              fault}};
