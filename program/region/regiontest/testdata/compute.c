/* Loops that compute, for comparing speed. Each exported function takes as many turns as the word at "turns" says, within one loop, whose first turn
   needs nothing that came before. compute.wasm was built by: clang-19 --target=wasm32 -O2 -nostdlib -fno-builtin -mno-bulk-memory
   -Wl,--no-entry -Wl,--export-all -Wl,-z,stack-size=1024 -o compute.wasm compute.c */
typedef unsigned int u32;
typedef unsigned long long u64;

#define TURNS(name) __attribute__((export_name(#name))) void loop_##name(void) { do name(); while (--turns > 0); }
#define PART static __attribute__((noinline)) void

volatile int turns;
u64 result;

enum { N = 40 };
static float a[N][N], b[N][N], c[N][N];

PART matmul(void) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = i + j, b[i][j] = i - j;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float sum = 0;
            for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
    result += (u64)c[3][4];
}
TURNS(matmul)

PART mandelbrot(void) {
    for (int y = 0; y < 24; y++)
        for (int x = 0; x < 24; x++) {
            double r = 0, i = 0, cr = x * 0.1 - 1.8, ci = y * 0.1 - 1.2;
            int n = 0;
            while (n < 100 && r * r + i * i < 4) {
                double t = r * r - i * i + cr;
                i = 2 * r * i + ci;
                r = t;
                n++;
            }
            result += n;
        }
}
TURNS(mandelbrot)

static unsigned char text[16384];

PART hash(void) {
    u32 h = 2166136261u;
    for (u32 i = 0; i < sizeof text; i++) h = (h ^ text[i]) * 16777619u;
    result ^= h;
}
TURNS(hash)

PART sieve(void) {
    u32 count = 0;
    for (u32 i = 0; i < sizeof text; i++) text[i] = 1;
    for (u32 i = 2; i < sizeof text; i++) {
        if (!text[i]) continue;
        count++;
        for (u32 k = i + i; k < sizeof text; k += i) text[k] = 0;
    }
    result += count;
}
TURNS(sieve)

static u32 numbers[2048];

PART sort(void) { /* by heap */
    u32 n = 2048, seed = 1;
    for (u32 i = 0; i < n; i++) numbers[i] = seed = seed * 1664525u + 1013904223u;
    u32 start = n / 2, end = n;
    while (end > 1) {
        if (start > 0) start--;
        else {
            u32 t = numbers[--end];
            numbers[end] = numbers[0];
            numbers[0] = t;
        }
        u32 root = start;
        for (;;) {
            u32 child = 2 * root + 1;
            if (child >= end) break;
            if (child + 1 < end && numbers[child] < numbers[child + 1]) child++;
            if (numbers[root] >= numbers[child]) break;
            u32 t = numbers[root];
            numbers[root] = numbers[child];
            numbers[child] = t;
            root = child;
        }
    }
    result += numbers[7];
}
TURNS(sort)

PART mix(void) { /* 64-bit integers with a switch */
    u64 x = 88172645463325252ull, s = 0;
    for (int i = 0; i < 8000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        switch (x % 7) {
        case 0: s += x; break;
        case 1: s ^= x >> 3; break;
        case 2: s -= x; break;
        case 3: s = s << 1 | s >> 63; break;
        case 4: s *= 3; /* and */
        case 5: s += i; break;
        default: s ^= (u64)i << 20;
        }
    }
    result += s;
}
TURNS(mix)
