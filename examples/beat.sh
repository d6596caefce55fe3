#!/bin/sh
# Beats every second and asks who it is; needs socat. See docs/socket.md.
say() { echo "$1" | socat -t 5 - "UNIX-CONNECT:$OSTLER_SOCKET"; }
say '{"who":true}'
while say '{"beat":true}' | grep -q '"ok":true'; do
    sleep 1
done
