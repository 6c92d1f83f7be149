// Renders with the C library's snprintf what the differential test sends: see reference_test.go, which compiles and feeds this.
//
// Standard input is a list of cases in the machine's byte order: uint32 format length, format, uint8 number of stars, 2 x int32 stars,
// uint8 type, uint64 bits, uint32 string length, string. Standard output is, first, a uint32 that is 1 if the C library is glibc with a
// 64-bit long and 0 if not (and nothing follows), and for each case an int32 that snprintf returned with as many bytes, if not negative.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char format[1 << 16], string[1 << 16], out[1 << 18];

static int get(void *p, size_t n) { return n == 0 || fread(p, n, 1, stdin) == 1; }

#define RENDER(value)                                                                                                      \
    (stars == 0   ? snprintf(out, sizeof out, format, value)                                                               \
     : stars == 1 ? snprintf(out, sizeof out, format, (int)star[0], value)                                                 \
                  : snprintf(out, sizeof out, format, (int)star[0], (int)star[1], value))

int main(void) {
    uint32_t reference = 0;
#ifdef __GLIBC__
    reference = sizeof(long) == 8;
#endif
    fwrite(&reference, sizeof reference, 1, stdout);
    uint32_t length;
    while (reference && get(&length, sizeof length)) {
        uint8_t stars, type;
        int32_t star[2], n = -1;
        uint64_t bits;
        double number;
        if (length >= sizeof format || !get(format, length) || !get(&stars, 1) || !get(star, sizeof star) || !get(&type, 1) ||
            !get(&bits, sizeof bits))
            return 1;
        format[length] = 0;
        if (!get(&length, sizeof length) || length >= sizeof string || !get(string, length))
            return 1;
        string[length] = 0;
        memcpy(&number, &bits, sizeof number);
        switch (type) {
        case 'i': n = RENDER((int)bits); break;
        case 'l': n = RENDER((long long)bits); break;
        case 'd': n = RENDER(number); break;
        case 'D': n = RENDER((long double)number); break;
        case 's': n = RENDER(string); break;
        case '0': n = RENDER((char *)NULL); break;
        case 'p': n = RENDER((void *)(uintptr_t)bits); break;
        default: return 1;
        }
        if (n >= (int)sizeof out)
            return 1;
        fwrite(&n, sizeof n, 1, stdout);
        if (n > 0)
            fwrite(out, (size_t)n, 1, stdout);
    }
    return 0;
}
