import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from commonview.network.sip_datagrams import BATCH, DatagramReader, address_of

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
LARGEST = 65_507  # of a datagram over IPv4


@contextmanager
def bound(family: socket.AddressFamily) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as opened:
        try:
            opened.bind((LOOPBACK[family], 0))
        except OSError as error:
            pytest.skip(f"no loopback address of {family.name}: {error}")
        opened.setblocking(False)
        yield opened


@pytest.mark.parametrize("family", LOOPBACK)
def test_datagrams_of_every_length_come_whole_with_their_senders(family: socket.AddressFamily) -> None:
    with bound(family) as here, bound(family) as one, bound(family) as other:
        reader = DatagramReader(here)
        assert reader.receive() == []
        sent = []
        for length in (0, 1, 2, 1472, 1473, 9000, LARGEST, 3):
            sender = other if length % 2 else one
            data = bytes(number * 7 % 251 for number in range(length))
            sender.sendto(data, here.getsockname())
            sent.append((sender.getsockname()[:2], data))
        assert [(address_of(name), data) for name, data in reader.receive()] == sent
        assert reader.receive() == []


def test_a_batch_is_bounded_and_the_rest_waits_in_its_order() -> None:
    with bound(socket.AF_INET) as here, bound(socket.AF_INET) as there:
        reader = DatagramReader(here)
        sent = [b"%d" % number for number in range(2 * BATCH + 5)]
        for data in sent:
            there.sendto(data, here.getsockname())
        batches = [[data for _, data in reader.receive()] for _ in range(4)]
        assert [len(batch) for batch in batches] == [BATCH, BATCH, 5, 0]
        assert [data for batch in batches for data in batch] == sent


def test_the_same_sender_has_the_same_name_in_every_batch() -> None:
    with bound(socket.AF_INET) as here, bound(socket.AF_INET) as there:
        reader = DatagramReader(here)
        names = set()
        for number in range(3 * BATCH):
            there.sendto(b"%d" % number, here.getsockname())
            names |= {name for name, _ in reader.receive()}
        assert len(names) == 1


def test_a_report_that_nobody_listens_is_an_error_and_ends_nothing() -> None:
    with bound(socket.AF_INET) as here, bound(socket.AF_INET) as there:
        peer = there.getsockname()
        reader = DatagramReader(here)
        here.connect(peer)
        there.close()
        here.send(b"to nobody")
        with pytest.raises(ConnectionRefusedError):
            reader.receive()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind(peer)
            back.sendto(b"again here", here.getsockname())
            assert [data for _, data in reader.receive()] == [b"again here"]


def test_a_closed_socket_is_an_error() -> None:
    with bound(socket.AF_INET) as here:
        reader = DatagramReader(here)
        here.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            reader.receive()


def test_threads_do_not_write_over_each_other() -> None:
    def many(number: int) -> bool:
        with bound(socket.AF_INET) as here, bound(socket.AF_INET) as there:
            reader = DatagramReader(here)
            for one in range(500):
                sent = [b"%d of %d in %d" % (part, one, number) for part in range(8)]
                for data in sent:
                    there.sendto(data, here.getsockname())
                if [data for _, data in reader.receive()] != sent:
                    return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(many, range(4)))
