# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's call to a service in domain 0, while another guest sends domain 0 all it can, of as many peers as it likes."""

from bridgewire import hello, name, peer
from comparison import Compared, progress
from dbuswire import SIGNAL, Message, encode
from joined import JOIN_DEADLINE, NAMES, Joined

SERVICE, FLOOD = f"{NAMES}.steady", f"{NAMES}.flood"
ECHO, TEXT = "org.xen.xcp.bench1.Echo.EchoString", "('a string of a usual size',)"
N_PEERS = 64
N_CALLS, N_FIRST = 20, 5  # in a round; before it, not counted: what the flood has left on its way, or has not brought there yet
FLOODER, CALLER = 1, 2  # domains
SIGNAL_BYTES = encode(Message(SIGNAL, 1, path="/a", interface=FLOOD, member="Tick", signature="u", body=(7,)))


class Flooder:
    def __init__(self, world):
        self._impostor = world.impostor(FLOODER)
        peers = b"".join(peer(number, f":1.{number}") + name(number, f"{FLOOD}{number}") for number in range(1, N_PEERS + 1))
        self._impostor.write(f"send {(hello() + peers).hex()}\n")
        world.wait_name(0, f"{FLOOD}{N_PEERS}")
        self._n_told = 0

    def _tell(self, command):
        """Also waits for its answer, which begins with flood or calm, as no other line does."""
        self._n_told += 1
        self._impostor.write(f"{command}\n")
        # one way to match and no other: all that there are would be tried
        self._impostor.wait_output(rf"\A(?:(?:(?!flood|calm).*\n)*(?:flood|calm).*\n){{{self._n_told}}}", JOIN_DEADLINE)

    def flood(self):
        self._tell(f"flood {N_PEERS} {SIGNAL_BYTES.hex()}")

    def calm(self):
        self._tell("calm")


def microseconds(caller):
    caller.round(N_FIRST)
    return caller.round(N_CALLS) / N_CALLS * 1e6


def measure(args):
    progress("a call beside a flood")
    with Joined(2, without=(FLOODER,)) as world:
        world.echo(0, SERVICE, known_in=CALLER)
        caller = world.caller(SERVICE, ECHO, TEXT, address=world.address(CALLER))
        flooder = Flooder(world)

        def flooded():
            flooder.flood()
            value = microseconds(caller)
            flooder.calm()
            return value

        pairs = [(flooded(), microseconds(caller)) for _ in range(args.flood_rounds)]
    yield Compared.of(pairs).row("call of a guest beside another's flood", "µs", "the same without it", at_most=3.0)
