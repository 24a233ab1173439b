/* chat_render.c - a conversation in a family's own writing.
 *
 * Two shapes cover all families. In *turn* families every message is opening, content, closing; a table holds the
 * texts. In *instruction* families (Llama 2, Mistral) only questions are framed, and the system text moves into one of
 * them. Gemma is a turn family with the system text moved as well.
 */
#include "kernels/chat.h"

/* Segments per message at most: opening, system opening, system text, its closing, content, closing; and what frames the
 * whole: a default system turn and the opening of the answer. */
enum { PER_MESSAGE_MAX = 8, AROUND_MAX = 8 };

size_t chat_segments_max(size_t n_messages) { return PER_MESSAGE_MAX * n_messages + AROUND_MAX; }

struct pen {
    struct text_segment *out;
    size_t cap, count;
    bool full;
};

static void write_segment(struct pen *p, struct bytes text, bool is_template)
{
    if (text.len == 0)
        return;
    if (p->count == p->cap) {
        p->full = true;
        return;
    }
    p->out[p->count++] = (struct text_segment){ .text = text, .is_template = is_template };
}

static void frame(struct pen *p, const char *text) { write_segment(p, bytes_text(text), true); }
static void content(struct pen *p, struct bytes text) { write_segment(p, text, false); }

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static struct bytes trimmed(struct bytes s)
{
    while (s.len && is_space(s.data[0]))
        s = bytes_of(s.data + 1, s.len - 1);
    while (s.len && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* --- turn families ---------------------------------------------------------------------------------------------- */

struct turns {
    const char *open[3];    /* by enum chat_role */
    const char *close;      /* NULL: the text of EOS and a newline */
    bool trims;
    bool has_system;        /* else the system text goes before the first question */
};

static const struct turns chatml = {
    { "<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n" }, "<|im_end|>\n", false, true
};
static const struct turns llama3 = {
    { "<|start_header_id|>system<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n",
      "<|start_header_id|>assistant<|end_header_id|>\n\n" },
    "<|eot_id|>", true, true
};
static const struct turns zephyr = { { "<|system|>\n", "<|user|>\n", "<|assistant|>\n" }, NULL, false, true };
static const struct turns phi3 = { { "<|system|>\n", "<|user|>\n", "<|assistant|>\n" }, "<|end|>\n", false, true };
static const struct turns gemma = {
    { "", "<start_of_turn>user\n", "<start_of_turn>model\n" }, "<end_of_turn>\n", true, false
};

static void close_turn(struct pen *p, const struct chat *c, const struct turns *f)
{
    if (f->close) {
        frame(p, f->close);
        return;
    }
    write_segment(p, bytes_of(c->eos, c->eos_len), true);
    frame(p, "\n");
}

static const char date_lines[] = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

/* The turn that some templates write where the conversation has no system message. */
static void default_system_turn(struct pen *p, const struct chat *c, const struct turns *f)
{
    if (!c->dates && c->default_system_len == 0)
        return;
    frame(p, f->open[CHAT_SYSTEM]);
    frame(p, c->dates ? date_lines : "");
    write_segment(p, bytes_of(c->default_system, c->default_system_len), true);
    close_turn(p, c, f);
}

static enum err render_turns(struct pen *p, const struct chat *c, const struct turns *f,
                             const struct chat_message *messages, size_t n, bool answer)
{
    struct bytes moved = bytes_of(NULL, 0);
    if (messages[0].role != CHAT_SYSTEM)
        default_system_turn(p, c, f);
    for (size_t i = 0; i < n; i++) {
        const struct chat_message *m = &messages[i];
        if (m->role == CHAT_SYSTEM && !f->has_system) {
            if (i > 0)
                return ERR_ARG;
            moved = m->content;
            continue;
        }
        frame(p, f->open[m->role]);
        if (m->role == CHAT_SYSTEM && i == 0 && c->dates)
            frame(p, date_lines);
        if (m->role == CHAT_USER && moved.len) {
            content(p, moved);
            frame(p, "\n\n");
            moved.len = 0;
        }
        content(p, f->trims ? trimmed(m->content) : m->content);
        close_turn(p, c, f);
    }
    if (answer)
        frame(p, f->open[CHAT_ASSISTANT]);
    return OK;
}

/* --- instruction families --------------------------------------------------------------------------------------- */

static size_t question_with_system(const struct chat *c, const struct chat_message *messages, size_t n)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (messages[i].role == CHAT_USER && (at == SIZE_MAX || c->system_with_last))
            at = i;
    return at;
}

static void llama2_message(struct pen *p, const struct chat *c, const struct chat_message *m, struct bytes system,
                           bool is_first)
{
    if (m->role == CHAT_ASSISTANT) {
        frame(p, " ");
        content(p, c->inst_trims ? trimmed(m->content) : m->content);
        frame(p, " ");
        write_segment(p, bytes_of(c->eos, c->eos_len), true);
        return;
    }
    if (!is_first && c->inst_bos_each)   /* BOS of the whole text is chat_encode()'s */
        write_segment(p, bytes_of(c->bos, c->bos_len), true);
    frame(p, "[INST] ");
    if (system.len) {
        frame(p, "<<SYS>>\n");
        content(p, system);
        frame(p, "\n<</SYS>>\n\n");
    }
    content(p, c->inst_trims ? trimmed(m->content) : m->content);
    frame(p, " [/INST]");
}

static void mistral_message(struct pen *p, const struct chat *c, const struct chat_message *m, struct bytes system)
{
    if (m->role == CHAT_ASSISTANT) {
        frame(p, c->inst_space_answer ? " " : "");
        content(p, c->inst_trims ? trimmed(m->content) : m->content);
        write_segment(p, bytes_of(c->eos, c->eos_len), true);
        frame(p, c->inst_space_end ? " " : "");
        return;
    }
    frame(p, c->inst_space_before ? " [INST]" : "[INST]");
    frame(p, c->inst_space_inside ? " " : "");
    if (system.len) {
        content(p, system);
        frame(p, "\n\n");
    }
    content(p, m->content);
    frame(p, c->inst_space_close ? " [/INST]" : "[/INST]");
}

static enum err render_instructions(struct pen *p, const struct chat *c, const struct chat_message *messages, size_t n)
{
    const size_t carrier = question_with_system(c, messages, n);
    struct bytes system = messages[0].role == CHAT_SYSTEM ? messages[0].content : bytes_of(NULL, 0);
    bool is_first = true;
    for (size_t i = 0; i < n; i++) {
        const struct chat_message *m = &messages[i];
        if (m->role == CHAT_SYSTEM) {
            if (i > 0)
                return ERR_ARG;
            continue;
        }
        struct bytes carried = i == carrier ? system : bytes_of(NULL, 0);
        if (c->family == CHAT_LLAMA2)
            llama2_message(p, c, m, carried, is_first);
        else
            mistral_message(p, c, m, carried);
        is_first = false;
    }
    return OK;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static enum err render_plain(struct pen *p, const struct chat_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        content(p, messages[i].content);
        frame(p, "\n");
    }
    return OK;
}

static enum err render(struct pen *p, const struct chat *c, const struct chat_message *messages, size_t n, bool answer)
{
    switch (c->family) {
    case CHAT_PLAIN:
        return render_plain(p, messages, n);
    case CHAT_CHATML:
        return render_turns(p, c, &chatml, messages, n, answer);
    case CHAT_LLAMA3:
        return render_turns(p, c, &llama3, messages, n, answer);
    case CHAT_LLAMA2:
    case CHAT_MISTRAL:
        return render_instructions(p, c, messages, n);
    case CHAT_ZEPHYR:
        return render_turns(p, c, &zephyr, messages, n, answer);
    case CHAT_PHI3:
        return render_turns(p, c, &phi3, messages, n, answer);
    case CHAT_GEMMA:
        return render_turns(p, c, &gemma, messages, n, answer);
    }
    return ERR_ARG;
}

enum err chat_render(const struct chat *c, const struct chat_message *messages, size_t n_messages, bool answer,
                     struct text_segment *out, size_t cap, size_t *count)
{
    if (n_messages == 0 || n_messages > CHAT_MESSAGES_MAX)
        return ERR_ARG;
    struct pen p = { .out = out, .cap = cap };
    enum err e = render(&p, c, messages, n_messages, answer);
    if (e == OK && p.full)
        e = ERR_FULL;
    if (e == OK)
        *count = p.count;
    return e;
}
