/* Does what its first argument says: mostly what a program must not do. With * each instance does something else. */
#include <stdio.h>
#include <stdlib.h>
int deep(int n) { volatile char b[64]; b[0] = n; return n == 0 ? 0 : deep(n + 1) + b[0]; }
__attribute__((noinline)) int divide(int a, int b) { return a / b; }
__attribute__((noinline)) int slow(int n) { return n < 2 ? n : slow(n - 1) + slow(n - 2); }
int main(int argc, char **argv) {
    const char *number = getenv("DIALTONE_INSTANCE");
    volatile int turns = 0;
    printf("instance %s\n", number);
    fflush(stdout);
    switch (argv[1][0] == '*' ? "0dmux"[atoi(number)] : argv[1][0]) {
    case 'd': return divide(1, 0);
    case 'm': return *(volatile int *)0xfffffff0;
    case 'u': __builtin_trap();
    case 's': return deep(1);
    case 'x': exit(7);
    case 'l': for (;;) turns++;
    case 'r': return slow(1000);
    case 'g': while (__builtin_wasm_memory_grow(0, 16) != -1) turns++;
        printf("%d\n", turns);
    }
    return 0;
}
