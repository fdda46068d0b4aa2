// Counts the calls that change files below a place; the n-th fails, or is where the process ends.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char place[4096];
static long last = 0, count = 0;
static int how = 0;
enum { FAIL = 1, KILL = 2, HALF = 3, STAYS = 4 }; /* STAYS: all calls from the n-th on fail */

void arm(const char *where, long number, int mode) {
    strcpy(place, where); last = number; how = mode; count = 0;
}
long counted(void) { return count; }

static int ours(const char *path) { return place[0] && path && strstr(path, place); }
static int ours_open(int handle) {
    char link[64], path[4096];
    if (!place[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return ours(path);
}
static int reached(void) {
    long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (how == STAYS) return last && now >= last;
    if (now != last) return 0;
    if (how == KILL) raise(SIGKILL);
    return 1;
}
#define REAL(name) \
    static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define FAILED(code) do { errno = code; return -1; } while (0)

/* The clock of the machine, set back by so many seconds where WINBACK_CLOCK says so. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = real(clock, now);
    const char *back = getenv("WINBACK_CLOCK");
    if (!failed && back && clock == CLOCK_REALTIME) now->tv_sec -= atol(back);
    return failed;
}
time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}

ssize_t write(int handle, const void *data, size_t size) {
    REAL(write);
    if (ours_open(handle) && reached()) {
        real(handle, data, size / 2);
        if (how == HALF) raise(SIGKILL);
        FAILED(ENOSPC);
    }
    return real(handle, data, size);
}
ssize_t writev(int handle, const struct iovec *data, int number) {
    REAL(writev);
    if (ours_open(handle) && reached()) { if (how == HALF) raise(SIGKILL); FAILED(ENOSPC); }
    return real(handle, data, number);
}
ssize_t pwrite64(int handle, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    if (ours_open(handle) && reached()) { if (how == HALF) raise(SIGKILL); FAILED(ENOSPC); }
    return real(handle, data, size, at);
}
#define ON_HANDLE(name) \
    int name(int handle) { \
        REAL(name); \
        if (ours_open(handle) && reached()) { if (how == HALF) raise(SIGKILL); FAILED(EIO); } \
        return real(handle); \
    }
ON_HANDLE(fsync)
ON_HANDLE(fdatasync)
#define ON_PATHS(name, given, passed) \
    int name given { \
        REAL(name); \
        if (ours(path) && reached()) { if (how == HALF) raise(SIGKILL); FAILED(EIO); } \
        return real passed; \
    }
ON_PATHS(rename, (const char *path, const char *to), (path, to))
ON_PATHS(renameat, (int a, const char *path, int b, const char *to), (a, path, b, to))
ON_PATHS(renameat2, (int a, const char *path, int b, const char *to, unsigned f),
         (a, path, b, to, f))
ON_PATHS(link, (const char *path, const char *to), (path, to))
ON_PATHS(linkat, (int a, const char *path, int b, const char *to, int f), (a, path, b, to, f))
ON_PATHS(mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATHS(unlink, (const char *path), (path))
ON_PATHS(rmdir, (const char *path), (path))
static int creates(int flags, const char *path) {
    return (flags & O_CREAT) && ours(path) && reached();
}
int open64(const char *path, int flags, ...) {
    REAL(open64);
    __builtin_va_list more; __builtin_va_start(more, flags);
    mode_t mode = flags & O_CREAT ? __builtin_va_arg(more, mode_t) : 0;
    __builtin_va_end(more);
    if (creates(flags, path)) { if (how == HALF) raise(SIGKILL); FAILED(ENOSPC); }
    return real(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    REAL(open);
    __builtin_va_list more; __builtin_va_start(more, flags);
    mode_t mode = flags & O_CREAT ? __builtin_va_arg(more, mode_t) : 0;
    __builtin_va_end(more);
    if (creates(flags, path)) { if (how == HALF) raise(SIGKILL); FAILED(ENOSPC); }
    return real(path, flags, mode);
}
