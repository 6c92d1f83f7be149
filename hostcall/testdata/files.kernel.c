/* Files: every call, what it gives and the errno of each misuse. */

static int same_(const char *a, GLOBAL const char *b, hc_u32 n) {
    hc_u32 i;
    for (i = 0u; i < n; i++)
        if (a[i] != b[i]) return 0;
    return 1;
}

KERNEL(file, GLOBAL hc_u32 *checks, GLOBAL const char *text) {
    HC_RESUMABLE;
    char back[64];
    hc_stat_t st, by_name;
    hc_i32 fd;
    hc_u32 i;
    fd = hc_open("/d/new", HC_O_CREAT | HC_O_EXCL | HC_O_RDWR, 0640);
    EXPECT(fd, 3);
    EXPECT(hc_open("/d/new", HC_O_CREAT | HC_O_EXCL | HC_O_RDWR, 0644), -HC_EEXIST);
    EXPECT(hc_write(fd, text, 5), 5);
    EXPECT(hc_lseek(fd, 0, HC_SEEK_CUR), 5);
    EXPECT(hc_read(fd, back, 5), 0);
    EXPECT(hc_lseek(fd, 0, HC_SEEK_SET), 0);
    EXPECT(hc_read(fd, back, 3), 3);
    EXPECT(hc_read(fd, back + 3, 60), 2);
    EXPECT(same_(back, text, 5u), 1);
    EXPECT(hc_read(fd, back, 0), 0);
    EXPECT(hc_write(fd, text, 0), 0);
    EXPECT(hc_pwrite(fd, text, 7, 11), 7);
    EXPECT(hc_lseek(fd, 0, HC_SEEK_CUR), 5);
    for (i = 0u; i < 64u; i++) back[i] = 'x';
    EXPECT(hc_pread(fd, back, 64, 4), 14);
    EXPECT(back[0], text[4]);
    for (i = 1u; i < 7u; i++) EXPECT(back[i], 0);
    EXPECT(same_(back + 7, text, 7u), 1);
    EXPECT(back[14], 'x');
    EXPECT(hc_pread(fd, back, 64, 18), 0);
    EXPECT(hc_pread(fd, back, 64, 1000000000000), 0);
    EXPECT(hc_lseek(fd, -1, HC_SEEK_SET), -HC_EINVAL);
    EXPECT(hc_lseek(fd, 0, 3), -HC_EINVAL);
    EXPECT(hc_lseek(fd, 0, -1), -HC_EINVAL);
    EXPECT(hc_lseek(fd, -3, HC_SEEK_END), 15);
    EXPECT(hc_lseek(fd, 2, HC_SEEK_CUR), 17);
    EXPECT(hc_lseek(fd, 5000000000, HC_SEEK_SET), 5000000000);
    EXPECT(hc_read(fd, back, 1), 0);
    EXPECT(hc_ftruncate(fd, 3), 0);
    EXPECT(hc_ftruncate(fd, -1), -HC_EINVAL);
    EXPECT(hc_fstat(fd, &st), 0);
    EXPECT(st.size, 3);
    EXPECT(st.kind, HC_KIND_FILE);
    EXPECT(st.mode, 0640);
    EXPECT(hc_stat("/d/new", &by_name), 0);
    EXPECT(by_name.inode, st.inode);
    EXPECT(by_name.size, st.size);
    EXPECT(by_name.mtime_ns, st.mtime_ns);
    EXPECT(hc_fsync(fd), 0);
    EXPECT(hc_close(fd), 0);
    EXPECT(hc_close(fd), -HC_EBADF);
    fd = hc_open("/d/new", HC_O_WRONLY | HC_O_APPEND, 0);
    EXPECT(fd, 3);
    EXPECT(hc_read(fd, back, 1), -HC_EBADF);
    EXPECT(hc_pread(fd, back, 1, 0), -HC_EBADF);
    EXPECT(hc_write(fd, text + 3, 2), 2);
    EXPECT(hc_write(fd, "\n", 1), 1);
    EXPECT(hc_close(fd), 0);
    fd = hc_open("/d/new", HC_O_RDONLY, 0);
    EXPECT(hc_read(fd, back, 64), 6);
    EXPECT(same_(back, text, 5u), 1);
    EXPECT(back[5], '\n');
    EXPECT(hc_write(fd, text, 1), -HC_EBADF);
    EXPECT(hc_pwrite(fd, text, 1, 0), -HC_EBADF);
    EXPECT(hc_ftruncate(fd, 0), -HC_EINVAL);
    EXPECT(hc_close(fd), 0);
}

KERNEL(misuse, GLOBAL hc_u32 *checks, GLOBAL const char *text) {
    HC_RESUMABLE;
    const hc_i32 bad = hc_argc() == 1 ? 3 : hc_argc() == 2 ? -1 : hc_argc() == 3 ? 0x7fffffff : -0x7fffffff - 1;
    char back[4];
    hc_stat_t st;
    hc_dirent entry;
    entry.cookie = 0u;
    EXPECT(hc_close(bad), -HC_EBADF);
    EXPECT(hc_read(bad, back, 4), -HC_EBADF);
    EXPECT(hc_read(bad, back, 0), -HC_EBADF);
    EXPECT(hc_pread(bad, back, 4, 0), -HC_EBADF);
    EXPECT(hc_write(bad, text, 4), -HC_EBADF);
    EXPECT(hc_write(bad, text, 0), -HC_EBADF);
    EXPECT(hc_pwrite(bad, text, 4, 0), -HC_EBADF);
    EXPECT(hc_lseek(bad, 0, HC_SEEK_SET), -HC_EBADF);
    EXPECT(hc_fstat(bad, &st), -HC_EBADF);
    EXPECT(hc_ftruncate(bad, 0), -HC_EBADF);
    EXPECT(hc_fsync(bad), -HC_EBADF);
    EXPECT(hc_readdir(bad, &entry), -HC_EBADF);
    EXPECT(hc_read(0, back, -1), -HC_EINVAL);
    EXPECT(hc_write(1, text, -1), -HC_EINVAL);
    EXPECT(hc_pread(0, back, 1, -1), -HC_EINVAL);
    EXPECT(hc_pwrite(1, text, 1, -1), -HC_EINVAL);
    EXPECT(hc_pread(0, back, 1, 0), -HC_ESPIPE);
    EXPECT(hc_pwrite(1, text, 1, 0), -HC_ESPIPE);
    EXPECT(hc_lseek(0, 0, HC_SEEK_CUR), -HC_ESPIPE);
    EXPECT(hc_lseek(1, 0, HC_SEEK_CUR), -HC_ESPIPE);
    EXPECT(hc_write(0, text, 1), -HC_EBADF);
    EXPECT(hc_read(1, back, 1), -HC_EBADF);
    EXPECT(hc_fsync(1), -HC_EINVAL);
    EXPECT(hc_ftruncate(1, 0), -HC_EINVAL);
    EXPECT(hc_readdir(0, &entry), -HC_ENOTDIR);
}

/* paths: a string of 5000 'a', among others. */
KERNEL(paths, GLOBAL hc_u32 *checks, GLOBAL char *long_path) {
    HC_RESUMABLE;
    hc_stat_t st;
    long_path[3 + 255] = long_path[3 + 256] = long_path[4095] = 'a';
    EXPECT(hc_open("/d/missing", HC_O_RDONLY, 0), -HC_ENOENT);
    EXPECT(hc_open("/d/missing/x", HC_O_RDONLY, 0), -HC_ENOENT);
    EXPECT(hc_open("/d/file/x", HC_O_RDONLY, 0), -HC_ENOTDIR);
    EXPECT(hc_open("", HC_O_RDONLY, 0), -HC_ENOENT);
    EXPECT(hc_open("/d/sub", HC_O_WRONLY, 0), -HC_EISDIR);
    EXPECT(hc_open("/d/file", HC_O_DIRECTORY, 0), -HC_ENOTDIR);
    EXPECT(hc_open("/d/file", 3, 0), -HC_EINVAL);
    EXPECT(hc_open("/d/file", 0x40000000, 0), -HC_EINVAL);
    EXPECT(hc_open("/etc/passwd", HC_O_RDONLY, 0), -HC_ENOTCAPABLE);
    EXPECT(hc_open("/dd/file", HC_O_RDONLY, 0), -HC_ENOTCAPABLE);
    EXPECT(hc_open("/d/../etc/passwd", HC_O_RDONLY, 0), -HC_ENOTCAPABLE);
    EXPECT(hc_open("/d/out", HC_O_RDONLY, 0), -HC_ENOTCAPABLE);
    EXPECT(hc_stat("/d/sub", &st), 0);
    EXPECT(st.kind, HC_KIND_DIR);
    EXPECT(hc_stat("/d/none", &st), -HC_ENOENT);
    EXPECT(hc_mkdir("/d/sub", 0755), -HC_EEXIST);
    EXPECT(hc_mkdir("/d/made", 0750), 0);
    EXPECT(hc_stat("/d/made", &st), 0);
    EXPECT(st.mode, 0750);
    EXPECT(hc_rmdir("/d/sub"), -HC_ENOTEMPTY);
    EXPECT(hc_rmdir("/d/file"), -HC_ENOTDIR);
    EXPECT(hc_rmdir("/d/none"), -HC_ENOENT);
    EXPECT(hc_unlink("/d/sub"), -HC_EISDIR);
    EXPECT(hc_unlink("/d/none"), -HC_ENOENT);
    EXPECT(hc_rename("/d/none", "/d/x"), -HC_ENOENT);
    EXPECT(hc_rename("/d/file", "/ro/x"), -HC_EROFS);
    EXPECT(hc_rename("/d/file", "/e/x"), -HC_EXDEV);
    EXPECT(hc_rename("/d/file", "/d/made/renamed"), 0);
    EXPECT(hc_stat("/d/file", &st), -HC_ENOENT);
    EXPECT(hc_rename("/d/made/renamed", "/d/file"), 0);
    EXPECT(hc_rmdir("/d/made"), 0);
    EXPECT(hc_open("/ro/file", HC_O_RDWR, 0), -HC_EROFS);
    EXPECT(hc_open("/ro/new", HC_O_CREAT | HC_O_WRONLY, 0644), -HC_EROFS);
    EXPECT(hc_mkdir("/ro/new", 0755), -HC_EROFS);
    EXPECT(hc_unlink("/ro/file"), -HC_EROFS);
    EXPECT(hc_open(long_path, HC_O_CREAT | HC_O_WRONLY, 0644), -HC_ENAMETOOLONG);
    long_path[4095] = 0;
    EXPECT(hc_open(long_path, HC_O_CREAT | HC_O_WRONLY, 0644), -HC_ENAMETOOLONG);
    long_path[3 + 256] = 0;
    EXPECT(hc_open(long_path, HC_O_CREAT | HC_O_WRONLY, 0644), -HC_ENAMETOOLONG);
    long_path[3 + 255] = 0;
    EXPECT(hc_close(hc_open(long_path, HC_O_CREAT | HC_O_WRONLY, 0644)), 0);
    EXPECT(hc_rename(long_path, "/d/y"), 0);
    EXPECT(hc_rename("/d/y", long_path), 0);
    EXPECT(hc_unlink(long_path), 0);
}

/* Opens until there are no descriptors left. */
KERNEL(limit, GLOBAL hc_u32 *checks, hc_u32 most) {
    HC_RESUMABLE;
    hc_u32 i;
    for (i = 3u; i < most; i++) EXPECT(hc_open("/d/file", HC_O_RDONLY, 0), i);
    EXPECT(hc_open("/d/file", HC_O_RDONLY, 0), -HC_EMFILE);
    EXPECT(hc_close(5), 0);
    EXPECT(hc_open("/d/file", HC_O_RDONLY, 0), 5);
}

/* Prints the names of a directory, twice, the second time from the cookies that the first gave. */
KERNEL(list, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    hc_dirent entry;
    hc_u64 before, last = 0u;
    hc_i32 got;
    const hc_i32 fd = hc_open("/d", HC_O_RDONLY | HC_O_DIRECTORY, 0);
    entry.cookie = 0u;
    for (;;) {
        before = entry.cookie;
        got = hc_readdir(fd, &entry);
        if (got != 1) break;
        last = before;
        hc_printf("%u %u %s\n", entry.kind, entry.length, entry.name);
    }
    EXPECT(got, 0);
    EXPECT(hc_readdir(fd, &entry), 0);
    entry.cookie = last;
    EXPECT(hc_readdir(fd, &entry), 1);
    hc_printf("again %u %u %s\n", entry.kind, entry.length, entry.name);
    EXPECT(hc_close(fd), 0);
}

/* Writes n bytes in one call, and reads them back, as short as reads may be. */
KERNEL(large, GLOBAL hc_u32 *checks, GLOBAL const char *text, GLOBAL char *back, hc_u32 n) {
    HC_RESUMABLE;
    const hc_i32 fd = hc_open("/d/large", HC_O_CREAT | HC_O_RDWR | HC_O_TRUNC, 0644);
    hc_u32 done = 0u;
    EXPECT(hc_write(fd, text, n), n);
    EXPECT(hc_pwrite(fd, text, n, n), n);
    while (done < 2u * n) {
        const hc_i64 k = hc_pread(fd, back + done, 2u * n - done, done);
        if (k <= 0) break;
        done += (hc_u32)k;
    }
    EXPECT(done, 2u * n);
    EXPECT(hc_write(1, text, n), n);
    EXPECT(hc_close(fd), 0);
}

/* Each item has a file of its own, of its own size, and then takes it away. */
KERNEL(lanes, GLOBAL hc_u32 *checks, GLOBAL const char *text) {
    HC_RESUMABLE;
    const hc_u32 i = hc_global_id();
    char path[8], back[32];
    hc_stat_t st;
    hc_i32 fd;
    hc_u32 n = i * 37u % 300u, done = 0u;
    path[0] = '/'; path[1] = 'd'; path[2] = '/'; path[3] = 'f';
    path[4] = (char)('0' + i / 100u); path[5] = (char)('0' + i / 10u % 10u); path[6] = (char)('0' + i % 10u); path[7] = 0;
    fd = hc_open(path, HC_O_CREAT | HC_O_EXCL | HC_O_RDWR, 0600);
    EXPECT(fd >= 3, 1);
    EXPECT(hc_write(fd, text + i, n), n);
    EXPECT(hc_lseek(fd, 0, HC_SEEK_SET), 0);
    for (;;) {
        const hc_i64 k = hc_read(fd, back, 1u + i % 32u);
        if (k <= 0) {
            EXPECT(k, 0);
            break;
        }
        EXPECT(same_(back, text + i + done, (hc_u32)k), 1);
        done += (hc_u32)k;
    }
    EXPECT(done, n);
    EXPECT(hc_fstat(fd, &st), 0);
    EXPECT(st.size, n);
    EXPECT(hc_close(fd), 0);
    if (i % 2u) {
        EXPECT(hc_unlink(path), 0);
        EXPECT(hc_stat(path, &st), -HC_ENOENT);
    } else {
        EXPECT(hc_stat(path, &st), 0);
        EXPECT(st.size, n);
    }
}
