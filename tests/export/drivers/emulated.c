/* Adds one to every number; what the measurement of a machine is tried on. The first number chooses further doings. */
#include "harness.h"

static int32_t numbers[64];
int32_t counted(int32_t n);
int32_t deep(int32_t n);
int32_t endless(int32_t n);

/* Four instructions a turn, whatever the compiler thinks of it. */
__attribute__((noinline)) int32_t counted(int32_t n)
{
#ifdef __arm__
    __asm__ volatile("1: nop\n nop\n subs %0, #1\n bne 1b\n" : "+l"(n) : : "cc");
#endif
    return n;
}

__attribute__((noinline)) int32_t deep(int32_t n)
{
    volatile int32_t frame[100];
    frame[n % 100] = n;
    return frame[n % 100];
}

/* Nearly 20 KB of stack: some of it lies where variables are. */
__attribute__((noinline)) int32_t endless(int32_t n)
{
    volatile int32_t frame[5 * 1024 - 32];
    for (int32_t k = 0; k < 5 * 1024 - 32; k++) { frame[k] = n; }
    return frame[n];
}

int main(void)
{
    uint32_t count = harness_read(numbers, 1);
    const int32_t doing = count == 1 ? numbers[0] : 0;
    if (doing == -1) { __builtin_trap(); }
    harness_paint_stack();
    if (doing == -2) { (void)endless(1); }
    harness_report(deep(7) == 7 ? (int32_t)harness_stack_used() : -1);
    const uint32_t start = harness_instructions(), nothing = harness_instructions() - start;
    const uint32_t before = harness_instructions();
    (void)counted(doing);
    harness_report((int32_t)(harness_instructions() - before - nothing));
    while ((count = harness_read(numbers, 64)) > 0) {
        for (uint32_t k = 0; k < count; k++) { numbers[k]++; }
        harness_write(numbers, count);
    }
    return 0;
}
