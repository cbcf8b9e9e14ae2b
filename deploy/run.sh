#!/bin/sh
# `make run-docker`: runs the injected image, or the base image where there is none, on all addresses of this machine.
# As in ctranslate2-fastapi it is open to everyone unless ALCOVE_API_KEYS is set; then clients must send a key.
set -eu

image=$MODEL_IMAGE
$CONTAINERS image inspect "$image" > /dev/null 2>&1 || image=$IMAGE

if [ -n "${ALCOVE_API_KEYS:-}" ]; then
    access=ALCOVE_API_KEYS
else
    access=ALCOVE_INSECURE_NO_AUTH=1
    echo "WARNING: ANYONE WHO REACHES PORT $PORT OF THIS MACHINE CAN USE THIS SERVER: it has no keys." \
        "Put keys into ALCOVE_API_KEYS" >&2
fi

# The stop may take longer than server.drain_timeout_s.
exec $CONTAINERS run --rm --name "$MODEL_IMAGE" --pull=never --publish "$PORT:8000" --env "$access" \
    --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --stop-timeout 40 "$image"
