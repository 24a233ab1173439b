#!/usr/bin/env python3
"""Makes the golden vectors of kernels/tokenizer.h with independent implementations as oracles.

    pip install tokenizers sentencepiece gguf
    python3 tests/vectors/tokenizer/make.py

Writes beside itself:
    bpe.gguf, spm.gguf    two small vocabularies, trained on the text below (metadata only, no tensors)
    bpe.txt, spm.txt      one case per line: pre type, the text's bytes in hex ("-" for none), token ids

The tests need only those files, no Python. The byte-level cases come from Hugging Face `tokenizers` with the published
patterns, the SentencePiece cases from Google's `sentencepiece`.
"""
import json
import os
import random
import tempfile

import gguf
import sentencepiece
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))

TEXT = """
A tally stick was notched for a debt and split in two. Each side kept one half, and the halves had to match.
The miller owed the baker twelve loaves; the baker owed the miller a sack of flour. They didn't need a judge.
"We'll count it together," said Anna, "and if you're wrong, I'll show you where the notches don't fit."
In 1834 the old sticks were burned, and the fire took the whole house with them. It's a true story!
for (int i = 0; i < 10; i++) { total += price[i] * 1000; }   /* 3.14159 */
Der Müller schuldet dem Bäcker zwölf Brote. Où est la moitié du bâton? El molino está cerrado desde 1999.
Мельник должен пекарю двенадцать хлебов. 粉屋はパン屋に十二個のパンを借りている。磨坊主欠面包师十二个面包。
The fox said hello to the hen, and the hen said hello to the fox, and then they walked home in the rain.
When the rain had stopped, the two of them counted the notches again: one, two, three, four, five, six.
	Tabs	and   several spaces,    and
new lines

made of   nothing.
"""

LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
STAGES = {
    "llama-bpe": [LETTERS % r"\p{N}{1,3}"],
    "qwen2": [LETTERS % r"\p{N}"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
}

FIXED = [
    "", " ", "  ", "\n", " \n", "\n ", "a", " a", "  a", "a ", "a  b", "hello", "Hello world", " Hello  world ",
    "don't DON'T we'll WE'LL I'm I'M it's'd 'S 'ſ 'ſſ ſ's", "''''", "'", "a'b", "x'ré",
    "1 12 123 1234 12345 3.14159 1,000,000", "١٢٣ ४५६ Ⅷ ½ ²", "abc123def", "123abc 456", "№5 10₤",
    "a\r\nb\r\rc\n\n\nd", "!\n", "!!!\r\n\r\nx", " !\n x", "   \n   \n  x", "tab\there\t\tand", "\t\n\x0b\x0c\r ",
    "a\u00a0b\u2003c\u3000d\u1680e\u2028f\u2029g\u202fh\u0085i", "a\u180eb", "a\u200bb\u200dc\ufeffd",
    "Müller schuldet zwölf Brote", "Мельник должен", "粉屋はパン屋に", "عربي مرحبا", "हिन्दी नमस्ते", "e\u0301a\u0308o\u0302",
    "😀😁 👨‍👩‍👧 🇩🇪 x🙂y", "for (int i = 0; i < 10; i++) { a[i] += b->c; }", "https://example.org/a?b=c&d=%20#e",
    "<|im_end|> </s> <s> [INST]", "a_b __init__ $x ~y ^z |w| `q`", "\u2581 \u2581\u2581x", "\x00\x01\x7f", "\U0010ffff\ue000",
    "the the the the the", "notchednotchednotched", "            deep indent", "x" * 70, " " * 40 + "x" + " " * 40,
]


def random_cases(count):
    rng = random.Random(20)
    atoms = ["a", "the", "notch", "é", "ß", "Ω", "я", "中", "あ", "1", "23", "4567", "'s", "'LL", "'", '"', ".", ",", "!", "-",
             " ", "  ", "   ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "😀", "\u0301", "\u200d", "_", "$", "<", ">", "|", "x"]
    return ["".join(rng.choice(atoms) for _ in range(rng.randint(1, 24))) for _ in range(count)]


def line(name, text, ids):
    return f"{name} {text.encode().hex() or '-'} {' '.join(map(str, ids))}".rstrip() + "\n"


def make_bpe(cases):
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator([TEXT], trainer)
    spec = json.loads(trained.to_str())["model"]
    tokens = sorted(spec["vocab"], key=spec["vocab"].get)
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in spec["merges"]]
    # Whole words that no merge leads to: only a pre type that takes whole words may use them.
    unmerged = ["zq", "Ġzq", "QZW"]
    vocab = {t: i for i, t in enumerate(tokens + unmerged)}

    w = gguf.GGUFWriter(os.path.join(HERE, "bpe.gguf"), "llama")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens + unmerged)
    w.add_token_merges([" ".join(m) for m in merges])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

    with open(os.path.join(HERE, "bpe.txt"), "w") as f:
        for name, stages in STAGES.items():
            t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=name == "llama-bpe"))
            t.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Split(Regex(p), "isolated") for p in stages]
                + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
            for text in cases + ["zq zq QZW zqzq"]:
                f.write(line(name, text, t.encode(text).ids))


def make_spm(cases):
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT.split("\n")), model_prefix=os.path.join(folder, "m"), model_type="bpe",
            vocab_size=640, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
            add_dummy_prefix=True, allow_whitespace_only_pieces=True, character_coverage=0.98, minloglevel=2)
        sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "m.model"))
    n = sp.get_piece_size()
    kinds = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1 for i in range(n)]

    w = gguf.GGUFWriter(os.path.join(HERE, "spm.gguf"), "llama")
    w.add_tokenizer_model("llama")
    w.add_token_list([sp.id_to_piece(i) for i in range(n)])
    w.add_token_scores([sp.get_score(i) for i in range(n)])
    w.add_token_types(kinds)
    w.add_bos_token_id(sp.bos_id())
    w.add_eos_token_id(sp.eos_id())
    w.add_unk_token_id(sp.unk_id())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

    with open(os.path.join(HERE, "spm.txt"), "w") as f:
        for text in cases:
            # SentencePiece writes a space as U+2581 and reads U+2581 as a space; we keep the two apart.
            # It also stops at a NUL in some releases.
            if "\u2581" not in text and "\0" not in text:
                f.write(line("spm", text, sp.encode(text)))


if __name__ == "__main__":
    all_cases = FIXED + random_cases(60)
    make_bpe(all_cases)
    make_spm(all_cases)
