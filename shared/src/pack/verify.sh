#!/usr/bin/env bash
# Checks an evidence pack with bash, openssl 3, sha256sum, base64 and sed alone.
#
#   bash verify.sh SHA-256      of the key of decisions, which you got on another way
#
# Checked: the manifest's signature; every file against the manifest, and no file beside it; the
# id of every record, and its signature under the key of its agent or of decisions.
# Not checked: the tree of the ledger and the order of streams. evident-verify does that.
set -u
if [ $# -ne 1 ]; then
    printf 'cannot check: say which key you trust, as the SHA-256 of the key of decisions that\n' >&2
    printf 'you got on another way: bash %s SHA-256\n' "$0" >&2
    exit 2
fi
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
for tool in openssl sha256sum base64 sed sort comm cmp mktemp; do
    command -v "$tool" >/dev/null || {
        printf 'cannot check: no %s\n' "$tool" >&2
        exit 2
    }
done

# signed SIGNATURE KEY: whether SIGNATURE (base64) by KEY is over $body.
signed() {
    base64 -d <<<"$1" >"$work/sig" 2>/dev/null || return 1
    printf 'DSSEv1 28 application/vnd.in-toto+json %d %s' "${#body}" "$body" >"$work/pae"
    openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$work/pae" -sigfile "$work/sig" \
        >/dev/null 2>&1
}

# The key of decisions.
key=$(openssl pkey -pubin -in trust/decisions.pub.pem -outform DER 2>/dev/null | sha256sum)
key=${key%% *}
[ "$key" = "$1" ] || fail "trust/decisions.pub.pem is $key, not the key that you gave"

# The manifest.
body=$(sed -n 's/^{"payload":"\([A-Za-z0-9+/=]*\)","payloadType":"[a-z/.+-]*","sig.*$/\1/p' \
    MANIFEST.dsse.json | base64 -d 2>/dev/null)
signature=$(sed -n 's/^.*"signatures":\[{"keyid":"'"$key"'","sig":"\([A-Za-z0-9+/=]*\)"}\]}$/\1/p' \
    MANIFEST.dsse.json)
signed "$signature" trust/decisions.pub.pem || fail "MANIFEST.dsse.json is not signed"
printf '%s' "$body" | cmp -s - MANIFEST.json || fail "MANIFEST.json is not what was signed"

# Every file, and no other. A name holds letters, digits and . - _ / only.
sed 's/},{"name":/},\n{"name":/g; s/"subject":\[/&\n/; s/\],"predicateType"/\n&/' MANIFEST.json |
    sed -En 's/^\{"name":"([A-Za-z0-9._/-]+)","digest":\{"sha256":"([0-9a-f]{64})"\}\},*$/\2  \1/p' \
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

# Records and blobs have their own SHA-256 as name.
sed -n '/  attestations\//{/^\(..\)\([0-9a-f]*\)  attestations\/\1\/\1\2\.json$/!p}
    /  blobs\//{/^\(..\)\([0-9a-f]*\)  blobs\/\1\/\1\2$/!p}' "$work/sums" >"$work/misnamed"
while read -r _ name; do
    fail "$name: the name is not its id"
done <"$work/misnamed"

# Every record. Its parts are what stands between the quotes.
host='"predicateType":"urn:evident:host-evidence:v1","predicate":{"stream":{"agent":"'
dsse='{ payload : , payloadType : application/vnd.in-toto+json , '
dsse+='signatures :[{ keyid : , sig : }]}'
records=0
for file in attestations/*/*.json; do
    records=$((records + 1))
    IFS='"' read -r -a part <"$file"
    form="${part[*]:0:3} ${part[*]:4:3} ${part[*]:7:6} ${part[*]:14:3} ${part[*]:18}"
    if [ "$form" != "$dsse" ]; then
        fail "$file: not a DSSE file"
        continue
    fi
    body=$(base64 -d <<<"${part[3]}" 2>/dev/null)
    signer=trust/decisions.pub.pem
    if [[ $body == *"$host"* ]]; then
        place=${body#*"$host"}
        generation=${place#*'","generation":'}
        signer=trust/agents/${place%%\"*}-g${generation%%,*}.pub.pem
    fi
    # No slash in the name of an agent: the key lies nowhere else.
    [[ $signer =~ ^trust/(decisions|agents/[a-z0-9.-]+-g[0-9]+)\.pub\.pem$ ]] ||
        fail "$file: odd agent"
    signed "${part[17]}" "$signer" || fail "$file: not signed with $signer"
done

if [ "$wrong" -ne 0 ]; then
    printf '%d found wanting\n' "$wrong"
    exit 1
fi
printf 'ok    %d files as the signed manifest says, %d records signed\n' "$files" "$records"
