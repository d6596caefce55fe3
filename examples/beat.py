"""Beats every second and asks who it is; see docs/socket.md."""
import json, os, socket, time

def say(**line):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ["OSTLER_SOCKET"])
        s.sendall(json.dumps(line).encode() + b"\n")
        return json.loads(s.makefile().readline())

print(say(who=True), flush=True)
while say(beat=True)["ok"]:
    time.sleep(1)
