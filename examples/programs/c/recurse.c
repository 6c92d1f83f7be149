/* Calls: a sieve, Fibonacci numbers by recursion, and qsort, which compares through a function pointer.
 *
 *     recurse [TIMES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 500000, NUMBERS = 8000 };

static char composite[LIMIT];

static int primes(void) {
    int count = 0;
    memset(composite, 0, sizeof composite);
    for (int i = 2; i < LIMIT; i++) {
        if (composite[i]) continue;
        count++;
        for (long long j = (long long)i * i; j < LIMIT; j += i) composite[j] = 1;
    }
    return count;
}

static unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static int ascending(const void *a, const void *b) {
    const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static int descending(const void *a, const void *b) { return ascending(b, a); }

/* The sum of the numbers by their places is another one in another order. */
static unsigned sorted(int (*compare)(const void *, const void *)) {
    static unsigned numbers[NUMBERS];
    unsigned state = 1, sum = 0;
    for (unsigned i = 0; i < NUMBERS; i++) numbers[i] = state = state * 1664525u + 1013904223u;
    qsort(numbers, NUMBERS, sizeof *numbers, compare);
    for (unsigned i = 0; i < NUMBERS; i++) sum += i * numbers[i];
    return sum;
}

int main(int argc, char **argv) {
    for (int times = argc > 1 ? atoi(argv[1]) : 1; times > 0; times--)
        printf("%d primes, fib %u, sorted %08x %08x\n", primes(), fib(26), sorted(ascending), sorted(descending));
    return 0;
}
