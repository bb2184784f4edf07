// Lets user-mode Linux run on processors with more registers than it knows of (AMX): up to kernel 6.12 it saves and
// restores 2.6 KB of them, and the host refuses to restore less than all. Loaded by LD_PRELOAD; see uml.sh.
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long ask(long request, pid_t pid, void *address, void *data) {
    return syscall(SYS_ptrace, request, pid, address, data);
}

long ptrace(enum __ptrace_request request, ...) {
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word;
        return ask(request, pid, address, &word) == 0 ? word : -1;
    }
    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE) {
        static char whole[1 << 16];
        struct iovec all = {whole, sizeof whole};
        const struct iovec *given = data;
        if (ask(PTRACE_GETREGSET, pid, address, &all) == 0 && given->iov_len < all.iov_len) {
            memcpy(whole, given->iov_base, given->iov_len);
            return ask(request, pid, address, &all);
        }
    }
    return ask(request, pid, address, data);
}
