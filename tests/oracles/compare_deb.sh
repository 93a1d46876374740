#!/usr/bin/env bash
# The order of Debian versions by dpkg itself.
# Reads lines `a<TAB>b`; writes one line for each: `<`, `=`, `>`, or `!` where dpkg does not take a version.
#
# dpkg compares versions with characters that are not allowed after a warning; that counts as `!`.
set -u
export LC_ALL=C
tab=$(printf '\t')

while IFS= read -r line; do
    a=${line%%"$tab"*}
    b=${line#*"$tab"}
    warning=$(dpkg --compare-versions -- "$a" lt "$b" 2>&1)
    status=$?
    case $status,$warning in
        *"invalid character"*) echo '!' ;;
        0,*) echo '<' ;;
        1,*)
            if dpkg --compare-versions -- "$a" eq "$b" 2>/dev/null; then echo '='; else echo '>'; fi
            ;;
        *) echo '!' ;;
    esac
done
