#!/usr/bin/env bash
# Make the certificates of the TLS tests anew: an authority, and what it signed. They protect nothing.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

cat >ca.conf <<'CONF'
[ca]
default_ca = authority
[authority]
database = index
rand_serial = yes
default_md = sha256
policy = policy
copy_extensions = copy
[policy]
commonName = supplied
CONF
touch index

key authority
openssl req -x509 -new -key authority.key -sha256 -days 36500 -subj "/CN=maypole test authority" \
    -addext keyUsage=critical,keyCertSign -out authority.pem

sign() { # sign NAME SUBJECT-ALTERNATIVE-NAME START END
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -addext "subjectAltName=$2" -out "$1.csr"
    openssl ca -batch -notext -config ca.conf -cert authority.pem -keyfile authority.key -outdir . \
        -startdate "$3" -enddate "$4" -in "$1.csr" -out "$1.crt" 2>/dev/null
    cat "$1.key" "$1.crt" >"$1.pem"
}

sign server DNS:localhost,IP:127.0.0.1 20200101000000Z 21200101000000Z
sign other-host DNS:elsewhere.example 20200101000000Z 21200101000000Z
sign expired DNS:localhost,IP:127.0.0.1 20200101000000Z 20210101000000Z
sign client DNS:client 20200101000000Z 21200101000000Z

openssl pkcs8 -topk8 -in server.key -v2 aes-256-cbc -passout pass:maypole -out encrypted.key
cat encrypted.key server.crt >encrypted.pem
cp authority.pem server.pem other-host.pem expired.pem client.pem encrypted.pem "$here"
