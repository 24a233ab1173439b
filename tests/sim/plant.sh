#!/bin/bash
# plant.sh SIM K WHAT - with fault K of enum plant in it the simulator must fail, and for this very reason: a crash, a wrong
# command line or another rule is no proof that the check sees its fault.
set -u
if said=$("$1" --seeds 1..8 --nodes 12 --minutes 2 --plant "$2" 2>&1); then
    echo "plant $2: nothing was found"
    exit 1
fi
if ! grep -qE "broke a rule at .*: $3" <<< "$said"; then
    echo "plant $2: expected \"$3\", got:"
    tail -n 3 <<< "$said"
    exit 1
fi
echo "plant $2: $(grep -m1 'broke a rule' <<< "$said")"
