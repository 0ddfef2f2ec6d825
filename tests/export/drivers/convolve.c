/* Reads the number of a stack, how many inputs follow, and these; writes the outputs that they complete. */
#include "harness.h"
#include "mh_convolve.h"

typedef struct {
    const mh_convolve_table_t *table;
    mh_convolve_state_t state;
} a_stack_t;

#include "stacks.h" /* tables, their memory, and `stacks` */

static int32_t numbers[256];
static int8_t input[256];

int main(void)
{
    int32_t head[2];
    while (harness_read(head, 2) == 2) {
        a_stack_t *stack = &stacks[head[0]];
        const uint32_t n_inputs = stack->table->layers[0].n_inputs;
        mh_convolve_init(&stack->state, stack->table);
        for (int32_t n = 0; n < head[1]; ++n) {
            if (harness_read(numbers, n_inputs) != n_inputs) { return 1; }
            for (uint32_t i = 0; i < n_inputs; ++i) { input[i] = (int8_t)numbers[i]; }
            const int8_t *output = mh_convolve_push(&stack->state, stack->table, input);
            if (output == 0) { continue; }
            for (uint32_t o = 0; o < stack->table->n_outputs; ++o) { numbers[o] = output[o]; }
            harness_write(numbers, stack->table->n_outputs);
        }
    }
    return 0;
}
