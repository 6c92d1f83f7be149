/* Says hello, tells the time, asks for a name, writes a file and reads it back: an ordinary little
   program, except that it runs on a GPU.

       dialtone run --dir .:/ examples/hello/hello.kernel.c */

KERNEL(hello) {
    hc_timespec now;
    char name[64] = "stranger", line[64], back[128];
    hc_i64 n, i;
    hc_i32 fd;

    HC_RESUMABLE;
    hc_printf("Hello from group %u of %u!\n", hc_group_id(), hc_group_count());
    if (hc_global_id() != 0u) return;

    hc_clock_gettime(HC_CLOCK_REALTIME, &now);
    hc_printf("It is %lld.%03u seconds past 1970.\n", now.seconds, now.nanoseconds / 1000000u);

    hc_puts("What is your name? ");
    n = hc_read(0, line, sizeof(line) - 1);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
    if (n > 0) {
        for (i = 0; i < n; i++) name[i] = line[i];
        name[n] = 0;
    }
    hc_printf("Nice to meet you, %s.\n", name);

    fd = hc_open("/hello.txt", HC_O_CREAT | HC_O_TRUNC | HC_O_RDWR, 0644);
    if (fd < 0) {
        hc_printf("cannot write /hello.txt: error %d (is there a --dir?)\n", -fd);
        hc_exit(1);
        return;
    }
    hc_fprintf(fd, "This file was written by a kernel for %s.\n", name);
    hc_lseek(fd, 0, HC_SEEK_SET);
    n = hc_read(fd, back, sizeof(back));
    hc_close(fd);
    if (n < 0) {
        hc_printf("cannot read /hello.txt: error %d\n", (int)-n);
        hc_exit(1);
        return;
    }
    hc_printf("/hello.txt says: %s", hc_span(back, (hc_u32)n));
}
