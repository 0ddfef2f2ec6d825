/* Reads (function, a, b, c) and writes the result, as whole numbers of 32 bits. */
#include <stdio.h>

#include "mh_fixed.h"

int main(void)
{
    int32_t in[4];
    while (fread(in, sizeof in, 1, stdin) == 1) {
        int32_t out = 0;
        switch (in[0]) {
        case 0: out = mh_rounded_shift(in[1], in[2]); break;
        case 1: out = mh_rescaled(in[1], in[2], in[3]); break;
        case 2: out = (int32_t)mh_root((uint32_t)in[1]); break;
        case 3: out = mh_to_int16(in[1]); break;
        default: out = mh_to_int8(in[1]); break;
        }
        (void)fwrite(&out, sizeof out, 1, stdout);
    }
    return 0;
}
