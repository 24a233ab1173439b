/* log_posix.c - formats and rate-limits log lines. */
#include "node/log_posix.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS_MAX = 64, WINDOW_S = 10 };

static struct {
    pthread_mutex_t lock;
    enum log_level level;
    bool json, journal;
    struct { const char *name; time_t since; unsigned count; } events[EVENTS_MAX];   /* names are string literals */
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO };

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int journal_priority[] = { 3, 4, 6, 7 };

void log_setup(const char *level, bool json)
{
    pthread_mutex_lock(&logger.lock);
    for (size_t i = 0; i < ARRAY_COUNT(level_names); i++)
        if (strcmp(level, level_names[i]) == 0)
            logger.level = (enum log_level)i;
    logger.json = json;
    logger.journal = getenv("JOURNAL_STREAM") != NULL;
    pthread_mutex_unlock(&logger.lock);
}

static void put_json_text(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(f, "\\u%04x", *p);
        else
            fputc(*p, f);
    }
}

static void put_line(enum log_level level, const char *event, const char *text)
{
    struct timespec ts;
    struct tm tm;
    char when[40], stamp[64];
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(stamp, sizeof stamp, "%s.%03ldZ", when, ts.tv_nsec / 1000000);
    flockfile(stderr);
    if (logger.json) {
        fprintf(stderr, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"msg\":\"", stamp, level_names[level], event);
        put_json_text(stderr, text);
        fputs("\"}\n", stderr);
    } else if (logger.journal) {
        fprintf(stderr, "<%d>%s %s\n", journal_priority[level], event, text);
    } else {
        fprintf(stderr, "%s %s %s %s\n", stamp, level_names[level], event, text);
    }
    funlockfile(stderr);
}

/* True if this line may be written; *left_out is how many were not since the last window of this event. */
static bool admit(const char *event, unsigned *left_out)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    size_t slot = 0;
    *left_out = 0;
    while (slot < EVENTS_MAX - 1 && logger.events[slot].name && strcmp(logger.events[slot].name, event) != 0)
        slot++;                                        /* the last slot is shared by all names beyond the table */
    if (!logger.events[slot].name || ts.tv_sec - logger.events[slot].since >= WINDOW_S) {
        if (logger.events[slot].name && logger.events[slot].count > LOG_BURST)
            *left_out = logger.events[slot].count - LOG_BURST;
        logger.events[slot].name = event;
        logger.events[slot].since = ts.tv_sec;
        logger.events[slot].count = 0;
    }
    return ++logger.events[slot].count <= LOG_BURST;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char text[512];
    unsigned left_out = 0;
    va_list ap;
    pthread_mutex_lock(&logger.lock);
    bool wanted = level <= logger.level && admit(event, &left_out);
    pthread_mutex_unlock(&logger.lock);
    if (!wanted)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (char *p = text; *p; p++)                      /* parts of it may be a peer's words: no line or terminal of ours is theirs */
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    if (left_out)
        put_line(LOG_WARN, "log_limited", "some lines of the next event were left out");
    put_line(level, event, text);
}
