"""Every write, flush, rename and link of a scoring job fails, and is its last, each in turn.

A library put before the C library counts the calls that a job makes on its own files, of Python and
of Arrow alike; then the n-th fails as on a full disk, or the process is killed in front of it or in
the middle of what it writes, for each n. Counted: whether the published folder is the old or the
new one; whether the next run ends with the bytes of a job that nobody disturbed; how many chunks
were answered again. Needs a C compiler as `cc` and Linux. Run `winback run` first; `--quick` takes
every 20th call.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

LIBRARY = r"""
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
#include <unistd.h>

static char place[4096];
static long last = 0, count = 0;
static int how = 0;
enum { FAIL = 1, KILL = 2, HALF = 3 };

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
    if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) != last) return 0;
    if (how == KILL) raise(SIGKILL);
    return 1;
}
#define REAL(name) \
    static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define FAILED(code) do { errno = code; return -1; } while (0)

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
"""
MODES = {"fails": 1, "killed before it": 2, "killed within it": 3}
ROWS, PART_ROWS = 600, 150


def with_library() -> ctypes.CDLL:
    """The counting library, loaded before all others: the program starts itself anew with it."""
    if "WINBACK_FAULTS" in os.environ:
        return ctypes.CDLL(os.environ["WINBACK_FAULTS"])
    with tempfile.TemporaryDirectory() as place:
        source, built = Path(place) / "faults.c", Path(place) / "faults.so"
        source.write_text(LIBRARY)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(built), "WINBACK_FAULTS": str(built)}
        done = subprocess.run([sys.executable, *sys.argv], env=environment, check=False)
    raise SystemExit(done.returncode)


def main() -> None:
    """Count, disturb, look, finish, compare; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    step = 20 if parser.parse_args().quick else 1
    library = with_library()

    import pyarrow.parquet as pq

    from winback.pipelines.score import Job, score
    from winback.pipelines.scoring import parts as answering
    from winback.pipelines.storage.atomic import clean_leftovers, verify

    shared = mmap.mmap(-1, 16)  # chunks answered, calls counted; written by the children

    def add(at: int, number: int) -> None:
        shared[at : at + 8] = (number + took(at)).to_bytes(8, "little")

    def took(at: int) -> int:
        return int.from_bytes(shared[at : at + 8], "little")

    once = answering.answered
    answering.answered = lambda *given: (add(0, 1), once(*given))[1]

    def in_child(job: Job, *, number: int = 0, mode: int = 0) -> int:
        child = os.fork()
        if child == 0:
            with Path(os.devnull).open("w") as silent:
                os.dup2(silent.fileno(), 2)
            library.arm(f"/{job.out.parent.name}/".encode(), ctypes.c_long(number), mode)
            code = 1
            try:
                score(job)
                code = 0
            finally:
                add(8, library.counted())
                os._exit(code)
        return os.waitpid(child, 0)[1]

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "job"
        folder.mkdir()
        customers = pq.read_table("data/features/current.parquet").slice(0, ROWS)
        pq.write_table(customers, Path(place) / "customers.parquet")
        objected = Path(place) / "objected.parquet"
        pq.write_table(customers.select(["customer_id"])[::10], objected)
        job = Job(Path(place) / "customers.parquet", folder / "scores", "artifacts", None)
        job = replace(job, part_rows=PART_ROWS, csv=True)
        new_job = replace(job, suppressions=objected)
        in_child(replace(job, out=folder / "old"))
        in_child(replace(new_job, out=folder / "new"))
        old, new = verify(folder / "old"), verify(folder / "new")

        def fresh() -> None:
            shutil.rmtree(job.out, ignore_errors=True)
            for work in folder.glob(".scores.work-*"):
                shutil.rmtree(work)
            shutil.copytree(folder / "old", job.out)
            shared[:16] = bytes(16)

        fresh()
        in_child(new_job)
        calls, parts = took(8), -(-ROWS // PART_ROWS)
        print(f"{calls} calls of a job of {parts} chunks, each disturbed in turn")
        broken = 0
        for name, mode in MODES.items():
            seen: Counter[str] = Counter()
            for number in range(1, calls + 1, step):
                fresh()
                ended = in_child(new_job, number=number, mode=mode)
                seen["ran"] += 1
                seen["killed"] += os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
                clean_leftovers(job.out)
                stands = verify(job.out)
                seen["old"] += stands == old
                seen["new"] += stands == new
                seen["half"] += stands not in (old, new)
                again = in_child(new_job)
                seen["finished with the same bytes"] += again == 0 and verify(job.out) == new
                repeated = took(0) - parts
                seen["chunks answered again, at most"] = max(
                    seen["chunks answered again, at most"], repeated
                )
                seen["leftovers"] += len(list(folder.glob(".scores.*"))) > 1  # its lock stays
            print(f"call {name}")
            for what, count in seen.items():
                print(f"  {what:32} {count:>6}")
            whole = seen["finished with the same bytes"] == seen["ran"]
            broken += seen["half"] or not whole or seen["chunks answered again, at most"] > 1
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
