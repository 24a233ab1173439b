#!/bin/bash
# protocol_refs.sh - does every cited clause exist, and is every worked example a test?
#
#   1. "PROTO 2.3" anywhere in code, tests or docs names a heading ("### 2.3 ...") or clause ("**2.3**") of docs/protocol*.md;
#      "NV1 4.2" names one of docs/numerics.md. A section whose page is not written yet is passed over, by the index table at
#      the top of protocol.md.
#   2. A run of 40 or more hexadecimal digits in these pages or disk-format.md stands in a test or a vector as well.
#   3. Every hash domain and every purpose in the code stands in the tables of PROTO 2.2 and 2.3.
#   4. Clauses of the protocol that nobody cites are listed with TM_CHECK_STRICT=1; they may be unimplemented.
. "$(dirname "$0")/lib.sh"

clauses_of() { # FILES
    sed -nE 's/^(#+|[-*]) +\**([0-9]+(\.[0-9]+)*)\.?\**( .*|$)/\2/p; s/^[-* ]*\*\*([0-9]+(\.[0-9]+)*)\.?\*\*.*/\1/p' "$@" 2>/dev/null | sort -u
}

# Sections that the index gives to a page that does not exist.
unwritten_sections() {
    sed -nE 's/^\| *([0-9]+) *\|.*\]\(([a-z-]+\.md)\).*/\1 \2/p' docs/protocol.md | while read -r section page; do
        [ -f "docs/$page" ] || echo "$section"
    done
}

check_citations() { # WORD CLAUSES UNWRITTEN
    local word=$1 clauses=$2 unwritten=$3 file number clause
    while IFS=: read -r file number clause; do
        clause=${clause##* }
        grep -qxF -- "$clause" <<< "$clauses" && continue
        grep -qxF -- "${clause%%.*}" <<< "$unwritten" && continue
        complain "$file:$number" "cites $word $clause, which does not exist"
    done < <(grep -rnoE --include='*.[ch]' --include='*.cu' --include='*.md' --include='*.py' --include='*.sh' --exclude-dir=check \
             "\b$word [0-9]+(\.[0-9]+)*" $code_folders tests docs testnet 2>/dev/null)
}

check_uncited() { # CLAUSES
    local clause cited
    cited=$(grep -rhoE --include='*.[ch]' 'PROTO [0-9]+(\.[0-9]+)*' $code_folders tests 2>/dev/null | sort -u)
    while read -r clause; do
        [[ $clause != *.* || $'\n'$cited$'\n' == *$'\n'"PROTO $clause"$'\n'* ]] || note docs/protocol.md "nobody cites PROTO $clause"
    done <<< "$1"
}

check_examples() {
    local tested page digits
    # Every literal of the tests and every vector as one line of digits, so that an example may be split anywhere.
    tested=$(find tests -name '*.[ch]' -print0 -o -path '*/vectors/*' -type f -print0 2>/dev/null | xargs -0 cat 2>/dev/null |
             tr -d '"\0 \n\t' | tr 'A-F' 'a-f')
    for page in docs/protocol*.md docs/disk-format.md; do
        [ -f "$page" ] || continue
        while read -r digits; do
            [[ $tested == *"$digits"* ]] || complain "$page" "the example $digits is in no test"
        done < <(grep -oE '\b[0-9a-f]{40,}\b' "$page" | sort -u)
    done
}

# What code names between quotes must stand in backticks between two headings of protocol.md.
check_listed() { # WHAT FROM_HEADING TO_HEADING, "FILE:LINE:...\"NAME\"" on standard input
    local where file number name table
    table=$(sed -n "/^### $2 /,/^### $3 /p" docs/protocol.md)
    while IFS=: read -r file number where; do
        name=${where#*\"}
        name=${name%%\"*}
        [[ $table == *"\`$name\`"* ]] || complain "$file:$number" "$1 \"$name\" is not in the table of PROTO $2"
    done
}

check_names() {
    check_listed "hash domain" 2.2 2.3 < <(grep -rnoE --include='*.[ch]' \
        '((hash_of|hasher_init)\([^"]*|#define [A-Z_]+_DOMAIN )"[^"]+"' $code_folders 2>/dev/null)
    check_listed purpose 2.3 2.4 < <(grep -rnoE --include='*.h' '#define PURPOSE_[A-Z_]+ "[^"]+"' $code_folders 2>/dev/null)
}

self_test() {
    self_test_begin
    plant docs/protocol.md <<< $'| 3 | Frames | [protocol-overlay.md](protocol-overlay.md) |\n## 2 Encoding\n### 2.1 Canonical\n**9.1** Sizes\n'
    plant docs/numerics.md <<< $'## 4. Matrix\n- **4.2** `y`'
    plant crypto/a.c <<< '/* PROTO 2.1, PROTO 2, PROTO 9.1, NV1 4.2, NV1 4, and PROTO 3.7 of an unwritten page */'
    must_pass
    try() { # TEXT COMPLAINT
        plant dht/a.h <<< "$1"
        must_find "$2"
        rm dht/a.h
    }
    try '/* PROTO 2.9 */' 'dht/a.h:1: cites PROTO 2.9, which does not exist'
    try '/* PROTO 7 */' 'cites PROTO 7, which does not exist'
    try '/* NV1 4.3 */' 'cites NV1 4.3, which does not exist'
    plant docs/protocol-overlay.md <<< '### 3.1 Frames'
    must_find 'crypto/a.c:1: cites PROTO 3.7, which does not exist'
    rm docs/protocol-overlay.md
    plant docs/disk-format.md <<< '    000102030405060708090a0b0c0d0e0f1011121314151617'
    must_find 'docs/disk-format.md: the example 000102030405060708090a0b0c0d0e0f1011121314151617 is in no test'
    plant tests/unit/test_a.c <<< $'"00010203" "0405060708090A0B"\n  "0C0D0E0F1011121314151617"'
    must_pass
    plant docs/protocol.md <<< $'### 2.1 Canonical\n**9.1** Sizes\n### 2.2 Hashes\n| `id` |\n### 2.3 Signatures\n| `cert` |\n### 2.4 Ids'
    plant crypto/key.h <<< $'#define PURPOSE_CERT "cert"\n#define PURPOSE_BID "bid"'
    plant crypto/key.c <<< $'hash_of("id", b); hasher_init(&h,\n"x"); hasher_init(&h, "book");\n#define A_DOMAIN "part"'
    must_find 'crypto/key.h:2: purpose "bid" is not in the table of PROTO 2.3' \
        'crypto/key.c:2: hash domain "book" is not in' 'crypto/key.c:3: hash domain "part" is not in'
    rm crypto/key.[ch]
    export TM_CHECK_STRICT=1
    plant crypto/a.c <<< '/* PROTO 9.1 */'
    must_find 'nobody cites PROTO 2.1'
    unset TM_CHECK_STRICT
    self_test_end protocol_refs
}

[ "${1:-}" = --self-test ] && self_test
cd "${1:-$root}" || exit 1
protocol=$(clauses_of docs/protocol*.md)
numerics=$(clauses_of docs/numerics.md)
check_citations PROTO "$protocol" "$(unwritten_sections)"
check_citations NV1 "$numerics" ""
check_uncited "$protocol"
check_examples
check_names
finish protocol_refs "$(wc -w <<< "$protocol") clauses of the protocol, $(wc -w <<< "$numerics") of NV1"
