/* A disk that fails: preloaded, it makes the n-th call that changes a regular file fail, and those after it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static long before_failing = -1; /* calls that still succeed; -1: all */
static int failure, for_good;
static long failed;

void disk_fails(long after, int code, int stays) {
    before_failing = after;
    failure = code;
    for_good = stays;
    if (after >= 0) failed = 0;
}

long disk_failed(void) { return failed; }

static int fails(int fd) {
    struct stat about;
    if (before_failing < 0 || (fd >= 0 && (fstat(fd, &about) || !S_ISREG(about.st_mode)))) return 0;
    if (before_failing > 0) return before_failing--, 0;
    if (!for_good) before_failing = -1;
    failed++;
    errno = failure;
    return 1;
}

#define REAL(type, name, ...)                                        \
    static type (*real)(__VA_ARGS__);                                \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    return fails(fd) ? -1 : real(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return fails(fd) ? -1 : real(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return fails(fd) ? -1 : real(fd, data, size, at);
}
int fsync(int fd) {
    REAL(int, fsync, int);
    return fails(fd) ? -1 : real(fd);
}
int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return fails(fd) ? -1 : real(fd);
}
int ftruncate64(int fd, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    return fails(fd) ? -1 : real(fd, size);
}
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    return fails(-1) ? -1 : real(from, to);
}
int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *);
    return fails(-1) ? -1 : real(from, to);
}
