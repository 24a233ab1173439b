/* log_posix.h - one line per event on stderr: text on a terminal or under journald, JSON lines on request.
 *
 * text:  2026-11-21T01:02:03.456Z info job_closed peer=3f2a91bc tokens=128
 * json:  {"ts":"...","level":"info","event":"job_closed","msg":"peer=3f2a91bc tokens=128"}
 * Under journald (JOURNAL_STREAM set) the time is left out and the level becomes the <n> prefix.
 * Event names are an API. Prompts, answers and keys are never logged. Each event name is limited to LOG_BURST lines in ten
 * seconds; what was left out is said in one line afterwards.
 *
 * Threads: any; one lock inside. Effects: writes to stderr.
 */
#ifndef TALLYMESH_NODE_LOG_POSIX_H
#define TALLYMESH_NODE_LOG_POSIX_H

#include "node/event.h"

enum { LOG_BURST = 20 };

/* level: "error".."debug"; json: JSON lines. Before the first call: info, text. */
void log_setup(const char *level, bool json);
void log_event(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
