/* passphrase_posix.c - reads one line and leaves no copy of it behind. */
#include "node/passphrase_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum err passphrase_parse_fd(const char *text, int *out)
{
    char *end;
    errno = 0;
    long fd = strtol(text, &end, 10);
    if (end == text || *end || errno || fd < 0 || fd > 1000000)
        return ERR_FORMAT;
    *out = (int)fd;
    return OK;
}

/* Byte by byte and unbuffered: stdio would keep a copy, and what follows the line belongs to somebody else. */
static enum err read_line(int fd, struct passphrase *out)
{
    struct passphrase p;
    size_t n = 0;
    enum err e = OK;
    char c;
    for (;;) {
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            e = ERR_IO;
        if (got <= 0 || c == '\n' || c == '\r')
            break;
        if (c == 3 && isatty(fd)) {                    /* ^C, read as a byte because the terminal sends no signals now */
            e = ERR_IO;
            break;
        }
        if (n == PASSPHRASE_CHARS_MAX) {
            e = ERR_TOO_LARGE;
            break;
        }
        p.text[n++] = c;
    }
    p.text[n] = 0;
    c = 0;
    if (e == OK)
        *out = p;
    passphrase_fini(&p);
    return e;
}

enum err passphrase_from_fd(int fd, struct passphrase *out)
{
    struct passphrase p;
    enum err e = read_line(fd, &p);
    if (e == OK && !p.text[0])
        e = ERR_FORMAT;
    if (e == OK)
        *out = p;
    passphrase_fini(&p);
    return e;
}

enum err passphrase_from_credential(struct passphrase *out)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[512];
    if (!folder || (size_t)snprintf(path, sizeof path, "%s/passphrase", folder) >= sizeof path)
        return ERR_NOT_FOUND;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    enum err e = passphrase_from_fd(fd, out);
    close(fd);
    return e;
}

enum err passphrase_ask(const char *prompt, struct passphrase *out)
{
    struct termios before, quiet;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ERR_NOT_FOUND;
    if (tcgetattr(fd, &before) != 0) {
        close(fd);
        return ERR_NOT_FOUND;
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);         /* no signal may end us with the echo off */
    tcsetattr(fd, TCSAFLUSH, &quiet);
    bool asked = write(fd, prompt, strlen(prompt)) == (ssize_t)strlen(prompt);
    enum err e = asked ? read_line(fd, out) : ERR_IO;
    tcsetattr(fd, TCSAFLUSH, &before);
    asked = write(fd, "\n", 1) == 1;
    (void)asked;
    close(fd);
    return e;
}

void passphrase_fini(struct passphrase *p) { sodium_memzero(p, sizeof *p); }
