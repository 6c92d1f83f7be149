/* Greets, tells the time, asks for a name, writes a file and reads it back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *path = "/hello.txt";

static int fail(const char *what) {
    fprintf(stderr, "cannot %s %s: %s\n", what, path, strerror(errno));
    return 1;
}

int main(void) {
    struct timespec now;
    char name[100] = "", line[200] = "";

    timespec_get(&now, TIME_UTC);
    printf("Hello from C!\nIt is %lld.%03ld seconds past 1970.\nWhat is your name? ", (long long)now.tv_sec, now.tv_nsec / 1000000);
    fflush(stdout);
    if (fgets(name, sizeof name, stdin)) name[strcspn(name, "\r\n")] = '\0';
    if (!*name) strcpy(name, "stranger");
    printf("Nice to meet you, %s.\n", name);

    FILE *f = fopen(path, "w");
    if (!f) return fail("write");
    fprintf(f, "This file was written by a C program for %s.\n", name);
    if (fclose(f)) return fail("write");

    f = fopen(path, "r");
    if (!f || !fgets(line, sizeof line, f)) return fail("read");
    fclose(f);
    printf("%s says: %s", path, line);
    return 0;
}
