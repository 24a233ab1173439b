#!/bin/bash
# source.sh - the rules of style that a grep can keep.
#
#   1. no function that cannot be used safely or hides state       5. no typedef but of functions: copying stays visible
#   2. no tab, no trailing blank, no line over 180 characters      6. every file ends with one newline
#   3. no word that means "not finished"                           7. no #if 0
#   4. first line "/* name.h - what it answers", guard after the path
#
# Blemishes, named only with TM_CHECK_STRICT=1: lines over 130 characters, however long in tests and in rows of a table, and
# a .c file without its first line.
# An exception carries its reason on the line: "... allowed: reason ...". A missing case in a switch over an enum is the
# compiler's to find (-Wswitch-enum).
. "$(dirname "$0")/lib.sh"

banned='gets|strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|rand|random|alloca|system|popen|tmpnam|tempnam|mktemp|gmtime|localtime|ctime|asctime|usleep'
banned_in_tests='gets|rand|random|tmpnam|tempnam|mktemp'     # a test is repeatable or it is noise
unfinished='TO''DO|FIX''ME|X''XX|HA''CK'
line_chars_max=180
line_chars_good=130
table_row='[[:space:]]*(X\(|\{ )'                # a row of data is long because its text is

# Each line "FILE:NUMBER:TEXT" on standard input is a case of WHAT.
each() { # complain|note WHAT
    local file number line
    while IFS=: read -r file number line; do
        [[ $line == *allowed:* ]] || "$1" "$file:$number" "$2"
    done
}

check_text() { # FILES
    local file content
    each complain "trailing blank" < <(grep -HnE '[[:blank:]]+$' "$@")
    each complain "a word for unfinished work" < <(grep -HnwE "$unfinished" "$@")
    for file in "$@"; do
        IFS= read -r -d '' content < "$file"
        [[ $content == *$'\n' ]] || complain "$file" "does not end with a newline"
        [[ $content != *$'\n\n' ]] || note "$file" "ends with an empty line"
    done
}

check_lines() { # FILES
    each complain "tab" < <(grep -HnP '\t' "$@")
    each complain "longer than $line_chars_max characters" \
        < <(grep -HnE "^.{$((line_chars_max + 1)),}" "$@" | grep -vE "^tests/|^[^:]*:[0-9]+:$table_row")
    each note "longer than $line_chars_good characters" < <(grep -HnE "^.{$((line_chars_good + 1)),}" "$@")
}

check_heads() { # FILES
    local file line content
    for file in "$@"; do
        IFS= read -r -d '' content < "$file"
        line=${content%%$'\n'*}
        if [[ $line != "/* ${file##*/} - "* ]]; then
            [[ $file == *.h ]] && complain "$file:1" "does not begin with \"/* ${file##*/} - ...\""
            [[ $file == *.h ]] || note "$file:1" "does not begin with \"/* ${file##*/} - ...\""
        fi
        if [[ $file == *.h ]]; then
            line=${file//[\/.-]/_}
            line="TALLYMESH_${line^^}"
            [[ $content == *$'\n'"#ifndef $line"$'\n'* ]] || complain "$file" "has no include guard $line"
        fi
    done
}

# Calls of FUNCTIONS in code; the reason for an exception stands in the comment, which is why the line is read again.
check_calls() { # FUNCTIONS, FILE:LINE:TEXT on standard input
    local file number text name
    while IFS=: read -r file number text; do
        sed -n "${number}p" "$file" | grep -q 'allowed:' && continue
        name=$(grep -oE "\b($1)[[:space:]]*\(" <<< "$text" | head -n1)
        complain "$file:$number" "calls ${name%%[^a-z_]*}"
    done < <(grep -E ":[0-9]+:(|.*[^A-Za-z0-9_.>])($1)[[:space:]]*\(")
}

check_code() { # FILES
    local stripped
    check_lines "$@"
    check_heads "$@"
    stripped=$(without_comments "$@")
    check_calls "$banned" < <(grep -v '^tests/' <<< "$stripped")
    check_calls "$banned_in_tests" < <(grep '^tests/' <<< "$stripped")
    each complain "typedef" < <(grep -E '^[^:]*:[0-9]+:[[:space:]]*typedef\>' <<< "$stripped" | grep -vE 'typedef [^(]*\(')
    each complain "code that is switched off" < <(grep -E '^[^:]*:[0-9]+:[[:space:]]*#[[:space:]]*if[[:space:]]+0\>' <<< "$stripped")
}

self_test() {
    self_test_begin
    plant node/good.h <<< $'/* good.h - a good header. */\n#ifndef TALLYMESH_NODE_GOOD_H\n#define TALLYMESH_NODE_GOOD_H\n#endif'
    plant node/good.c <<< $'/* good.c - strcpy() in a comment is no call. */\nvoid f(void) { g("sprintf(x)"); p->rand(1); my_rand(2); } // gets(x)'
    must_pass
    local faults=()
    try() { # LINE COMPLAINT; each in a file of its own
        local file=node/a${#faults[@]}.c
        plant "$file" <<< "/* ${file##*/} - a. */"$'\n'"$1"
        faults+=("$file:2: $2")
    }
    try 'void f(void) { strcpy(a, b); }' 'calls strcpy'
    try 'int f(void) { return atoi (a); }' 'calls atoi'
    try 'int f(void) { return rand(); }' 'calls rand'
    try 'int f(void) { g("a"); sprintf(b, "c"); }' 'calls sprintf'
    try $'\tint a;' 'tab'
    try 'int a; ' 'trailing blank'
    try "/* $(printf 'a%.0s' {1..180}) */" 'longer than 180'
    try "/* $(printf 'a%.0s' {1..130}) */" 'longer than 130'
    try '/* TO''DO: later */' 'a word for unfinished work'
    try 'typedef int x;' 'typedef'
    try '#if 0' 'code that is switched off'
    plant node/headless.c <<< 'int a;'
    plant node/cut.c < <(printf '/* cut.c - a. */')
    plant node/blank.c <<< $'/* blank.c - a. */\n'
    plant node/guard.h <<< $'/* guard.h - a. */\n#ifndef A_H\n#endif'
    plant tests/a.c <<< $'/* a.c - a. */\nint f(void) { return rand(); }'
    plant docs/a.md <<< $'a \nFIX''ME'
    plant testnet/a.sh <<< 'echo # X''XX'
    export TM_CHECK_STRICT=1
    must_find "${faults[@]}" 'node/headless.c:1: does not begin with' 'node/cut.c: does not end with a newline' \
        'node/blank.c: ends with an empty line' 'node/guard.h: has no include guard TALLYMESH_NODE_GUARD_H' \
        'tests/a.c:2: calls rand' 'docs/a.md:1: trailing blank' 'docs/a.md:2: a word for unfinished work' \
        'testnet/a.sh:1: a word for unfinished work'
    unset TM_CHECK_STRICT
    rm -r node/* tests docs testnet
    plant tests/a.c <<< $'/* a.c - a. */\nvoid f(void) { strcpy(a, b); }'
    plant node/a.c <<< $'/* a.c - a. */\nvoid f(void) { system("x"); } /* allowed: the test wants it */'
    must_pass
    self_test_end source
}

[ "${1:-}" = --self-test ] && self_test
cd "${1:-$root}" || exit 1
mapfile -t code < <(code_files $code_folders tests)
mapfile -t text < <(find CMakeLists.txt README.md $code_folders tests testnet docs \
    \( -path testnet/state -o -path '*/corpus' -o -path '*/vectors' \) -prune \
    -o -type f \( -name '*.md' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' -o -name CMakeLists.txt \) -print 2>/dev/null | sort)
check_text "${code[@]}" "${text[@]}"
check_code "${code[@]}"
finish source "${#code[@]} files of code, ${#text[@]} others"
