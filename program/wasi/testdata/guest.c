/* An ordinary program in C: what it prints is the same on every host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void said(const char *what, int result) { printf("%s: %s\n", what, result < 0 ? strerror(errno) : "ok"); }

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
    char *names[200];
    int n = 0, i;
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d) {
        printf("opendir %s: %s\n", path, strerror(errno));
        return;
    }
    while ((e = readdir(d)) && n < 200) {
        char name[300];
        snprintf(name, sizeof(name), "%s %d", e->d_name, e->d_type);
        names[n++] = strdup(name);
    }
    closedir(d);
    qsort(names, n, sizeof(*names), by_name);
    printf("%d names\n", n);
    for (i = 0; i < n; i++) printf("%s\n", names[i]);
}

int main(int argc, char **argv) {
    char line[100], buffer[50];
    struct stat st;
    struct pollfd p = {1, POLLOUT, 0};
    struct timespec wait = {0, 5000000}, before, after;
    FILE *f;
    int i, fd;
    for (i = 0; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
    printf("LANG is %s, %s\n", getenv("LANG"), getenv("NONE") ? "and more" : "no more");
    while (fgets(line, sizeof(line), stdin)) printf("read %zu: %.10s\n", strlen(line), line);
    said("mkdir", mkdir("/dir", 0755));
    said("mkdir again", mkdir("/dir", 0755));
    f = fopen("/dir/file", "w+");
    if (!f) return 1;
    for (i = 0; i < 2000; i++) fprintf(f, "%d %g\n", i, i / 8.0);
    said("seek", fseek(f, 100, SEEK_SET));
    printf("position %ld\n", ftell(f));
    if (fgets(line, sizeof(line), f)) printf("there is %s", line);
    said("close", fclose(f));
    f = fopen("/dir/file", "a");
    if (!f) return 1;
    fputs("appended\n", f);
    fclose(f);
    said("stat", stat("/dir/file", &st));
    printf("%lld bytes, a file %d\n", (long long)st.st_size, S_ISREG(st.st_mode));
    said("truncate", truncate("/dir/file", 10));
    said("rename", rename("/dir/file", "/dir/other"));
    said("link", link("/dir/other", "/dir/hard"));
    said("symlink", symlink("other", "/dir/soft"));
    i = (int)readlink("/dir/soft", buffer, sizeof(buffer));
    printf("%.*s\n", i, buffer);
    said("lstat", lstat("/dir/soft", &st));
    printf("a link %d\n", S_ISLNK(st.st_mode));
    for (i = 0; i < 60; i++) {
        snprintf(line, sizeof(line), "/dir/a name that is long enough to fill the buffer %d", i);
        fd = open(line, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (fd < 0 || write(fd, "x", 1) != 1 || close(fd)) said("create", -1);
    }
    list("/dir");
    list("/none");
    fd = open("/dir/other", O_RDONLY);
    i = (int)pread(fd, buffer, 4, 2);
    printf("pread %d %.*s\n", i, i, buffer);
    said("write to what is read", (int)write(fd, "x", 1));
    said("flags", fcntl(fd, F_GETFL) & O_ACCMODE);
    close(fd);
    said("remove a directory that is full", rmdir("/dir"));
    said("unlink", unlink("/dir/soft"));
    said("outside", open("/../../../etc/passwd-", O_RDONLY) < 0 ? 0 : -1);
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&wait, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("slept %d\n", (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec >= 5000000);
    printf("poll %d\n", poll(&p, 1, 1000));
    printf("a terminal %d %d\n", isatty(0), isatty(1));
    said("entropy", getentropy(buffer, sizeof(buffer)));
    fprintf(stderr, "to the error stream\n");
    exit(argc);
}
