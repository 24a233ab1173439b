/* sim_main.c - runs seeds: faults and load, then calm, then the last look. A seed that breaks a rule is repeated by one command.
 *
 *   sim --seed S [--nodes N] [--minutes M] [--trace NODE] [--repeat]
 *   sim --seeds A..B [--nodes N] [--minutes M]
 *   sim --regress FILE            every line: seed nodes minutes what-it-once-broke
 *   sim --seed S --two-faced N    with N providers that show other receipts than they had co-signed
 *   sim --seed S --plant K        with a fault of enum plant in it: must fail
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

enum { CALM_MS = 60 * 1000, PROBES_MS = 15 * 1000, LOAD_AFTER_FAULTS_MS = 10 * 1000, WARM_UP_MS = 15 * 1000 };

static char how_to_repeat[512];

static void say_how(void)
{
    if (how_to_repeat[0])
        fprintf(stderr, "%s\n", how_to_repeat);
}

/* An ENSURE inside a core. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    say_how();
    how_to_repeat[0] = 0;
}

static void report(const struct sim *s, double seconds)
{
    const struct sim_counts *c = &s->counts;
    char hex[HASH_HEX_CHARS + 1];
    struct hash trace = sim_trace(s);
    hash_format(&trace, hex);
    if (!s->options.quiet) {
        printf("  %llu frames, %llu ticks, %llu dials, %llu breaks, %llu partitions, %llu crashes (%llu in a turn), %llu disk failures\n",
               (unsigned long long)c->frames, (unsigned long long)c->ticks, (unsigned long long)c->dials, (unsigned long long)c->breaks,
               (unsigned long long)c->partitions, (unsigned long long)c->crashes, (unsigned long long)c->crashes_uncommitted,
               (unsigned long long)c->disk_failures);
        printf("  %llu requests: %llu done, %llu refused or failed, %llu lost with their node; %llu tokens, %llu failovers, %llu receipts, %llu headers\n",
               (unsigned long long)c->requests, (unsigned long long)c->done, (unsigned long long)c->failed, (unsigned long long)c->lost,
               (unsigned long long)c->tokens, (unsigned long long)c->failovers, (unsigned long long)c->receipts, (unsigned long long)c->headers);
        printf("  %u cheats sent %llu frames and were muted %llu times; %llu channels frozen; %llu sums redone; failed:", s->climate.vicious,
               (unsigned long long)c->vice_frames, (unsigned long long)c->mutes, (unsigned long long)c->frozen, (unsigned long long)c->sweeps);
        for (size_t e = 0; e < ERR_COUNT; e++)
            if (c->refusals[e])
                printf(" %s %llu", err_name((enum err)e), (unsigned long long)c->refusals[e]);
        printf("\n  frames:");
        for (size_t t = 0; t < MESSAGE_TYPE_COUNT; t++)
            if (c->sent[t])
                printf(" %s %llu", message_name_at(t), (unsigned long long)c->sent[t]);
        printf("\n");
    }
    printf("seed %llu: %llu events in %.1f s (%.0f/s), trace %.16s\n", (unsigned long long)s->options.seed, (unsigned long long)c->events, seconds,
           (double)c->events / (seconds > 0 ? seconds : 1), hex);
    fflush(stdout);
}

static void probe_all(struct sim *s)
{
    for (size_t i = 0; i < s->count; i++)
        queue_push(&s->queue, (struct queue_item){ .us = s->now + sim_ms(PROBES_MS) * i / s->count, .kind = ITEM_PROBE, .node = i, .life = SIM_NEVER });
}

static struct hash run_seed(const struct sim_options *o, const char *program)
{
    int said = snprintf(how_to_repeat, sizeof how_to_repeat, "repeat: %s --seed %llu --nodes %u --minutes %u", program,
                        (unsigned long long)o->seed, o->nodes, o->minutes);
    if (o->two_faced && said > 0 && (size_t)said < sizeof how_to_repeat)
        said += snprintf(how_to_repeat + said, sizeof how_to_repeat - (size_t)said, " --two-faced %u", o->two_faced);
    if (o->plant != PLANT_NONE && said > 0 && (size_t)said < sizeof how_to_repeat)
        snprintf(how_to_repeat + said, sizeof how_to_repeat - (size_t)said, " --plant %u", (unsigned)o->plant);
    clock_t began = clock();
    struct sim *s = sim_open(o);
    uint64_t end = s->now + sim_ms((uint64_t)o->minutes * 60000), faults_end = end - sim_ms(CALM_MS);
    sim_run(s, sim_ms(WARM_UP_MS));
    for (size_t i = 0; i < s->count; i++)
        clients_begin(s, &s->nodes[i], faults_end + sim_ms(LOAD_AFTER_FAULTS_MS));
    s->vices_on = true;
    faults_begin(s);
    sim_run(s, faults_end);
    s->vices_on = false;
    faults_stop(s);
    sim_run(s, faults_end + sim_ms(2 * LOAD_AFTER_FAULTS_MS));
    probe_all(s);
    sim_run(s, end);
    check_end(s);
    if (o->two_faced && s->counts.frozen == 0)
        sim_violation(s, &s->nodes[0], "%u nodes equivocated and nobody froze a channel", o->two_faced);
    struct hash trace = sim_trace(s);
    report(s, (double)(clock() - began) / CLOCKS_PER_SEC);
    sim_close(s);
    how_to_repeat[0] = 0;
    return trace;
}

static void run_regressions(const char *path, struct sim_options o, const char *program)
{
    FILE *f = fopen(path, "r");
    char line[256], defect[160];
    unsigned long long seed;
    if (!f) {
        fprintf(stderr, "sim: cannot read %s\n", path);
        exit(2);
    }
    while (fgets(line, sizeof line, f))
        if (line[0] != '#' && sscanf(line, "%llu %u %u %159[^\n]", &seed, &o.nodes, &o.minutes, defect) == 4) {
            printf("once: %s\n", defect);
            o.seed = seed;
            run_seed(&o, program);
        }
    fclose(f);
}

static _Noreturn void usage(const char *program)
{
    fprintf(stderr, "usage: %s --seed S | --seeds A..B | --regress FILE  [--nodes N] [--minutes M] [--trace NODE] [--repeat]\n"
                    "  N from 6 to 60000, M from 2 minutes of virtual time\n", program);
    exit(2);
}

int main(int argc, char **argv)
{
    struct sim_options o = { .seed = 1, .nodes = 30, .minutes = 2, .trace = -1 };
    unsigned long long first = 1, last = 1;
    const char *regress = NULL;
    bool repeat = false;
    unsigned plant = PLANT_NONE;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--repeat") == 0) {
            repeat = true;
            continue;
        }
        i++;
        if (strcmp(argv[i - 1], "--seed") == 0 && sscanf(value, "%llu", &first) == 1)
            last = first;
        else if (strcmp(argv[i - 1], "--seeds") == 0 && sscanf(value, "%llu..%llu", &first, &last) == 2)
            o.quiet = true;
        else if (strcmp(argv[i - 1], "--regress") == 0 && value[0])
            regress = value;
        else if (!((strcmp(argv[i - 1], "--nodes") == 0 && sscanf(value, "%u", &o.nodes) == 1) ||
                   (strcmp(argv[i - 1], "--minutes") == 0 && sscanf(value, "%u", &o.minutes) == 1) ||
                   (strcmp(argv[i - 1], "--trace") == 0 && sscanf(value, "%d", &o.trace) == 1) ||
                   (strcmp(argv[i - 1], "--two-faced") == 0 && sscanf(value, "%u", &o.two_faced) == 1) ||
                   (strcmp(argv[i - 1], "--plant") == 0 && sscanf(value, "%u", &plant) == 1 && plant < PLANT_COUNT)))
            usage(argv[0]);
    }
    if (o.nodes < 6 || o.nodes > 60000 || o.minutes < 2)
        usage(argv[0]);
    o.plant = (enum plant)plant;
    atexit(say_how);
    signal(SIGABRT, on_abort);
    if (regress) {
        o.quiet = true;
        run_regressions(regress, o, argv[0]);
        return 0;
    }
    for (o.seed = first; o.seed <= last; o.seed++) {
        struct hash once = run_seed(&o, argv[0]);
        struct hash again = repeat ? run_seed(&o, argv[0]) : once;
        if (!hash_equal(&once, &again)) {
            fprintf(stderr, "sim: seed %llu ran twice and left two traces\n", (unsigned long long)o.seed);
            return 1;
        }
    }
    return 0;
}
