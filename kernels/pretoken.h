/* pretoken.h - where do words end? The published splitting patterns of byte-level BPE; private to the tokenizer.
 *
 * A pre type is one pattern or several applied in turn: the first cuts the text into matches and the gaps between
 * them, the next cuts each of those pieces again, as if it stood alone. Bytes that are not UTF-8 become pieces of their
 * own before any pattern sees them. Nothing is lost: the pieces in order are the text.
 *
 * Threads: a struct pretoken is read-only after opening.
 * Effects: heap memory (PCRE2, with its just-in-time compiler where the system allows that).
 */
#ifndef TALLYMESH_KERNELS_PRETOKEN_H
#define TALLYMESH_KERNELS_PRETOKEN_H

#include "crypto/base.h"
#include "kernels/fault.h"

struct pretoken;

/* Called once per word; anything but OK stops the splitting and is returned. */
typedef enum err pretoken_word(void *ctx, struct bytes word);

/* By the name in tokenizer.ggml.pre. ERR_UNSUPPORTED with a sentence: unknown name; ERR_MEMORY. */
enum err pretoken_open(struct bytes name, struct pretoken **out, struct fault *why) MUST_CHECK;
void pretoken_close(struct pretoken *p);   /* NULL is fine */

/* True if a word that is a token as a whole is taken without merging (llama-bpe). */
bool pretoken_takes_whole_words(const struct pretoken *p);
/* True if models with this pre type expect BOS where the file does not say. */
bool pretoken_adds_bos(const struct pretoken *p);

/* Splits. ERR_MEMORY, ERR_TOO_LARGE (a pattern reached its match limit), or what `word` returned. */
enum err pretoken_split(const struct pretoken *p, struct bytes text, void *ctx, pretoken_word *word) MUST_CHECK;

#endif
