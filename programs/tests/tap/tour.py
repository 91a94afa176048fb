"""Runs `barewire tour` on a pseudo-terminal, ends it, and checks that it restored the terminal.

    tour.py BAREWIRE TERM|INT|HUP|KEY
"""

import fcntl
import os
import select
import signal
import sys
import termios

program, end = sys.argv[1:]
mine, theirs = os.openpty()
before = termios.tcgetattr(theirs)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    for descriptor in range(3):
        os.dup2(theirs, descriptor)
    os.execv(program, [program, "tour"])


def shown(part):
    text = b""
    while part not in text:
        assert select.select([mine], [], [], 30)[0], f"timed out waiting for {part}"
        text += os.read(mine, 1 << 16)


shown(b"q: end")
assert termios.tcgetattr(theirs) != before, "the tour must set raw mode"
os.write(mine, b"n")
shown(b"q: end")
if len(end) == 1:
    os.write(mine, end.encode())
else:
    os.kill(pid, signal.Signals["SIG" + end])
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert termios.tcgetattr(theirs) == before, "the terminal was not restored"
