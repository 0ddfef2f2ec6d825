/* Reads how many candidates follow, by how many outputs each is described late, and them; then how many samples follow,
   and for each the sample and the running scale. Writes -1 and the logits of every output, and -2 and what describes a
   candidate, as they come. */
#include "harness.h"
#include "network_table.h" /* `table`, and the state `network` with its memory */

static int16_t ring[1024];
static int32_t candidates[2048];

static void put(int32_t number) { harness_write(&number, 1); }

static int32_t take(void)
{
    int32_t number = 0;
    return harness_read(&number, 1) == 1 ? number : 0;
}

static void show(uint32_t before)
{
    if (network.n_outputs == before) { return; }
    const uint32_t slot = before & (table.n_rows - 1u), n = table.n_classes + 1u;
    put(-1);
    for (uint32_t c = 0; c < n; ++c) { put(network.logits[slot * n + c]); }
}

static void describe(uint32_t position)
{
    int16_t dense[128];
    mh_network_describe(&network, &table, position, dense);
    put(-2);
    for (uint32_t k = 0; k < MH_NETWORK_DENSE(&table); ++k) { put(dense[k]); }
}

int main(void)
{
    const mh_signal_t signal = {ring, 1023};
    int32_t count;
    while (harness_read(&count, 1) == 1) {
        const int32_t n_candidates = count, late = take() * table.stride;
        if (n_candidates > 2048) { return 1; }
        (void)harness_read(candidates, (uint32_t)n_candidates);
        const int32_t n = take();
        int32_t next = 0;
        mh_network_init(&network, &table);
        bool more = true;
        for (int32_t k = 0; more; ++k) {
            const uint32_t before = network.n_outputs;
            if (k < n) {
                ring[(uint32_t)k & signal.mask] = (int16_t)take();
                (void)mh_network_push(&network, &table, &signal, (uint32_t)take());
            } else {
                more = mh_network_drain(&network, &table);
            }
            show(before);
            for (; next < n_candidates; ++next) {
                if (more && !mh_network_knows(&network, &table, (uint32_t)(candidates[next] + late))) { break; }
                describe((uint32_t)candidates[next]);
            }
        }
    }
    return 0;
}
