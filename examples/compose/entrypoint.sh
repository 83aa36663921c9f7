#!/bin/sh
# Takes the connection strings and the certificates from the emulator's ready
# file, which lies on the volume that the containers share, and runs a program.
set -eu
ready=${HUBNERITE_READY_FILE:-/data/ready.json}
eval "$(python - "$ready" <<'PYTHON'
import json, shlex, sys
info = json.load(open(sys.argv[1]))
for name, value in {
    "SSL_CERT_FILE": info["caBundleFile"],
    "REQUESTS_CA_BUNDLE": info["caBundleFile"],
    "IOTHUB_CONNECTION_STRING": info["connectionStrings"]["iothubowner"],
    "IOTHUB_DEVICE_ID": next(iter(info["devices"])),
    "IOTHUB_DEVICE_CONNECTION_STRING": next(iter(info["devices"].values())),
}.items():
    print(f"export {name}={shlex.quote(value)}")
PYTHON
)"
exec python "$@"
