/* Loops without calls: a product of matrices in float, the Mandelbrot set in double, and a hash of integers.
 *
 *     compute [TIMES]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 128, SIDE = 192, MOST = 200, WORDS = 1 << 16 };

static float a[N][N], b[N][N], product[N][N];
static uint32_t words[WORDS];

static double matmul(void) {
    double trace = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)(i + 1) / (float)(j + 1);
            b[i][j] = (float)(i - j) / N;
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float sum = 0;
            for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
            product[i][j] = sum;
        }
    for (int i = 0; i < N; i++) trace += product[i][i];
    return trace;
}

static uint64_t mandelbrot(void) {
    uint64_t steps = 0;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            const double cr = 3.0 * column / SIDE - 2.25, ci = 3.0 * row / SIDE - 1.5;
            double x = 0, y = 0;
            for (int n = 0; n < MOST && x * x + y * y < 4; n++) {
                const double next = x * x - y * y + cr;
                y = 2 * x * y + ci;
                x = next;
                steps++;
            }
        }
    return steps;
}

/* FNV-1a over the bytes of words that a linear congruential generator makes. */
static uint64_t hash(void) {
    uint32_t state = 1;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < WORDS; i++) words[i] = state = state * 1664525u + 1013904223u;
    for (int i = 0; i < WORDS; i++)
        for (int shift = 0; shift < 32; shift += 8) h = (h ^ (words[i] >> shift & 0xff)) * UINT64_C(0x100000001b3);
    return h;
}

int main(int argc, char **argv) {
    for (int times = argc > 1 ? atoi(argv[1]) : 1; times > 0; times--)
        printf("matmul %.6f, mandelbrot %" PRIu64 ", hash %016" PRIx64 "\n", matmul(), mandelbrot(), hash());
    return 0;
}
