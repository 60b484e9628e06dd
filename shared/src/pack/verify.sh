#!/usr/bin/env bash
# Checks an evidence pack with bash, openssl 3, sha256sum, base64 and sed alone.
#
#   bash verify.sh [SHA-256 of the key of decisions, got on another way]
#
# Checked: the manifest's signature; every file against the manifest, and no file beside it; the
# id of every record, and its signature under the key of its agent or of decisions.
# Not checked: the tree of the ledger and the order of streams. evident-verify does that.
set -u
export LC_ALL=C
shopt -s globstar dotglob nullglob
cd -- "$(dirname -- "${BASH_SOURCE[0]}")" || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf -- "$work"' EXIT

wrong=0
fail() {
    printf 'FAIL  %s\n' "$*" >&2
    wrong=$((wrong + 1))
}
for tool in openssl sha256sum base64 sed sort comm mktemp; do
    command -v "$tool" >/dev/null || { printf 'cannot check: no %s\n' "$tool"; exit 2; }
done

# signed FILE KEY: whether the DSSE file FILE is signed with KEY. Its body goes to $work/body.
signed() {
    sed -n 's/^{"payload":"\([A-Za-z0-9+/=]*\)","payloadType":"application\/vnd.in-toto+json",.*$/\1/p' \
        "$1" | base64 -d >"$work/body" 2>/dev/null || return 1
    sed -n 's/^.*"signatures":\[{"keyid":"[0-9a-f]*","sig":"\([A-Za-z0-9+/=]*\)"}\]}$/\1/p' \
        "$1" | base64 -d >"$work/sig" 2>/dev/null || return 1
    size=$(wc -c <"$work/body")
    {
        printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$size"
        cat "$work/body"
    } >"$work/pae"
    openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$work/pae" -sigfile "$work/sig" \
        >/dev/null 2>&1
}

# The key of decisions.
key=$(openssl pkey -pubin -in trust/decisions.pub.pem -outform DER 2>/dev/null | sha256sum)
key=${key%% *}
if [ $# -ge 1 ]; then
    [ "$key" = "$1" ] || fail "trust/decisions.pub.pem is $key, not the key that you gave"
else
    printf 'note  compare with what you got on another way: key of decisions %s\n' "$key"
fi

# The manifest.
signed MANIFEST.dsse.json trust/decisions.pub.pem || fail "MANIFEST.dsse.json is not signed"
cmp -s "$work/body" MANIFEST.json || fail "MANIFEST.json is not what was signed"

# Every file, and no other. A name holds letters, digits and . - _ / only.
sed 's/},{"name":/},\n{"name":/g; s/"subject":\[/&\n/; s/\],"predicateType"/\n&/' MANIFEST.json |
    sed -n 's/^{"name":"\([A-Za-z0-9._\/-]*\)","digest":{"sha256":"\([0-9a-f]\{64\}\)"}},*$/\2  \1/p' \
        >"$work/sums"
[ -s "$work/sums" ] || fail "MANIFEST.json lists no file"
sha256sum --check --strict --quiet "$work/sums" || fail "files differ from the manifest, see above"
sed 's/^[0-9a-f]*  //' "$work/sums" | sort >"$work/listed"
for name in **; do
    case $name in
        MANIFEST.json | MANIFEST.dsse.json) ;;
        *)
            if [ -L "$name" ]; then
                fail "$name is a link"
            elif [ ! -d "$name" ]; then
                printf '%s\n' "$name"
            fi
            ;;
    esac
done >"$work/unsorted"
sort "$work/unsorted" >"$work/found"
comm -13 "$work/listed" "$work/found" >"$work/more"
while IFS= read -r name; do
    fail "$name is not in the manifest"
done <"$work/more"
files=$(wc -l <"$work/listed")

# Every record.
records=0
for file in attestations/*/*.json; do
    records=$((records + 1))
    id=$(sha256sum <"$file")
    [ "attestations/${id:0:2}/${id%% *}.json" = "$file" ] || fail "$file: the name is not its id"
    place=$(sed -n 's/^{"payload":"\([A-Za-z0-9+/=]*\)".*$/\1/p' "$file" | base64 -d 2>/dev/null |
        sed -n 's/^.*"predicateType":"urn:evident:host-evidence:v1","predicate":{"stream":{"agent":"\([a-z0-9.-]*\)","generation":\([0-9]*\),.*$/\1-g\2/p')
    if [ -n "$place" ]; then
        signer=trust/agents/$place.pub.pem
    else
        signer=trust/decisions.pub.pem
    fi
    signed "$file" "$signer" || fail "$file: not signed with $signer"
done

if [ "$wrong" -ne 0 ]; then
    printf '%d found wanting\n' "$wrong"
    exit 1
fi
printf 'ok    %d files as the signed manifest says, %d records signed\n' "$files" "$records"
