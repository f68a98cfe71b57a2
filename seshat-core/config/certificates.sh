#!/bin/sh
# Certificates for a cluster to try: DIR/NAME.pem, and its key in DIR/NAME.key, by an authority that is made if DIR
# has none yet. Without NAME=FOR those of nodes 1 to 3 of CLUSTER on this machine and of a client of each role; with
# them, others, such as node-4=DNS:node-4.seshat,IP:10.0.0.4. None that is there is made again.
#
# For more than trying, keep ca.key where nobody gets at it.
#
#   certificates.sh DIR CLUSTER [NAME=FOR,FOR]...
set -eu
[ $# -ge 2 ] || { echo "usage: $0 DIR CLUSTER [NAME=FOR,FOR]..." >&2; exit 64; }
command -v openssl > /dev/null || { echo "$0 takes openssl, which isn't installed" >&2; exit 1; }
directory=$1 cluster=$2
shift 2
mkdir -p "$directory"
cd "$directory"
said=$(mktemp)
trap 'rm -f "$said" request.pem for' EXIT

# What openssl says counts only if it fails.
quietly() { "$@" 2> "$said" || { cat "$said" >&2; exit 1; }; }
request() { quietly openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@"; }

[ -e ca.pem ] || request -x509 -days 3650 -subj "/CN=authority of $cluster" -keyout ca.key -out ca.pem
if [ $# -eq 0 ]; then
  for id in 1 2 3; do set -- "$@" "node-$id=DNS:node-$id.$cluster,DNS:localhost,IP:127.0.0.1"; done
  for role in read write admin; do set -- "$@" "client.$role=DNS:client.$role.$cluster"; done
fi
for certificate; do
  name=${certificate%%=*}
  [ ! -e "$name.pem" ] || continue
  request -subj "/CN=$name" -keyout "$name.key" -out request.pem
  echo "subjectAltName=${certificate#*=}" > for
  quietly openssl x509 -req -days 90 -in request.pem -extfile for \
    -CA ca.pem -CAkey ca.key -CAcreateserial -out "$name.pem"
done
